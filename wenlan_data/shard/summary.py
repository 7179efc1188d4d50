"""Counts samples, sizes, texts and regions of corpora or tars, for `shards stat`."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from wenlan_data.bounded_tables import read_batches
from wenlan_data.layout import METADATA, SHARDS
from wenlan_data.shard.corpus_files import corpus_file
from wenlan_data.shard.format import EXTENSIONS, PILLOW_FORMATS, image_of, json_fields
from wenlan_data.shard.manifest import Manifest, load_manifest
from wenlan_data.shard.reader import is_corpus, read_tar, shard_paths
from wenlan_data.tables import METADATA as METADATA_SCHEMA

COLUMNS = pa.schema(
    [
        METADATA_SCHEMA.field(name)
        for name in ("width", "height", "caption", "texts", "regions", "source")
    ]
)
MAX_NAMES, MAX_NAME_CHARS = 10_000, 200
"""Distinct sources, labels and the like that are counted, and their length; a tar that anybody may
have made can hold a long new one in each sample."""
MAX_SIDE_PX = 1 << 20
"""A sample that states a side of this or more is not counted among the sizes."""
OTHERS = "(others)"


@dataclass(slots=True)
class CorpusSummary:
    """Histograms of a corpus, exact: every value has its own count."""

    shards: int = 0
    samples: int = 0
    bytes: int = 0
    """Of the tars."""
    width_px: Counter[int] = field(default_factory=Counter)
    height_px: Counter[int] = field(default_factory=Counter)
    caption_chars: Counter[int] = field(default_factory=Counter)
    text_types: Counter[str] = field(default_factory=Counter)
    relations: Counter[str] = field(default_factory=Counter)
    """Texts by how they were found; empty for samples before format 1.1."""
    region_labels: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    extensions: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, Counter[str]] = field(default_factory=dict)
    """Step to reason to candidates; empty for tars without a manifest."""

    def as_json(self) -> dict[str, object]:
        """Returns JSON values: minimum, median and maximum of sizes; counts, largest first."""
        return {
            "shards": self.shards,
            "samples": self.samples,
            "bytes": self.bytes,
            "width_px": _spread(self.width_px),
            "height_px": _spread(self.height_px),
            "caption_chars": _spread(self.caption_chars),
            "text_types": _ranked(self.text_types),
            "relations": _ranked(self.relations),
            "region_labels": _ranked(self.region_labels),
            "sources": _ranked(self.sources),
            "extensions": _ranked(self.extensions),
            "dropped": {step: _ranked(reasons) for step, reasons in self.dropped.items()},
        }


def summarise(paths: Sequence[Path]) -> CorpusSummary:
    """Counts corpora, folders of tars and tars together.

    Raises `UsageError` for a missing path, `DamageError` for a corrupt file.
    """
    summary = CorpusSummary()
    for path in paths:
        if is_corpus(path):
            _add_corpus(summary, path, load_manifest(path))
            continue
        for tar in shard_paths([path]):
            _add_tar(summary, tar)
    return summary


def _add_corpus(summary: CorpusSummary, corpus: Path, manifest: Manifest) -> None:
    for step, reasons in manifest.funnel.last_outcomes().dropped.items():
        summary.dropped.setdefault(step, Counter()).update(reasons)
    for shard in manifest.shards:
        metadata = corpus_file(corpus, METADATA, shard.metadata.name)
        if not metadata.is_file():
            _add_tar(summary, corpus_file(corpus, SHARDS, shard.name))
            continue
        summary.shards += 1
        summary.bytes += shard.bytes
        summary.samples += shard.samples
        summary.extensions.update(dict.fromkeys(EXTENSIONS, shard.samples))
        _add_metadata(summary, metadata)


def _add_metadata(summary: CorpusSummary, path: Path) -> None:
    for batch in read_batches(path, COLUMNS, what="metadata table"):
        _add_batch(summary, batch)


def _add_batch(summary: CorpusSummary, batch: pa.RecordBatch) -> None:
    sides = pa.table({"width": batch["width"], "height": batch["height"]})
    plausible = [pc.and_(pc.greater(side, 0), pc.less(side, MAX_SIDE_PX)) for side in sides]
    sides = sides.filter(pc.and_(*plausible))
    _count(summary.width_px, sides["width"])
    _count(summary.height_px, sides["height"])
    _count(summary.caption_chars, pc.utf8_length(cast("pa.StringArray", batch["caption"])))
    _count(summary.sources, batch["source"])
    texts = pc.list_flatten(batch["texts"])
    _count(summary.text_types, pc.struct_field(texts, "type"))
    if texts.type.get_field_index("relation") >= 0:
        _count(summary.relations, pc.struct_field(texts, "relation"))
    _count(summary.region_labels, pc.struct_field(pc.list_flatten(batch["regions"]), "label"))


def _count(counter: Counter[int] | Counter[str], values: object) -> None:
    for pair in pc.value_counts(values).to_pylist():
        if isinstance(pair["values"], str):
            _add(cast("Counter[str]", counter), pair["values"], pair["counts"])
        else:
            counter[pair["values"]] += pair["counts"]


def _add(counter: Counter[str], name: str, times: int = 1) -> None:
    name = name[:MAX_NAME_CHARS]
    counter[name if name in counter or len(counter) < MAX_NAMES else OTHERS] += times


def _add_tar(summary: CorpusSummary, tar: Path) -> None:
    summary.shards += 1
    for _, members in read_tar(tar):
        summary.samples += 1
        for extension in members:
            _add(summary.extensions, extension)
        if "txt" in members:
            summary.caption_chars[len(members["txt"].decode(errors="replace"))] += 1
        fields = json_fields(members.get("json", b""))
        _add_fields(summary, fields)
        sides_px = _sides_px(fields) or image_sides_px(image_of(members) or b"")
        if sides_px:
            summary.width_px[sides_px[0]] += 1
            summary.height_px[sides_px[1]] += 1
    summary.bytes += tar.stat().st_size


def _add_fields(summary: CorpusSummary, fields: dict[str, object]) -> None:
    for counter, items, name in (
        (summary.text_types, "texts", "type"),
        (summary.relations, "texts", "relation"),
        (summary.region_labels, "regions", "label"),
    ):
        for word in _string_values(fields.get(items), name):
            _add(counter, word)
    source = fields.get("source")
    if isinstance(source, str):
        _add(summary.sources, source)


def _string_values(items: object, name: str) -> list[str]:
    found = (
        [item.get(name) for item in items if isinstance(item, dict)]
        if isinstance(items, list)
        else []
    )
    return [word for word in found if isinstance(word, str)]


def _sides_px(fields: dict[str, object]) -> tuple[int, int] | None:
    """Returns width and height if they are plausible."""
    width, height = side_px(fields, "width"), side_px(fields, "height")
    return (width, height) if width and height else None


def side_px(fields: dict[str, object], name: str) -> int:
    """Returns a plausible side in pixels, otherwise 0."""
    value = fields.get(name)
    return value if isinstance(value, int) and 0 < value < MAX_SIDE_PX else 0


def image_sides_px(data: bytes) -> tuple[int, int] | None:
    """Returns width and height from an image's header without decoding pixels; None if invalid."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
            return image.size
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ):
        return None


def _spread(counts: Counter[int]) -> dict[str, int]:
    if not counts:
        return {}
    values = sorted(counts)
    sums = list(accumulate(counts[value] for value in values))
    median = next(value for value, total in zip(values, sums, strict=True) if 2 * total >= sums[-1])
    return {"min": values[0], "median": median, "max": values[-1]}


def _ranked(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
