import time

import pytest

from wenlan_data.fetch.results import EPOCH
from wenlan_data.records import Drop
from wenlan_data.web.host_state import HOST_UNREACHABLE, HOST_WAITS, HostState
from wenlan_data.web.limits import DEFAULTS, HostLimits, Limits
from wenlan_data.web.response import Response
from wenlan_data.web.robots import RobotsRules, parse_robots

ROBOTS = "User-agent: *\nDisallow: /private/"


def _state() -> dict[str, object]:
    host = HostState(
        "a.cn:80", HostLimits(), DEFAULTS, {"abandoned": "host_unreachable", "failures": 7}
    )
    host.apply_robots(parse_robots(ROBOTS))
    return host.to_json(with_robots=True)


def _later(state: dict[str, object], seconds: float) -> HostState:
    moved = {
        name: value - seconds if name.endswith("at_s") and isinstance(value, float) else value
        for name, value in state.items()
    }
    return HostState("a.cn:80", HostLimits(), DEFAULTS, moved)


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
    host = _later(_state(), seconds)
    assert (host.abandoned is not None) == ended
    assert isinstance(host.robots, RobotsRules) == knows_rules


def test_rules_do_not_grow_younger_as_they_are_handed_on() -> None:
    half_a_day = DEFAULTS.max_robots_age_s / 2 + 60
    once = _later(_state(), half_a_day).to_json(with_robots=True)
    assert isinstance(_later(once, 0).robots, RobotsRules)
    assert _later(once, half_a_day).robots is None


def _host(**limits: float) -> HostState:
    return HostState("a.cn:80", HostLimits(), Limits(**limits), {})  # type: ignore[arg-type]


def _response(status: int, retry_after: str = "") -> Response:
    headers = (("Retry-After", retry_after),) if retry_after else ()
    return Response(
        status=status,
        reason="",
        headers=headers,
        body=b"",
        final_url="http://a.cn/",
        ip="",
        received_at=EPOCH,
    )


@pytest.mark.parametrize(
    ("field", "result"),
    [
        ("max_failures", Drop("connect", "refused", retryable=True)),
        ("max_failures", Drop("dns", retryable=True)),
        ("max_timeouts", Drop("timeout", "headers", retryable=True)),
        ("max_server_errors", _response(500)),
    ],
)
def test_a_host_is_left_alone_after_as_many_failures_in_a_row_as_are_allowed(
    field: str, result: Response | Drop
) -> None:
    host = _host(**{field: 4})
    for _ in range(3):
        host.record(result)
    host.record(_response(200))
    for _ in range(3):
        host.record(result)
        assert host.abandoned is None
    host.record(result)
    assert host.abandoned == HOST_UNREACHABLE


def test_the_gap_grows_up_to_its_limit() -> None:
    host = _host(max_gap_s=3)
    for gap_s in (2, 3, 3):
        host.record(_response(429, "0"))
        assert host.to_json(with_robots=False)["gap_s"] == gap_s


@pytest.mark.parametrize(("retry_after", "ended"), [("8", None), ("9", HOST_WAITS)])
def test_a_host_that_wants_a_longer_wait_than_is_allowed_is_left_alone(
    retry_after: str, ended: Drop | None
) -> None:
    host = _host(max_wait_s=8)
    host.record(_response(503, retry_after))
    assert host.abandoned == ended


def test_the_first_wait_is_the_one_that_is_set() -> None:
    host = _host(backoff_s=2.5)
    host.record(_response(503))
    assert host.to_json(with_robots=False)["waited_s"] == 2.5


@pytest.mark.parametrize(("age_s", "ended"), [(30, HOST_UNREACHABLE), (90, None)])
def test_what_a_host_did_counts_as_long_as_is_set(age_s: float, ended: Drop | None) -> None:
    state: dict[str, object] = {"abandoned": "host_unreachable", "at_s": time.time() - age_s}
    assert HostState("a.cn:80", HostLimits(), Limits(max_held_s=60), state).abandoned == ended


@pytest.mark.parametrize(("age_s", "knows_rules"), [(30, True), (90, False)])
def test_rules_of_robots_are_remembered_as_long_as_is_set(age_s: float, knows_rules: bool) -> None:
    state: dict[str, object] = {"robots": ROBOTS, "robots_at_s": time.time() - age_s}
    host = HostState("a.cn:80", HostLimits(), Limits(max_robots_age_s=60), state)
    assert isinstance(host.robots, RobotsRules) == knows_rules
