"""The texts and opt-out signals of kept candidates, with those of the candidates that they stand for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import pyarrow as pa

from wenlan_data.arrow import Lists, lists, rows
from wenlan_data.dedupe.captions import merge
from wenlan_data.dedupe.decisions import Decisions
from wenlan_data.dedupe.table import CandidateTable
from wenlan_data.npy import Indices
from wenlan_data.records import Text

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PatchedColumn:
    """A column of which some rows have other values. Not joined: the column is hundreds of megabytes."""

    column: "Lists"
    values: "Lists"
    place: Indices
    """For each row where it lies, counted on from the column to the values."""

    def take(self, numbers: Indices) -> "Lists":
        """The values of these rows."""
        place = self.place[numbers]
        is_other = place >= len(self.column)
        own = self.column.take(rows(place[~is_other]))
        other = self.values.take(rows(place[is_other] - len(self.column)))
        back = np.argsort(np.concatenate([np.flatnonzero(~is_other), np.flatnonzero(is_other)]))
        return cast("Lists", pa.concat_arrays([own, other]).take(rows(back)))


@dataclass(frozen=True, slots=True)
class MergedColumns:
    """Two columns over all candidates; only the rows of kept ones mean something."""

    texts: PatchedColumn
    opt_out: PatchedColumn


def merge_columns(
    table: CandidateTable, texts: "Lists", decisions: Decisions, *, merge_texts: bool
) -> MergedColumns:
    """Put together what belongs to each kept candidate.

    Texts of others follow its own in source order, each once; signals of every copy count, sorted.
    """
    facts = lists(table.results, "opt_out")
    signals = lists(table.candidates, "opt_out")
    new_texts: dict[int, list[dict[str, str]]] = {}
    new_signals: dict[int, list[str]] = {}
    for owner, members in _groups(_involved(table, decisions)):
        if merge_texts and len(members) > 1:
            new_texts[owner] = _merged_texts(_values(texts, members))
        seen: list[list[str]] = [*_values(signals, members), *_values(facts, table.result[members])]
        if any(seen):
            new_signals[owner] = sorted({signal for row in seen for signal in row})
    return MergedColumns(_patched(texts, new_texts), _patched(signals, new_signals))


def _values(column: "Lists", numbers: Indices) -> list[list[Item]]:
    return cast("list[list[Item]]", column.take(rows(numbers)).to_pylist())


def _merged_texts(found: list[list[dict[str, str]]]) -> list[dict[str, str]]:
    own, *others = [[Text(one["type"], one["text"]) for one in row] for row in found]
    return [
        {"type": one.type, "text": one.text}
        for one in merge(own, [text for row in others for text in row])
    ]


def _involved(table: CandidateTable, decisions: Decisions) -> Indices:
    """int64 (M, 2): (owner, candidate) wherever more than the candidate's own row counts; the owner comes first."""
    members = np.flatnonzero(decisions.winner >= 0)
    owners = decisions.winner[members]
    lengths = lists(table.results, "opt_out").value_lengths().to_numpy()
    counts = np.bincount(owners, minlength=len(decisions.winner))
    signalled = np.bincount(
        owners, weights=lengths[table.result[members]] > 0, minlength=len(decisions.winner)
    )
    here = (counts[owners] > 1) | (signalled[owners] > 0)
    members, owners = members[here], owners[here]
    order = np.lexsort((members, members != owners, owners))
    return np.stack([owners[order], members[order]], axis=1)


def _groups(pairs: Indices) -> Iterator[tuple[int, Indices]]:
    if len(pairs):
        for group in np.split(pairs, np.flatnonzero(pairs[1:, 0] != pairs[:-1, 0]) + 1):
            yield int(group[0, 0]), group[:, 1]


def _patched(column: "Lists", values: Mapping[int, object]) -> PatchedColumn:
    place = np.arange(len(column))
    place[np.fromiter(values, np.int64)] = len(column) + np.arange(len(values))
    return PatchedColumn(column, cast("Lists", pa.array(list(values.values()), column.type)), place)
