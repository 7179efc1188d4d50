"""Chooses what is shown of what was left out: examples of each reason, and groups of duplicates."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.errors import DamageError, in_short
from wenlan_data.records import Text
from wenlan_data.report.data import Group, Place, Shown
from wenlan_data.shard.manifest import Manifest
from wenlan_data.web.urls import url_key

_COLUMNS = ["url_key", "warc_offset", "bytes"]

EXAMPLES = 4
"""Shown of each reason."""
CONSIDERED = 60
"""Of which they are chosen."""
MAX_GROUPS = 24
MAX_COPIES = 5
MAX_ROWS = 1_000_000
"""Drop rows that are looked at, newest generation first."""
CONSIDERED_COPIES = 20_000


@dataclass(frozen=True, slots=True)
class Examples:
    """What is shown; groups come without their kept samples."""

    of_reason: Mapping[tuple[str, str], tuple[Shown, ...]]
    groups: tuple[Group, ...]

    @property
    def kept_keys(self) -> list[str]:
        """Keys of the samples that the groups are copies of."""
        return [group.key for group in self.groups]


@dataclass(slots=True)
class _Found:
    of_reason: dict[tuple[str, str], list[Shown]] = field(default_factory=dict)
    copies: dict[str, list[Shown]] = field(default_factory=dict)
    copies_taken: int = 0

    def take(self, step: str, row: Shown) -> None:
        if row.duplicate_of:
            if self.copies_taken < CONSIDERED_COPIES:
                self.copies_taken += 1
                self.copies.setdefault(row.duplicate_of, []).append(row)
            return
        some = self.of_reason.setdefault((step, row.reason), [])
        if len(some) < CONSIDERED:
            some.append(row)

    def wanted(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of reasons of which there are not enough yet."""
        full = [
            f"{step}/{reason}"
            for (step, reason), some in self.of_reason.items()
            if len(some) >= CONSIDERED
        ]
        names = pc.binary_join_element_wise(rows["step"], rows["reason"], "/")
        mask = pc.invert(pc.is_in(names, pa.array(full, pa.string())))
        if self.copies_taken >= CONSIDERED_COPIES:
            mask = pc.and_(mask, pc.equal(rows["duplicate_of"], ""))
        return rows.filter(mask)


def examples_of(corpus: Path, manifest: Manifest) -> Examples:
    """Examples of each reason, and the groups of duplicates that most need a look.

    Raises `DamageError` for a table that cannot be read.
    """
    found = _Found()
    looked_at = 0
    for generation, rows in _batches(corpus, manifest):
        for row in found.wanted(rows).to_pylist():
            found.take(row["step"], _shown(row, generation))
        looked_at += rows.num_rows
        if looked_at >= MAX_ROWS:
            break
    return Examples(
        {reason: _varied(some) for reason, some in found.of_reason.items()}, _groups(found.copies)
    )


def _groups(copies: Mapping[str, Sequence[Shown]]) -> tuple[Group, ...]:
    """The groups whose copies are farthest from what is kept: there a wrong verdict would show."""

    def farthest(key: str) -> tuple[int, int, int]:
        some = copies[key]
        return (
            max(one.pdq_distance for one in some),
            max(one.phash_distance for one in some),
            len(some),
        )

    ranked = sorted(copies, key=lambda key: (*(-number for number in farthest(key)), key))
    # In turn by reason, so that one of which there are many leaves room for the others.
    of_reason: Counter[str] = Counter()
    turns = []
    for key in ranked:
        of_reason[copies[key][0].reason] += 1
        turns.append((of_reason[copies[key][0].reason], key))
    chosen = {key for _, key in sorted(turns, key=lambda turn: turn[0])[:MAX_GROUPS]}
    keys = [key for key in ranked if key in chosen]
    groups = []
    for key in keys:
        ordered = sorted(
            copies[key], key=lambda one: (-one.pdq_distance, -one.phash_distance, one.image_url)
        )
        shown = tuple(ordered[:MAX_COPIES])
        groups.append(Group(key=key, kept=None, copies=shown, left=len(ordered) - len(shown)))
    return tuple(groups)


def _varied(rows: Sequence[Shown]) -> tuple[Shown, ...]:
    """Some of the rows, those first whose picture, text or detail is not among them yet."""
    seen: Counter[tuple[str, str]] = Counter()
    ranked = []
    for place, one in enumerate(rows):
        said = (
            ("url", one.image_url),
            ("text", one.texts[0].text if one.texts else ""),
            ("detail", one.detail),
        )
        ranked.append((sum(seen[about] for about in said), place))
        seen.update(said)
    return tuple(rows[place] for _, place in sorted(ranked)[:EXAMPLES])


def _batches(corpus: Path, manifest: Manifest) -> Iterator[tuple[int, pa.RecordBatch]]:
    for entry in reversed(manifest.drops):
        path = corpus / "drops" / entry.name
        try:
            with pq.ParquetFile(path) as file:
                yield from ((int(path.stem), batch) for batch in file.iter_batches(4096))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            reason = in_short(error, 200)
            raise DamageError(
                f"{path}: this drops table cannot be read ({reason}): run `shards verify`"
            ) from error


def _shown(row: Mapping[str, object], generation: int) -> Shown:
    names = (
        "key",
        "page_url",
        "source",
        "reason",
        "detail",
        "duplicate_of",
        "phash_distance",
        "pdq_distance",
    )
    texts = row["texts"]
    return Shown(
        **{name: row[name] for name in names},  # type: ignore[arg-type]
        image_url=str(row["url"]),
        texts=tuple(Text(one["type"], one["text"]) for one in texts)
        if isinstance(texts, list)
        else (),
        generation=generation,
    )


def with_recorded(examples: Examples, work: Path) -> Examples:
    """The examples with where their pictures lie; those that were never fetched, or were removed, stay without."""
    drops = [one for some in examples.of_reason.values() for one in some]
    drops += [one for group in examples.groups for one in group.copies]
    places = _places(work, drops)

    def placed(rows: Iterable[Shown]) -> tuple[Shown, ...]:
        return tuple(
            replace(one, place=places.get((one.generation, url_key(one.image_url)))) for one in rows
        )

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
        for facts in sorted(
            (work / "generations" / f"{generation:06d}" / "fetch").glob("*/facts.parquet")
        ):
            for row in _recorded(facts, names):
                found.setdefault(
                    (generation, row[0]), Place(facts.with_name("images.warc"), row[1], row[2])
                )
    return found


def _recorded(facts: Path, keys: pa.Array) -> list[tuple[str, int, int]]:
    try:
        table = pq.read_table(facts, columns=_COLUMNS)
    except (OSError, pa.ArrowException):
        return []  # `gc` may have been here; a page without these pictures is a page all the same
    mask = pc.and_(pc.is_in(table["url_key"], keys), pc.greater(table["bytes"], 0))
    rows = table.filter(pc.and_(mask, pc.greater_equal(table["warc_offset"], 0)))
    return list(zip(*(rows[name].to_pylist() for name in _COLUMNS), strict=True))
