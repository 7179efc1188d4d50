import time

import pytest

from wenlan_data.records import Drop
from wenlan_data.web.host_state import HOST_UNREACHABLE, HOST_WAITS, Turn
from wenlan_data.web.limits import DEFAULTS, HostLimits, Limits
from wenlan_data.web.response import Response
from wenlan_data.web.robots import RobotsRules, parse_robots

ROBOTS = "User-agent: *\nDisallow: /private/"


def _state() -> dict[str, object]:
    turn = Turn("a.cn:80", HostLimits(), DEFAULTS, {"ended": "host_unreachable", "failures": 7})
    turn.obey(parse_robots(ROBOTS))
    return turn.state(with_robots=True)


def _later(state: dict[str, object], seconds: float) -> Turn:
    moved = {
        name: value - seconds if name.endswith("at_s") and isinstance(value, float) else value
        for name, value in state.items()
    }
    return Turn("a.cn:80", HostLimits(), DEFAULTS, moved)


@pytest.mark.parametrize(
    ("seconds", "ended", "knows_rules"),
    [
        (0, True, True),
        (DEFAULTS.max_held_s + 60, False, True),
        (DEFAULTS.max_robots_age_s + 60, False, False),
    ],
)
def test_patience_is_remembered_for_an_hour_and_rules_for_a_day(
    seconds: float, ended: bool, knows_rules: bool
) -> None:
    turn = _later(_state(), seconds)
    assert (turn.ended is not None) == ended
    assert isinstance(turn.rules, RobotsRules) == knows_rules


def test_rules_do_not_grow_younger_as_they_are_handed_on() -> None:
    half_a_day = DEFAULTS.max_robots_age_s / 2 + 60
    once = _later(_state(), half_a_day).state(with_robots=True)
    assert isinstance(_later(once, 0).rules, RobotsRules)
    assert _later(once, half_a_day).rules is None


def _turn(**limits: float) -> Turn:
    return Turn("a.cn:80", HostLimits(), Limits(**limits), {})  # type: ignore[arg-type]


def _answer(status: int, retry_after: str = "") -> Response:
    headers = (("Retry-After", retry_after),) if retry_after else ()
    return Response(
        status=status, reason="", headers=headers, body=b"", final_url="http://a.cn/", ip=""
    )


@pytest.mark.parametrize(
    ("field", "answer"),
    [
        ("max_failures", Drop("connect", "refused", retryable=True)),
        ("max_failures", Drop("dns", retryable=True)),
        ("max_timeouts", Drop("timeout", "headers", retryable=True)),
        ("max_server_errors", _answer(500)),
    ],
)
def test_a_host_is_left_alone_after_as_many_failures_in_a_row_as_are_allowed(
    field: str, answer: Response | Drop
) -> None:
    turn = _turn(**{field: 4})
    for _ in range(3):
        turn.note(answer)
    turn.note(_answer(200))
    for _ in range(3):
        turn.note(answer)
        assert turn.ended is None
    turn.note(answer)
    assert turn.ended == HOST_UNREACHABLE


def test_the_gap_grows_up_to_its_limit() -> None:
    turn = _turn(max_gap_s=3)
    for gap_s in (2, 3, 3):
        turn.note(_answer(429, "0"))
        assert turn.state(with_robots=False)["gap_s"] == gap_s


@pytest.mark.parametrize(("asked", "ended"), [("8", None), ("9", HOST_WAITS)])
def test_a_host_that_wants_a_longer_wait_than_is_allowed_is_left_alone(
    asked: str, ended: Drop | None
) -> None:
    turn = _turn(max_wait_s=8)
    turn.note(_answer(503, asked))
    assert turn.ended == ended


def test_the_first_wait_is_the_one_that_is_set() -> None:
    turn = _turn(backoff_s=2.5)
    turn.note(_answer(503))
    assert turn.state(with_robots=False)["waited_s"] == 2.5


@pytest.mark.parametrize(("age_s", "ended"), [(30, HOST_UNREACHABLE), (90, None)])
def test_what_a_host_did_counts_as_long_as_is_set(age_s: float, ended: Drop | None) -> None:
    state: dict[str, object] = {"ended": "host_unreachable", "at_s": time.time() - age_s}
    assert Turn("a.cn:80", HostLimits(), Limits(max_held_s=60), state).ended == ended


@pytest.mark.parametrize(("age_s", "knows_rules"), [(30, True), (90, False)])
def test_rules_of_robots_are_remembered_as_long_as_is_set(age_s: float, knows_rules: bool) -> None:
    state: dict[str, object] = {"robots": ROBOTS, "robots_at_s": time.time() - age_s}
    turn = Turn("a.cn:80", HostLimits(), Limits(max_robots_age_s=60), state)
    assert isinstance(turn.rules, RobotsRules) == knows_rules
