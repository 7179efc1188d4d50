"""Reads the report data of a corpus: every table once, and from the tars only the images shown."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from wenlan_data.bounded_tables import VERIFY, read_batches
from wenlan_data.errors import DamageError, in_short, os_errors
from wenlan_data.files import read_bounded
from wenlan_data.layout import MANIFEST, METADATA, SHARDS
from wenlan_data.records import Region, parse_text
from wenlan_data.report.data import (
    MAX_DISTINCT,
    MAX_HOSTS,
    MAX_NAMES,
    MAX_SAMPLES,
    CorpusStatistics,
    DuplicateGroup,
    ImageLocation,
    ReasonSummary,
    ReportData,
    ReportItem,
    TextExample,
    add_bounded,
)
from wenlan_data.report.drop_examples import (
    DropExamples,
    read_drop_examples,
    with_recorded_images,
)
from wenlan_data.report.lowest_texts import (
    LowestTexts,
    equals_in_row,
    flat_texts,
    is_caption,
    lowest_rows,
)
from wenlan_data.shard.corpus_files import corpus_file
from wenlan_data.shard.format import offsets_name
from wenlan_data.shard.index import read_offsets
from wenlan_data.shard.manifest import MAX_BYTES, Manifest, ShardEntry, load_manifest
from wenlan_data.tables import METADATA as METADATA_SCHEMA

_ITEM_COLUMNS = (
    "key",
    "caption",
    "caption_type",
    "width",
    "height",
    "image_url",
    "page_url",
    "source",
    "licence",
)
"""Columns of `metadata/` that a `ReportItem` has under the same name and type."""
_SHOWN = (*_ITEM_COLUMNS, "texts", "opt_out", "tokens", "author")
_SHOWN_FIELDS = [METADATA_SCHEMA.field(name) for name in _SHOWN]
# Enough to count the regions of a row without reading their boxes.
_REGION_LABELS = pa.field("regions", pa.list_(pa.struct([("label", pa.string())])))
_COUNTED = pa.schema([*_SHOWN_FIELDS, _REGION_LABELS])
_WHOLE = pa.schema([*_SHOWN_FIELDS, METADATA_SCHEMA.field("regions")])
_OPTIONAL = ("author",)
_HOST = r"^(?:https?)://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]+)"
# Words of one character are particles and measure words most of the time.
_WORD = r"^\p{L}\P{P}*\p{L}$"
Value = TypeVar("Value", int, str)


def read_corpus_data(corpus: Path, work: Path) -> ReportData:
    """Returns the report data of a corpus.

    Images of drops are found in the work folder, if it still exists.

    Raises `DamageError` for a table that cannot be read.
    """
    manifest = load_manifest(corpus)
    examples = read_drop_examples(corpus, manifest)
    statistics = CorpusStatistics()
    kept: dict[str, ReportItem] = {}
    lowest = LowestTexts()
    for shard in manifest.shards:
        kept |= _count_shard(statistics, corpus, shard, examples.kept_keys, lowest)
    samples = _with_locations(corpus, _choose_samples(corpus, manifest))
    kept = {item.key: item for item in _with_locations(corpus, list(kept.values()))}
    examples = with_recorded_images(examples, work)
    return ReportData(
        name=str(manifest.recipe.get("name", "")) or corpus.name,
        manifest=manifest,
        digest=manifest_digest(corpus),
        statistics=statistics,
        samples=tuple(samples),
        duplicates=_with_kept(examples.duplicates, kept),
        reasons=_summarise_reasons(manifest, examples),
        lowest_captions=_located_examples(corpus, lowest.captions),
        lowest_surrounding=_located_examples(corpus, lowest.surrounding),
    )


def manifest_digest(corpus: Path) -> str:
    """Returns the SHA-256 of the manifest file in hexadecimal."""
    with os_errors(corpus):
        return hashlib.sha256(read_bounded(corpus / MANIFEST, MAX_BYTES)).hexdigest()


def _count_shard(
    statistics: CorpusStatistics,
    corpus: Path,
    shard: ShardEntry,
    keys: Sequence[str],
    lowest: LowestTexts,
) -> dict[str, ReportItem]:
    """Adds a shard to the statistics and examples. Returns its samples that have one of the
    keys."""
    statistics.shards += 1
    statistics.tar_bytes += shard.bytes
    found: dict[str, ReportItem] = {}
    path = corpus_file(corpus, METADATA, shard.metadata.name)
    key_array = pa.array(keys, pa.string())
    for rows in read_batches(path, _COUNTED, optional=_OPTIONAL):
        count_rows(statistics, rows)
        # The region of the whole image, which every sample has, is not counted.
        count(statistics.regions, pc.subtract(pc.list_value_length(rows["regions"]), 1))
        rows = rows.drop_columns(["regions"])
        for item in _items(rows.take(lowest_rows(rows)), shard.name):
            lowest.add(item)
        selected = rows.filter(pc.is_in(rows["key"], key_array))
        found |= {item.key: item for item in _items(selected, shard.name)}
    offsets = _read_offsets(corpus, shard.name)
    image_bytes = offsets.filter(pc.ends_with(offsets["member"], ".jpg"))["size"]
    count(statistics.image_kib, pc.divide(pc.add(image_bytes, 1023), 1024))
    return found


def _choose_samples(corpus: Path, manifest: Manifest) -> list[ReportItem]:
    """Returns at most `MAX_SAMPLES` samples from all shards, the same ones in every call.

    Keys are digests, so the first rows of a shard are a random draw without a random generator.
    """
    if not manifest.shards:
        return []
    per_shard = -(-MAX_SAMPLES // len(manifest.shards))
    shards = manifest.shards[:: -(-len(manifest.shards) // MAX_SAMPLES)]
    found = []
    for shard in shards:
        # Twice the share of the shard is read, so that rare sources have a chance to appear.
        path = corpus_file(corpus, METADATA, shard.metadata.name)
        rows = next(read_batches(path, _WHOLE, optional=_OPTIONAL, rows=2 * per_shard), None)
        if rows is not None:
            found += _balance_sources(_items(rows, shard.name), per_shard)
    return found[:MAX_SAMPLES]


def _balance_sources(samples: Iterable[ReportItem], limit: int) -> list[ReportItem]:
    """Takes at most `limit` samples round-robin over the sources. Returns them sorted by key."""
    rank: Counter[str] = Counter()
    ranked = []
    for item in samples:
        rank[item.source] += 1
        ranked.append((rank[item.source], item.key, item))
    chosen = [item for _, _, item in sorted(ranked, key=lambda entry: entry[:2])[:limit]]
    return sorted(chosen, key=lambda item: item.key)


def _items(rows: pa.RecordBatch, shard: str) -> Iterator[ReportItem]:
    for row in rows.to_pylist():
        try:
            yield _item(row, shard)
        except (TypeError, ValueError) as error:
            raise DamageError(
                f"{shard}: {row['key'][:64]!r}: its metadata do not fit the format "
                f"({in_short(error)}): {VERIFY}"
            ) from error


def _item(row: Mapping[str, Any], shard: str) -> ReportItem:
    return ReportItem(
        **{name: row[name] for name in _ITEM_COLUMNS},
        author=row.get("author", ""),
        texts=tuple(map(parse_text, row["texts"])),
        regions=tuple(map(_region, row.get("regions", ()))),
        opt_out=tuple(row["opt_out"]),
        tokens=tuple(row["tokens"]),
        shard=shard,
    )


def _region(fields: Mapping[str, Any]) -> Region:
    x1, y1, x2, y2 = fields["box"]
    return Region(box_xyxy=(x1, y1, x2, y2), label=fields["label"], score=fields["score"])


def _with_locations(corpus: Path, samples: list[ReportItem]) -> list[ReportItem]:
    """Returns the samples with the locations of their images, read from the offsets tables."""
    locations: dict[str, ImageLocation] = {}
    for shard in sorted({item.shard for item in samples}):
        offsets = _read_offsets(corpus, shard)
        members = [f"{item.key}.jpg" for item in samples if item.shard == shard]
        mask = pc.is_in(offsets["member"], pa.array(members, pa.string()))
        for row in offsets.filter(mask).to_pylist():
            path = corpus_file(corpus, SHARDS, shard)
            locations[row["key"]] = ImageLocation(path, row["offset"], row["size"])
    return [replace(item, location=locations.get(item.key)) for item in samples]


def _located_examples(corpus: Path, examples: Sequence[TextExample]) -> tuple[TextExample, ...]:
    located = _with_locations(corpus, [example.item for example in examples])
    return tuple(
        replace(example, item=item) for example, item in zip(examples, located, strict=True)
    )


def _with_kept(
    duplicates: Iterable[DuplicateGroup], kept: Mapping[str, ReportItem]
) -> tuple[DuplicateGroup, ...]:
    return tuple(replace(group, kept=kept.get(group.key)) for group in duplicates)


def _summarise_reasons(manifest: Manifest, examples: DropExamples) -> tuple[ReasonSummary, ...]:
    """Returns all drop reasons of the manifest, the most frequent of each step first."""
    return tuple(
        ReasonSummary(
            step=step,
            reason=reason,
            count=times,
            examples=examples.by_reason.get((step, reason), ()),
        )
        for step, reasons in manifest.funnel.dropped.items()
        for reason, times in sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0]))
    )


def _read_offsets(corpus: Path, shard: str) -> pa.Table:
    path = corpus_file(corpus, SHARDS, offsets_name(shard))
    return read_offsets(path, ["key", "member", "offset", "size"])


def count_rows(statistics: CorpusStatistics, rows: pa.RecordBatch) -> None:
    """Adds a batch of a metadata table to the statistics."""
    width, height = rows["width"], rows["height"]
    statistics.samples += rows.num_rows
    count(statistics.short_side_px, pc.min_element_wise(width, height))
    count(statistics.long_side_px, pc.max_element_wise(width, height))
    count(statistics.caption_chars, pc.utf8_length(rows["caption"]))
    _count_bounded(statistics.caption_types, rows["caption_type"], MAX_NAMES)
    _count_bounded(statistics.sources, rows["source"], MAX_NAMES)
    _count_bounded(statistics.licences, rows["licence"], MAX_NAMES)
    _count_bounded(statistics.opt_outs, pc.list_flatten(rows["opt_out"]), MAX_NAMES)
    _count_bounded(statistics.image_hosts, _hosts(rows["image_url"]), MAX_HOSTS)
    _count_bounded(statistics.page_hosts, _hosts(rows["page_url"]), MAX_HOSTS)
    _count_texts(statistics, rows)
    _count_bounded(statistics.words, _words(rows["tokens"]), MAX_DISTINCT)
    _count_bounded(statistics.captions, rows["caption"], MAX_DISTINCT)
    statistics.titles_as_captions += _titles_as_captions(rows)


def _count_texts(statistics: CorpusStatistics, rows: pa.RecordBatch) -> None:
    texts = flat_texts(rows)
    _count_bounded(statistics.text_types, texts["type"], MAX_NAMES)
    if "confidence" not in texts.column_names:
        return  # a table before format 1.1
    _count_bounded(statistics.relations, texts["relation"], MAX_NAMES)
    of_captions = texts["relation"].filter(is_caption(rows, texts))
    _count_bounded(statistics.caption_relations, of_captions, MAX_NAMES)
    by_type = texts.group_by(["type", "confidence"]).aggregate([([], "count_all")])
    for row in by_type.to_pylist():
        if row["type"] in statistics.text_types and 0 <= row["confidence"] <= 1:
            counter = statistics.confidence.setdefault(row["type"], Counter())
            counter[round(100 * row["confidence"])] += row["count_all"]


def count(counter: Counter[Value], values: object) -> None:
    """Adds the number of occurrences of each value of an Arrow array; nulls are ignored."""
    found = pc.value_counts(values)
    for value, times in zip(
        found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True
    ):
        if value is not None:
            counter[value] += times


def _count_bounded(counter: Counter[str], values: object, most: int) -> None:
    """Does the same as `count`, but adds no new value once there are `most`."""
    found: Counter[str] = Counter()
    count(found, values)
    for value, times in found.items():
        add_bounded(counter, value, times, most=most)


def count_host(counter: Counter[str], url: str) -> None:
    """Counts the host of one URL: lower case, "" for a path; no URL is not counted."""
    if url:
        found = re.match(_HOST, url)
        add_bounded(counter, found["host"].lower() if found else "", most=MAX_HOSTS)


def _hosts(urls: pa.Array) -> pa.Array:
    """Returns the host of each URL as `count_host` counts it; null where there is no URL."""
    found = pc.struct_field(pc.extract_regex(urls, _HOST), "host")
    paths = pc.and_(pc.is_null(found), pc.not_equal(urls, ""))
    return pc.if_else(paths, "", pc.utf8_lower(found))


def _words(tokens: pa.Array) -> pa.Array:
    """Returns the words of two or more characters, each once per sample."""
    flat = pc.list_flatten(tokens)
    pairs = pa.table({"row": pc.list_parent_indices(tokens), "word": flat})
    words = pairs.filter(pc.match_substring_regex(flat, _WORD))
    return words.group_by(["row", "word"]).aggregate([])["word"].combine_chunks()


def _titles_as_captions(rows: pa.RecordBatch) -> int:
    texts = rows["texts"]
    flat = pc.list_flatten(texts)
    parents = pc.list_parent_indices(texts)
    same = pc.and_(
        pc.equal(pc.struct_field(flat, "type"), "page_title"),
        equals_in_row(pc.struct_field(flat, "text"), rows["caption"], parents),
    )
    return len(pc.unique(pc.filter(parents, same)))
