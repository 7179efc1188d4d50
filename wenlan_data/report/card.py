"""Writes the data-set card: README.md with the front matter that the Hugging Face Hub reads."""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from wenlan_data.errors import os_errors
from wenlan_data.files import read_bounded, write_atomic
from wenlan_data.report.charts import bars
from wenlan_data.report.data import CorpusStatistics, ReportData
from wenlan_data.report.findings import report_findings
from wenlan_data.report.view_models import funnel_stages
from wenlan_data.shard.manifest import Manifest

CARD = "README.md"
MAX_CARD_BYTES = 1 << 24
MARK = (
    "<!-- Written by wenlan-data at each build. "
    "Remove this line, and it is yours: no build will touch it again. -->"
)
"""Line of a card that a build may overwrite. Cards of earlier builds hold it: do not change it."""
_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
_SIZE_NAMES = (
    "n<1K",
    "1K<n<10K",
    "10K<n<100K",
    "100K<n<1M",
    "1M<n<10M",
    "10M<n<100M",
    "100M<n<1B",
    "1B<n<10B",
)

_CONTENTS = """## Contents

Each sample is `{key}.jpg`, `{key}.txt` (the caption) and `{key}.json` (texts, regions, hashes, URLs).
Each text has a `type`, the `relation` by which it was found, and the `confidence` that it belongs to the image.
`metadata/*.parquet` has the same fields as columns; `drops/*.parquet` holds every dropped candidate.

```python
import webdataset

for sample in webdataset.WebDataset("shards/wenlan-000000.tar", shardshuffle=False).decode("pil"):
    print(sample["__key__"], sample["jpg"].size, sample["txt"])
```
"""


def write_card(report: ReportData, corpus: Path) -> None:
    """Writes the card of a corpus, unless the owner has replaced it.

    The same corpus gives the same bytes.
    """
    path = corpus / CARD
    with os_errors(path):
        if path.is_file() and MARK.encode() not in read_bounded(path, MAX_CARD_BYTES):
            return
        write_atomic(path, card_text(report).encode("utf-8", errors="replace"))


def card_text(report: ReportData) -> str:
    """Returns the card in Markdown. Texts of web pages are code spans or escaped: none is markup.

    Raises `ValueError` for report data without a manifest.
    """
    manifest = report.manifest
    if manifest is None:
        raise ValueError("a card needs a corpus with a manifest")
    statistics = report.statistics
    front = yaml.safe_dump(front_matter(report), allow_unicode=True, sort_keys=False)
    sections = [
        f"---\n{front}---\n{MARK}\n\n# {_plain(report.name)}\n",
        _summary(report, manifest),
        "## Construction\n\n" + _funnel(manifest),
        _CONTENTS,
        _table("Caption types", statistics.caption_types, statistics.samples),
        _relations(statistics),
        _table("Licences as stated by pages", _named(statistics.licences), statistics.samples),
        _rights(report),
        "".join(
            (
                "## Known limitations\n\n",
                *(
                    f"- {_plain(finding.text)} {finding.advice}\n"
                    for finding in report_findings(report)
                ),
            )
        ),
    ]
    return "\n".join(section for section in sections if section)


def front_matter(report: ReportData) -> dict[str, object]:
    """Returns the metadata that the Hub indexes.

    `configs` makes the `datasets` library load the shards as a WebDataset.
    """
    return {
        "pretty_name": _plain(report.name),
        "language": ["zh"],
        # Each image has its own: the column `licence` of metadata/ holds what its page states.
        "license": "other",
        "license_name": "per-image",
        "task_categories": ["image-to-text", "text-to-image", "zero-shot-image-classification"],
        "size_categories": [_size(report.statistics.samples)],
        "tags": ["webdataset", "image-text", "wenlan-data"],
        # One configuration only: the `datasets` library takes one format for all of them.
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "shards/*.tar"}]}
        ],
    }


def _size(samples: int) -> str:
    return _SIZE_NAMES[sum(samples >= size for size in _SIZES)]


def _summary(report: ReportData, manifest: Manifest) -> str:
    statistics = report.statistics
    return (
        f"{statistics.samples:,} Chinese image-text pairs in {statistics.shards:,} WebDataset "
        f"shards ({statistics.tar_bytes / 1e6:,.1f} MB), built by wenlan-data "
        f"{manifest.code_version} with the recipe of digest `{manifest.recipe_digest[:12]}` "
        "(see `manifest.json`).\n"
        "`report/index.html` shows samples, statistics and dropped candidates.\n"
    )


def _funnel(manifest: Manifest) -> str:
    lines = ["| step | dropped | remaining | main reasons |", "| --- | ---: | ---: | --- |"]
    lines.append(f"| candidates | | {manifest.funnel.last_outcomes().candidates:,} | |")
    for stage in funnel_stages(manifest.funnel):
        reasons = ", ".join(f"{reason} {count:,}" for reason, _, count, _ in stage.reasons[:5])
        lines.append(f"| {stage.step} | {stage.dropped:,} | {stage.remaining:,} | {reasons} |")
    lines.append(f"| samples | | {manifest.funnel.samples:,} | |")
    sources = [_code(str(source.get("kind", ""))) for source in manifest.sources]
    kinds = ", ".join(sorted(set(sources)))
    return "\n".join(lines) + f"\n\nSources: {len(sources)} of kind {kinds}.\n"


def _relations(statistics: CorpusStatistics) -> str:
    """Returns a table of how captions were found, "" if all are from ready pairs."""
    relations = statistics.caption_relations
    is_from_pages = bool(set(relations) - {"given"})
    counts = relations if is_from_pages else {}
    return _table("Relations of captions to their images", counts, statistics.samples)


def _rights(report: ReportData) -> str:
    signals = report.statistics.opt_outs.total()
    found = (
        f"{signals:,} opt-out signals were found on samples"
        if signals
        else "no sample has an opt-out signal"
    )
    return (
        "## Rights\n\n"
        "Images and texts belong to their authors. Every sample holds its URLs and the licence "
        "that its page states. The crawl obeyed robots.txt and opt-out signals as they were at "
        f"the time ({found}).\n"
    )


def _table(title: str, counts: Mapping[str, int], whole: int) -> str:
    """Returns a table of the ten largest counts, "" if there are none."""
    lines = [
        f"| {_code(line.label)} | {line.count:,} | {line.share:.1%} |"
        for line in bars(counts, whole=whole, most=10)
    ]
    if not lines:
        return ""
    head = [f"### {title}\n", "| | samples | share |", "| --- | ---: | ---: |"]
    return "\n".join([*head, *lines, ""])


def _named(counts: Mapping[str, int]) -> dict[str, int]:
    return {name or "none stated": count for name, count in counts.items()}


def _code(text: str) -> str:
    """Returns the text as a code span of one line, without backticks and bars.

    A backtick would end the span, a bar the cell of a table.
    """
    return f"`{_one_line(text)[:200].replace('`', '´').replace('|', '¦')}`"


def _plain(text: str) -> str:
    """Returns the text in one line with the special characters of Markdown and HTML escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|!&])", r"\\\1", _one_line(text)[:300])


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
