from collections import Counter

import pytest

from wenlan_data.report.charts import bars, histogram, share_below, tenths


def test_bars_are_ranked_and_the_rest_is_one_bar() -> None:
    found = bars({"b": 3, "a": 3, "c": 6, "d": 1, "e": 1}, whole=14, most=3)
    assert [(one.label, one.count, one.length) for one in found] == [
        ("c", 6, 1.0), ("a", 3, 0.5), ("b", 3, 0.5), ("2 others", 2, pytest.approx(1 / 3)),
    ]  # fmt: skip


def test_tenths_cover_0_to_1() -> None:
    found = tenths({0: 1, 9: 2, 10: 6, 89: 1, 90: 1, 100: 1})
    assert [one.count for one in found] == [3, 6, 0, 0, 0, 0, 0, 0, 1, 2]
    assert (found[0].label, found[-1].label) == ("0.0 to 0.1", "0.9 to 1.0")
    assert (found[1].length, found[1].share) == (1.0, 0.5)
    assert sum(one.count for one in tenths({})) == 0


def test_a_histogram_counts_everything_once() -> None:
    counts = Counter({value: value % 7 + 1 for value in range(100, 1025)})
    found = histogram("side", "px", counts)
    assert found is not None
    assert sum(one.count for one in found.bars) == counts.total()
    assert (found.low, found.bars[0].label, len(found.bars)) == ("100", "100 to 149", 19)
    assert max(one.length for one in found.bars) == 1.0


def test_what_is_far_above_goes_into_the_last_bin() -> None:
    counts = Counter(dict.fromkeys(range(100), 10)) + Counter({1_000_000: 1})
    found = histogram("size", "KiB", counts)
    assert found is not None
    assert (found.bars[-1].label, found.high, found.largest) == ("95 and more", "100+", 1_000_000)


@pytest.mark.parametrize("counts", [{0: 1}, {36: 50}, {1: 1, 2: 1}, {10**6: 3, 10**9: 1}])
def test_few_values_have_few_bins(counts: dict[int, int]) -> None:
    found = histogram("any", "px", Counter(counts))
    assert found is not None
    assert len(found.bars) <= 32
    assert sum(one.count for one in found.bars) == sum(counts.values())


def test_nothing_has_no_histogram() -> None:
    assert histogram("any", "px", Counter()) is None
    assert share_below(Counter(), 5) == 0


def test_the_share_below_is_strict() -> None:
    assert share_below(Counter({4: 1, 5: 3}), 5) == 0.25
