"""Reads what the report shows of a corpus: its tables once, and of its tars only the pictures that are shown."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.errors import DamageError, in_short
from wenlan_data.records import Region, Text
from wenlan_data.report.data import MAX_DISTINCT, Group, Material, Place, Reason, Shown, Tally
from wenlan_data.report.drop_examples import Examples, examples_of, with_recorded
from wenlan_data.shard.manifest import MANIFEST, Manifest, ShardEntry, load_manifest

COLUMNS = [
    "key",
    "caption",
    "caption_type",
    "texts",
    "width",
    "height",
    "source",
    "image_url",
    "page_url",
    "licence",
    "opt_out",
    "tokens",
]
_HOST = r"^(?:https?)://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]+)"
# Words of one character are particles and measure words most of the time.
_WORD = r"^\p{L}\P{P}*\p{L}$"
V = TypeVar("V", int, str)

MAX_SAMPLES = 240
"""Cards of the gallery."""
_REGIONS = "regions.list.element.label"


def corpus_material(corpus: Path, work: Path) -> Material:
    """The material of a corpus. Its work folder, where it is still there, gives the pictures of drops.

    Raises `DamageError` for a table that cannot be read.
    """
    manifest = load_manifest(corpus)
    examples = examples_of(corpus, manifest)
    tally = Tally()
    kept: dict[str, Shown] = {}
    for shard in manifest.shards:
        kept |= _count_shard(tally, corpus, shard, examples.kept_keys)
    samples = with_places(corpus, _gallery(corpus, manifest))
    kept = {one.key: one for one in with_places(corpus, list(kept.values()))}
    examples = with_recorded(examples, work)
    return Material(
        name=str(manifest.recipe.get("name", "")) or corpus.name,
        manifest=manifest,
        digest=manifest_digest(corpus),
        tally=tally,
        samples=tuple(samples),
        groups=_groups(examples, kept),
        reasons=_reasons(manifest, examples),
    )


def manifest_digest(corpus: Path) -> str:
    """SHA-256 of the manifest as it lies there."""
    return hashlib.sha256((corpus / MANIFEST).read_bytes()).hexdigest()


def _count_shard(
    tally: Tally, corpus: Path, shard: ShardEntry, wanted: Sequence[str]
) -> dict[str, Shown]:
    """Count a shard; its rows of the keys `wanted`."""
    tally.shards += 1
    tally.tar_bytes += shard.bytes
    found: dict[str, Shown] = {}
    path = corpus / "metadata" / shard.metadata.name
    keys = pa.array(wanted, pa.string())
    for rows in _batches(path, [*COLUMNS, _REGIONS]):
        add_rows(tally, rows)
        # The whole picture is a region of every sample, and counts for none.
        count(tally.regions, pc.subtract(pc.list_value_length(rows["regions"]), 1))
        some = rows.filter(pc.is_in(rows["key"], keys))
        found |= {one.key: one for one in _shown(some.drop_columns(["regions"]), shard.name)}
    sizes = _offsets(corpus, shard.name)
    pictures = sizes.filter(pc.ends_with(sizes["member"], ".jpg"))["size"]
    count(tally.picture_kib, pc.divide(pc.add(pictures, 1023), 1024))
    return found


def _gallery(corpus: Path, manifest: Manifest) -> list[Shown]:
    """A draw from all shards, the same always. Keys are digests, so the first rows of a shard are as good as any."""
    if not manifest.shards:
        return []
    each = -(-MAX_SAMPLES // len(manifest.shards))
    chosen = manifest.shards[:: -(-len(manifest.shards) // MAX_SAMPLES)]
    found = []
    for shard in chosen:
        # Twice as many as its share, so that sources that are rare are not left out.
        rows = next(_batches(corpus / "metadata" / shard.metadata.name, None, 2 * each), None)
        found += _in_turn(_shown(rows, shard.name), each) if rows is not None else []
    return found[:MAX_SAMPLES]


def _in_turn(samples: Iterable[Shown], most: int) -> list[Shown]:
    """At most `most` of the samples, one source after the other, in the order of their keys."""
    rank: dict[str, int] = {}
    ranked = []
    for one in samples:
        rank[one.source] = rank.get(one.source, 0) + 1
        ranked.append((rank[one.source], one.key, one))
    chosen = [one for _, _, one in sorted(ranked, key=lambda item: item[:2])[:most]]
    return sorted(chosen, key=lambda one: one.key)


def _shown(rows: pa.RecordBatch, shard: str) -> Iterator[Shown]:
    for row in rows.to_pylist():
        texts = cast("list[dict[str, str]]", row["texts"])
        same = (
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
        yield Shown(
            **{name: row[name] for name in same},
            author=row.get("author", ""),
            texts=tuple(Text(one["type"], one["text"]) for one in texts),
            regions=tuple(
                Region(box_xyxy=tuple(one["box"]), label=one["label"], score=one["score"])
                for one in row.get("regions", ())
            ),
            opt_out=tuple(row["opt_out"]),
            tokens=tuple(row["tokens"]),
            shard=shard,
        )


def with_places(corpus: Path, samples: list[Shown]) -> list[Shown]:
    """The samples with where their pictures lie; one whose offsets table lacks it stays without."""
    places: dict[str, Place] = {}
    for shard in sorted({one.shard for one in samples}):
        table = _offsets(corpus, shard)
        names = pa.array([f"{one.key}.jpg" for one in samples if one.shard == shard], pa.string())
        for row in table.filter(pc.is_in(table["member"], names)).to_pylist():
            places[row["key"]] = Place(corpus / "shards" / shard, row["offset"], row["size"])
    return [replace(one, place=places.get(one.key)) for one in samples]


def _groups(examples: Examples, kept: Mapping[str, Shown]) -> tuple[Group, ...]:
    return tuple(
        Group(key=group.key, kept=kept.get(group.key), copies=group.copies, left=group.left)
        for group in examples.groups
    )


def _reasons(manifest: Manifest, examples: Examples) -> tuple[Reason, ...]:
    return tuple(
        Reason(
            step=step,
            reason=reason,
            count=times,
            examples=examples.of_reason.get((step, reason), ()),
        )
        for step, reasons in manifest.funnel.dropped.items()
        for reason, times in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    )


def _batches(
    path: Path, columns: list[str] | None, rows: int = 1 << 14
) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(rows, columns=columns)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise _damage(path, error) from error


def _offsets(corpus: Path, shard: str) -> pa.Table:
    path = corpus / "shards" / f"{shard.removesuffix('.tar')}.offsets.parquet"
    try:
        return pq.read_table(path, columns=["key", "member", "offset", "size"])
    except (OSError, KeyError, pa.ArrowException) as error:
        raise _damage(path, error) from error


def _damage(path: Path, error: Exception) -> DamageError:
    return DamageError(f"{path}: cannot be read ({in_short(error, 200)}): run `shards verify`")


def add_rows(tally: Tally, rows: pa.RecordBatch) -> None:
    """Count one batch with the columns `COLUMNS`."""
    width, height = rows["width"], rows["height"]
    tally.samples += rows.num_rows
    count(tally.short_side_px, pc.min_element_wise(width, height))
    count(tally.long_side_px, pc.max_element_wise(width, height))
    count(tally.caption_chars, pc.utf8_length(cast("pa.StringArray", rows["caption"])))
    count(tally.caption_types, rows["caption_type"])
    count(tally.sources, rows["source"])
    count(tally.licences, rows["licence"])
    count(tally.opt_outs, pc.list_flatten(rows["opt_out"]))
    count(tally.image_hosts, hosts(rows["image_url"]))
    count(tally.page_hosts, hosts(rows["page_url"]))
    count(tally.text_types, pc.struct_field(pc.list_flatten(rows["texts"]), "type"))
    count_some(tally.words, _words(rows["tokens"]))
    count_some(tally.captions, rows["caption"])
    tally.titles_as_captions += _titles(rows)


def count(counter: Counter[V], values: object) -> None:
    """Add how often each value stands in an array; nulls are passed over."""
    found = pc.value_counts(values)
    for value, times in zip(
        found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True
    ):
        if value is not None:
            counter[value] += times


def count_some(counter: Counter[str], values: object) -> None:
    """`count`, but no new value once there are `MAX_DISTINCT`."""
    found: Counter[str] = Counter()
    count(found, values)
    full = len(counter) >= MAX_DISTINCT
    counter.update({value: times for value, times in found.items() if not full or value in counter})


def hosts(urls: pa.Array) -> pa.Array:
    """Host of each URL, lower case; empty for a path, null for no URL at all."""
    found = pc.struct_field(pc.extract_regex(urls, _HOST), "host")
    paths = pc.and_(pc.is_null(found), pc.not_equal(urls, ""))
    return pc.if_else(paths, "", pc.utf8_lower(found))


def add_host(counter: Counter[str], url: str) -> None:
    """Count the host of one URL as `hosts` names it."""
    if url:
        found = re.match(_HOST, url)
        counter[found["host"].lower() if found else ""] += 1


def _words(tokens: pa.Array) -> pa.Array:
    """Each sample's words once, those of two characters and more that begin and end in a letter."""
    flat = pc.list_flatten(tokens)
    pairs = pa.table({"row": pc.list_parent_indices(tokens), "word": flat})
    once = (
        pairs.filter(pc.match_substring_regex(flat, _WORD)).group_by(["row", "word"]).aggregate([])
    )
    return once["word"].combine_chunks()


def _titles(rows: pa.RecordBatch) -> int:
    texts = rows["texts"]
    flat = pc.list_flatten(texts)
    parents = pc.list_parent_indices(texts)
    captions = pc.take(rows["caption"], parents)
    same = pc.and_(
        pc.equal(pc.struct_field(flat, "type"), "page_title"),
        pc.equal(pc.struct_field(flat, "text"), captions),
    )
    return len(pc.unique(pc.filter(parents, same)))
