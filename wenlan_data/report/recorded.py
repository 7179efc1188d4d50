"""Finds the pictures of drops in the work folder of a build: they are in no shard, but in what was recorded."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.crawl.urls import url_key
from wenlan_data.report.drops import Examples
from wenlan_data.report.material import Place, Shown

_COLUMNS = ["url_key", "warc_offset", "bytes"]


def with_recorded(examples: Examples, work: Path) -> Examples:
    """The examples with where their pictures lie; those that were never fetched, or were removed, stay without."""
    drops = [one for some in examples.of_reason.values() for one in some]
    drops += [one for group in examples.groups for one in group.copies]
    places = _places(work, drops)

    def placed(rows: Iterable[Shown]) -> tuple[Shown, ...]:
        return tuple(replace(one, place=places.get((one.generation, url_key(one.image_url)))) for one in rows)

    return Examples(
        {reason: placed(some) for reason, some in examples.of_reason.items()},
        tuple(replace(group, copies=placed(group.copies)) for group in examples.groups),
    )


def _places(work: Path, drops: Iterable[Shown]) -> Mapping[tuple[int, str], Place]:
    wanted: dict[int, set[str]] = defaultdict(set)
    for one in drops:
        if one.image_url:
            wanted[one.generation].add(url_key(one.image_url))
    found: dict[tuple[int, str], Place] = {}
    for generation, keys in wanted.items():
        names = pa.array(sorted(keys), pa.string())
        for facts in sorted((work / "generations" / f"{generation:06d}" / "fetch").glob("*/facts.parquet")):
            for row in _recorded(facts, names):
                found.setdefault((generation, row[0]), Place(facts.with_name("images.warc"), row[1], row[2]))
    return found


def _recorded(facts: Path, keys: pa.Array) -> list[tuple[str, int, int]]:
    try:
        table = pq.read_table(facts, columns=_COLUMNS)
    except (OSError, pa.ArrowException):
        return []  # `gc` may have been here; a page without these pictures is a page all the same
    mask = pc.and_(pc.is_in(table["url_key"], keys), pc.greater(table["bytes"], 0))
    rows = table.filter(pc.and_(mask, pc.greater_equal(table["warc_offset"], 0)))
    return list(zip(*(rows[name].to_pylist() for name in _COLUMNS), strict=True))
