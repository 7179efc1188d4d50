"""The texts and opt-out signals of kept candidates, with those of the candidates that they stand for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wenlan_data.dedupe.captions import merge
from wenlan_data.dedupe.fates import Fates
from wenlan_data.dedupe.intake import Intake
from wenlan_data.records import Text

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Patched:
    """A column of which some rows have other values. Not joined: the column is hundreds of megabytes."""

    column: pa.ListArray
    values: pa.ListArray
    place: Indices
    """For each row where it lies, counted on from the column to the values."""

    def take(self, rows: Indices) -> pa.ListArray:
        """The values of these rows."""
        place = self.place[rows]
        is_other = place >= len(self.column)
        own = self.column.take(pa.array(rows[~is_other]))
        other = self.values.take(pa.array(place[is_other] - len(self.column)))
        back = np.argsort(np.concatenate([np.flatnonzero(~is_other), np.flatnonzero(is_other)]))
        return pa.concat_arrays([own, other]).take(pa.array(back))


@dataclass(frozen=True, slots=True)
class Merged:
    """Two columns over all candidates; only the rows of kept ones mean something."""

    texts: Patched
    opt_out: Patched


def merged(intake: Intake, texts: pa.ListArray, fates: Fates, *, merge_texts: bool) -> Merged:
    """Put together what belongs to each kept candidate.

    Texts of others follow its own in source order, each once; signals of every copy count, sorted.
    """
    facts = intake.facts["opt_out"].combine_chunks()
    signals = intake.candidates["opt_out"].combine_chunks()
    new_texts: dict[int, list[dict[str, str]]] = {}
    new_signals: dict[int, list[str]] = {}
    for owner, rows in _groups(_involved(intake, fates)):
        if merge_texts and len(rows) > 1:
            new_texts[owner] = _merged_texts(texts.take(pa.array(rows)).to_pylist())
        seen = signals.take(pa.array(rows)).to_pylist() + facts.take(pa.array(intake.fact[rows])).to_pylist()
        if any(seen):
            new_signals[owner] = sorted({signal for row in seen for signal in row})
    return Merged(_patched(texts, new_texts), _patched(signals, new_signals))


def _merged_texts(rows: list[list[dict[str, str]]]) -> list[dict[str, str]]:
    own, *others = [[Text(one["type"], one["text"]) for one in row] for row in rows]
    return [{"type": one.type, "text": one.text} for one in merge(own, [text for row in others for text in row])]


def _involved(intake: Intake, fates: Fates) -> Indices:
    """int64 (M, 2): (owner, candidate) wherever more than the candidate's own row counts; the owner comes first."""
    rows = np.flatnonzero(fates.owner >= 0)
    owners = fates.owner[rows]
    lengths = pc.list_value_length(intake.facts["opt_out"]).to_numpy()
    counts = np.bincount(owners, minlength=len(fates.owner))
    signalled = np.bincount(owners, weights=lengths[intake.fact[rows]] > 0, minlength=len(fates.owner))
    here = (counts[owners] > 1) | (signalled[owners] > 0)
    rows, owners = rows[here], owners[here]
    order = np.lexsort((rows, rows != owners, owners))
    return np.stack([owners[order], rows[order]], axis=1)


def _groups(pairs: Indices) -> Iterator[tuple[int, Indices]]:
    if len(pairs):
        for group in np.split(pairs, np.flatnonzero(pairs[1:, 0] != pairs[:-1, 0]) + 1):
            yield int(group[0, 0]), group[:, 1]


def _patched(column: pa.ListArray, values: Mapping[int, object]) -> Patched:
    place = np.arange(len(column))
    place[np.fromiter(values, np.int64)] = len(column) + np.arange(len(values))
    return Patched(column, pa.array(list(values.values()), column.type), place)
