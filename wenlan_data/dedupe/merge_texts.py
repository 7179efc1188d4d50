"""Texts and opt-out signals of kept candidates, merged with those of the candidates that they
represent.

After `selection`: `Decisions.winner` states who represents whom. `write` writes the merged columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from wenlan_data.arrow import Lists, lists, rows, take_lists
from wenlan_data.dedupe.captions import merge
from wenlan_data.dedupe.decisions import Decisions
from wenlan_data.dedupe.table import CandidateTable
from wenlan_data.npy import Indices
from wenlan_data.records import MAX_LIST_ITEMS, MAX_TEXT_CHARACTERS, Text, parse_text

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PatchedColumn:
    """A column with other values in some rows. These are stored beside it, because a copy of the
    column would take hundreds of megabytes."""

    column: "Lists"
    values: "Lists"
    place: Indices
    """int64 (N,): the place of each row in the column, or, from its length on, in the values."""

    def take(self, numbers: Indices) -> "Lists":
        """The values of these rows."""
        place = self.place[numbers]
        is_other = place >= len(self.column)
        own = self.column.take(rows(place[~is_other]))
        other = self.values.take(rows(place[is_other] - len(self.column)))
        # Unchanged rows lie before patched ones in `both`. `argsort` of a permutation is its
        # inverse, which puts them back into the requested order.
        back = np.argsort(np.concatenate([np.flatnonzero(~is_other), np.flatnonzero(is_other)]))
        both: Any = pa.concat_arrays([own, other])
        return take_lists(both, back)


@dataclass(frozen=True, slots=True)
class MergedColumns:
    """Two columns over all candidates; only the rows of kept ones are meaningful."""

    texts: PatchedColumn
    opt_out: PatchedColumn
    cut: int
    """Texts of others that were left out, because a sample has enough of them."""


def merge_columns(
    table: CandidateTable, texts: "Lists", decisions: Decisions, *, merge_texts: bool
) -> MergedColumns:
    """Merges the texts and opt-out signals of each kept candidate with those of the candidates it
    represents.

    Texts of others follow its own in source order, each once, with the highest confidence found for
    it, as many as a sample may have; the signals of all are sorted.
    """
    fetched_signals = lists(table.results, "opt_out")
    signals = lists(table.candidates, "opt_out")
    new_texts: dict[int, list[dict[str, object]]] = {}
    new_signals: dict[int, list[str]] = {}
    cut = 0
    # Only these rows become Python objects. Candidates that represent just themselves and have no
    # signal from their fetch are taken from the columns as they are.
    for winner, members in _groups(_involved(table, decisions)):
        if merge_texts and len(members) > 1:
            new_texts[winner], left_out = _merged_texts(_values(texts, members))
            cut += left_out
        seen: list[list[str]] = [
            *_values(signals, members),
            # Only fetched candidates have a winner, so that no `result` is -1 here.
            *_values(fetched_signals, table.result[members]),
        ]
        if any(seen):
            every = sorted({signal for row in seen for signal in row})
            new_signals[winner] = every[:MAX_LIST_ITEMS]
    return MergedColumns(_patched(texts, new_texts), _patched(signals, new_signals), cut)


def _values(column: "Lists", numbers: Indices) -> list[list[Item]]:
    values: list[list[Item]] = take_lists(column, numbers).to_pylist()
    return values


def _merged_texts(found: list[list[dict[str, object]]]) -> tuple[list[dict[str, object]], int]:
    """Returns the texts of a sample, and how many more there are."""
    own, *others = [list(map(parse_text, row)) for row in found]
    merged = merge(own, [text for row in others for text in row])
    kept = _fitting(merged, len(own))
    return [asdict(one) for one in kept], len(merged) - len(kept)


def _fitting(texts: Sequence[Text], own: int) -> Sequence[Text]:
    """The first texts that a sample may have together, but all of its `own`."""
    characters = 0
    for count, text in enumerate(texts):
        characters += len(text.text)
        if count >= MAX_LIST_ITEMS or (count >= own and characters > MAX_TEXT_CHARACTERS):
            return texts[:count]
    return texts


def _involved(table: CandidateTable, decisions: Decisions) -> Indices:
    """int64 (M, 2): (winner, candidate) for each winner that represents others too, or whose fetch
    found a signal; the row of the winner itself comes first."""
    members = np.flatnonzero(decisions.winner >= 0)
    winners = decisions.winner[members]
    lengths = lists(table.results, "opt_out").value_lengths().to_numpy()
    counts = np.bincount(winners, minlength=len(decisions.winner))
    # The candidates with a signal from their fetch, counted for each winner: one of them is enough.
    signalled = np.bincount(
        winners, weights=lengths[table.result[members]] > 0, minlength=len(decisions.winner)
    )
    here = (counts[winners] > 1) | (signalled[winners] > 0)
    members, winners = members[here], winners[here]
    # By winner; False sorts before True, so the winner itself comes first, then the others in
    # source order.
    order = np.lexsort((members, members != winners, winners))
    return np.stack([winners[order], members[order]], axis=1)


def _groups(pairs: Indices) -> Iterator[tuple[int, Indices]]:
    # `np.split` returns one empty group, not none, where there are no pairs.
    if len(pairs):
        for group in np.split(pairs, np.flatnonzero(pairs[1:, 0] != pairs[:-1, 0]) + 1):
            yield int(group[0, 0]), group[:, 1]


def _patched(column: "Lists", values: Mapping[int, object]) -> PatchedColumn:
    place = np.arange(len(column))
    # A dictionary keeps its order, so its keys and its values name the same rows.
    place[np.fromiter(values, np.int64)] = len(column) + np.arange(len(values))
    new: Any = pa.array(list(values.values()), column.type)
    return PatchedColumn(column, new, place)
