import pytest

from wenlan_data.crawl.limits import DEFAULTS
from wenlan_data.crawl.robots import RobotsRules, parse_robots
from wenlan_data.crawl.turn import Turn
from wenlan_data.sources import HostLimits

ROBOTS = "User-agent: *\nDisallow: /private/"


def _state() -> dict[str, object]:
    turn = Turn("a.cn:80", HostLimits(), DEFAULTS, {"ended": "host_unreachable", "failures": 7})
    turn.obey(parse_robots(ROBOTS))
    return turn.state(with_robots=True)


def _later(state: dict[str, object], seconds: float) -> Turn:
    moved = {name: value - seconds if name.endswith("at_s") else value for name, value in state.items()}  # type: ignore[operator]
    return Turn("a.cn:80", HostLimits(), DEFAULTS, moved)


@pytest.mark.parametrize(
    ("seconds", "ended", "knows_rules"),
    [(0, True, True), (DEFAULTS.max_held_s + 60, False, True), (DEFAULTS.max_robots_age_s + 60, False, False)],
)
def test_patience_is_remembered_for_an_hour_and_rules_for_a_day(seconds: float, ended: bool, knows_rules: bool) -> None:
    turn = _later(_state(), seconds)
    assert (turn.ended is not None) == ended
    assert isinstance(turn.rules, RobotsRules) == knows_rules


def test_rules_do_not_grow_younger_as_they_are_handed_on() -> None:
    half_a_day = DEFAULTS.max_robots_age_s / 2 + 60
    once = _later(_state(), half_a_day).state(with_robots=True)
    assert isinstance(_later(once, 0).rules, RobotsRules)
    assert _later(once, half_a_day).rules is None
