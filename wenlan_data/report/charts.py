"""Turns counts into bars and histograms, ready to be drawn."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

MAX_BINS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A line of a bar list, or a bin of a histogram."""

    label: str
    count: int
    length: float
    """Share of the longest bar, 0 to 1."""
    share: float
    """Share of the whole, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Bins of equal width; the last one also counts all larger values."""

    title: str
    unit: str
    bars: tuple[Bar, ...]
    low: str
    high: str
    median: int
    largest: int


def bars(
    counts: Mapping[str, int], *, whole: int, most: int, rest: str = "others"
) -> tuple[Bar, ...]:
    """Returns the `most` largest counts, and one more bar for the rest."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ranked[:most]
    remaining = sum(count for _, count in ranked[most:])
    longest = max((count for _, count in shown), default=1)
    lines = [*shown, (f"{len(ranked) - most} {rest}", remaining)] if remaining else shown
    return tuple(
        Bar(label=label, count=count, length=min(1.0, count / longest), share=count / max(1, whole))
        for label, count in lines
    )


def histogram(title: str, unit: str, counts: Counter[int]) -> Histogram | None:
    """Returns a histogram up to the 99th percentile, None if nothing was counted.

    A few very large values would otherwise squeeze all others into the first bin.
    """
    if not counts:
        return None
    values = sorted(counts)
    sums = list(accumulate(counts[value] for value in values))
    top = _quantile(values, sums, 0.99)
    step = _step(values[0], top)
    first = values[0] // step * step
    bins = (top - first) // step + 1
    filled: Counter[int] = Counter()
    for value, count in counts.items():
        filled[min((value - first) // step, bins - 1)] += count
    longest = max(filled.values())
    drawn = tuple(
        Bar(
            label=_label(
                first + index * step,
                step,
                last=index == bins - 1 and values[-1] >= first + bins * step,
            ),
            count=filled[index],
            length=filled[index] / longest,
            share=filled[index] / sums[-1],
        )
        for index in range(bins)
    )
    high = f"{first + bins * step:,}" + ("+" if values[-1] >= first + bins * step else "")
    return Histogram(
        title=title,
        unit=unit,
        bars=drawn,
        low=f"{first:,}",
        high=high,
        median=_quantile(values, sums, 0.5),
        largest=values[-1],
    )


def tenths(counts: Mapping[int, int]) -> tuple[Bar, ...]:
    """Returns ten bars over [0, 1] of values that are counted in hundredths; the last one also
    counts 1."""
    filled: Counter[int] = Counter()
    for value, count in counts.items():
        filled[min(value // 10, 9)] += count
    longest, whole = max(filled.values(), default=1), max(1, filled.total())
    return tuple(
        Bar(
            label=f"{tenth / 10:.1f} to {(tenth + 1) / 10:.1f}",
            count=filled[tenth],
            length=filled[tenth] / longest,
            share=filled[tenth] / whole,
        )
        for tenth in range(10)
    )


def share_below(counts: Counter[int], limit: int) -> float:
    """Returns the share of values that are below `limit`, 0 to 1."""
    return sum(counts[value] for value in counts if value < limit) / max(1, counts.total())


def _quantile(values: list[int], sums: list[int], share: float) -> int:
    return next(
        value for value, total in zip(values, sums, strict=True) if total >= share * sums[-1]
    )


def _step(low: int, high: int) -> int:
    """Returns the smallest bin width of 1, 2, 5, 10, 20, ... with at most `MAX_BINS` bins."""
    size = 1
    while True:
        for step in (size, 2 * size, 5 * size):
            if (high - low // step * step) // step + 1 <= MAX_BINS:
                return step
        size *= 10


def _label(low: int, step: int, *, last: bool) -> str:
    if last:
        return f"{low:,} and more"
    return f"{low:,}" if step == 1 else f"{low:,} to {low + step - 1:,}"
