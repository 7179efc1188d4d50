"""The data-set card: README.md with the front matter that the Hugging Face Hub reads."""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from wenlan_data.errors import os_errors
from wenlan_data.files import write_atomic
from wenlan_data.report.charts import Bar, bars
from wenlan_data.report.data import Material
from wenlan_data.report.findings import remarks
from wenlan_data.report.view_models import stages
from wenlan_data.shard.manifest import Manifest

CARD = "README.md"
MARK = "<!-- Written by wenlan-data at each build. Remove this line, and it is yours: no build will touch it again. -->"
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

_CONTENTS = """## What is in it

Each sample is `{key}.jpg`, `{key}.txt` (the caption) and `{key}.json` (all texts, regions, hashes, addresses).
The same fields, flat, are in `metadata/*.parquet`; every candidate that was left out is a row of `drops/*.parquet`.

```python
import webdataset

for sample in webdataset.WebDataset("shards/wenlan-000000.tar", shardshuffle=False).decode("pil"):
    print(sample["__key__"], sample["jpg"].size, sample["txt"])
```
"""


def write_card(material: Material, corpus: Path) -> None:
    """Write the card of a corpus, but over nobody's own README.md. The same corpus gives the same bytes."""
    path = corpus / CARD
    with os_errors(path):
        if path.is_file() and MARK not in path.read_text("utf-8", errors="replace"):
            return
        write_atomic(path, card_text(material).encode("utf-8", errors="replace"))


def card_text(material: Material) -> str:
    """The card; what pages say stands in it as code, so that no Markdown of theirs works."""
    manifest = material.manifest
    if manifest is None:
        raise ValueError("a card is made of a corpus with a manifest")
    front = yaml.safe_dump(front_matter(material), allow_unicode=True, sort_keys=False)
    sections = [
        f"---\n{front}---\n{MARK}\n\n# {_plain(material.name)}\n",
        _summary(material, manifest),
        "## How it was made\n\n" + _funnel(manifest),
        _CONTENTS,
        _table("Captions", material.tally.caption_types, material.tally.samples),
        _table("Licences stated by pages", _named(material.tally.licences), material.tally.samples),
        _rights(material),
        "".join(
            (
                "## Known limits\n\n",
                *(f"- {_plain(one.text)} {one.advice}\n" for one in remarks(material)),
            )
        ),
    ]
    return "\n".join(section for section in sections if section)


def front_matter(material: Material) -> dict[str, object]:
    """What the Hub indexes, and by which `datasets` loads the shards as a WebDataset."""
    return {
        "pretty_name": _plain(material.name),
        "language": ["zh"],
        # Each picture has its own: the column `licence` of metadata/ holds what its page states.
        "license": "other",
        "license_name": "per-picture",
        "task_categories": ["image-to-text", "text-to-image", "zero-shot-image-classification"],
        "size_categories": [_size(material.tally.samples)],
        "tags": ["webdataset", "image-text", "wenlan-data"],
        # One configuration only: the datasets library takes one format for all of them.
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "shards/*.tar"}]}
        ],
    }


def _size(samples: int) -> str:
    return _SIZE_NAMES[sum(samples >= size for size in _SIZES)]


def _summary(material: Material, manifest: Manifest) -> str:
    return (
        f"{material.tally.samples:,} Chinese image-text pairs in {material.tally.shards:,} WebDataset shards "
        f"({material.tally.tar_bytes / 1e6:,.1f} MB), built by wenlan-data {manifest.code_version} "
        f"with the recipe of digest `{manifest.recipe_digest[:12]}` (whole in `manifest.json`).\n"
        "Pictures to look at, figures and what was left out: `report/index.html`.\n"
    )


def _funnel(manifest: Manifest) -> str:
    lines = ["| step | left out | left | main reasons |", "| --- | ---: | ---: | --- |"]
    lines.append(f"| candidates | | {manifest.funnel.candidates:,} | |")
    for stage in stages(manifest.funnel):
        reasons = ", ".join(f"{name} {count:,}" for name, _, count, _ in stage.reasons[:5])
        lines.append(f"| {stage.step} | {stage.lost:,} | {stage.left:,} | {reasons} |")
    lines.append(f"| samples | | {manifest.funnel.samples:,} | |")
    sources = [_code(str(source.get("kind", ""))) for source in manifest.sources]
    kinds = ", ".join(sorted(set(sources)))
    return "\n".join(lines) + f"\n\nSources: {len(sources)} of kind {kinds}.\n"


def _rights(material: Material) -> str:
    signals = material.tally.opt_outs.total()
    seen = (
        f"{signals:,} opt-out signals stand on samples"
        if signals
        else "no sample carries an opt-out signal"
    )
    return (
        "## Rights\n\n"
        "The pictures and texts belong to those who made them. Addresses and stated licences are kept with every "
        f"sample; robots.txt and opt-outs were respected at the time of the crawl ({seen}).\n"
    )


def _table(title: str, counts: Mapping[str, int], whole: int) -> str:
    lines = [
        f"| {_code(line.label)} | {line.count:,} | {line.share:.1%} |"
        for line in _ranked(counts, whole)
    ]
    return (
        "\n".join([f"### {title}\n", "| | samples | share |", "| --- | ---: | ---: |", *lines, ""])
        if lines
        else ""
    )


def _ranked(counts: Mapping[str, int], whole: int) -> tuple[Bar, ...]:
    return bars(counts, whole=whole, most=10)


def _named(counts: Mapping[str, int]) -> dict[str, int]:
    return {name or "none stated": count for name, count in counts.items()}


def _code(text: str) -> str:
    """The text as a code span of one line: nothing in it is Markdown or HTML, and no cell ends in it."""
    line = "".join(one if one.isprintable() else " " for one in text)[:200]
    return f"`{line.replace('`', '´').replace('|', '¦')}`"


def _plain(text: str) -> str:
    """The text without what Markdown or HTML would act on."""
    line = "".join(one if one.isprintable() else " " for one in text)[:300]
    return re.sub(r"([\\`*_{}\[\]<>#|!&])", r"\\\1", line)
