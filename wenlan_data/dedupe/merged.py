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
class Merged:
    """Two columns, one entry a kept candidate."""

    texts: pa.ListArray
    opt_out: pa.ListArray


def merged(intake: Intake, texts: pa.ListArray, fates: Fates, kept: Indices, *, merge_texts: bool) -> Merged:
    """The columns for the candidates `kept`, in this order.

    Texts of others follow its own in source order, each once; signals of every copy count, sorted.
    """
    facts = intake.facts["opt_out"].combine_chunks()
    signals = intake.candidates["opt_out"].combine_chunks()
    new_texts: dict[int, list[dict[str, str]]] = {}
    new_signals: dict[int, list[str]] = {}
    for owner, rows in _groups(_involved(intake, fates)):
        own = texts.take(pa.array(rows)).to_pylist()
        if merge_texts and len(rows) > 1:
            found = [[Text(one["type"], one["text"]) for one in row] for row in own]
            all_texts = merge(found[0], [text for row in found[1:] for text in row])
            new_texts[owner] = [{"type": text.type, "text": text.text} for text in all_texts]
        seen = signals.take(pa.array(rows)).to_pylist() + facts.take(pa.array(intake.fact[rows])).to_pylist()
        new_signals[owner] = sorted({signal for row in seen for signal in row})
    return Merged(_patched(texts, kept, new_texts), _patched(signals, kept, new_signals))


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
    starts = np.flatnonzero(np.append(True, pairs[1:, 0] != pairs[:-1, 0])) if len(pairs) else np.empty(0, int)
    for start, stop in zip(starts, [*starts[1:], len(pairs)], strict=True):
        yield int(pairs[start, 0]), pairs[start:stop, 1]


def _patched(column: pa.ListArray, rows: Indices, values: Mapping[int, object]) -> pa.ListArray:
    """`column[rows]`, but with `values[row]` where there is one."""
    if not values:
        return column.take(pa.array(rows))
    place = np.arange(len(column))
    place[np.fromiter(values, np.int64)] = len(column) + np.arange(len(values))
    both = pa.concat_arrays([column, pa.array(list(values.values()), column.type)])
    return both.take(pa.array(place[rows]))
