"""Counts of whole columns of a metadata table; no value becomes a Python object but the distinct ones."""

import re
from collections import Counter
from typing import TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc

from wenlan_data.report.material import MAX_DISTINCT, Tally

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
    for value, times in zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True):
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
    once = pairs.filter(pc.match_substring_regex(flat, _WORD)).group_by(["row", "word"]).aggregate([])
    return once["word"].combine_chunks()


def _titles(rows: pa.RecordBatch) -> int:
    texts = rows["texts"]
    flat = pc.list_flatten(texts)
    parents = pc.list_parent_indices(texts)
    captions = pc.take(rows["caption"], parents)
    same = pc.and_(
        pc.equal(pc.struct_field(flat, "type"), "page_title"), pc.equal(pc.struct_field(flat, "text"), captions)
    )
    return len(pc.unique(pc.filter(parents, same)))
