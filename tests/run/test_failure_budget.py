from wenlan_data.protocols import Receipt
from wenlan_data.run.failure_budget import Health


def _receipt(hosts: dict[str, dict[str, object]]) -> Receipt:
    return Receipt(details={"hosts": hosts})


def test_a_resolver_that_is_down_is_said_to_be_while_the_crawl_runs() -> None:
    said: list[str] = []
    health = Health(said.append)
    unresolved: dict[str, object] = {"ended": "robots_unavailable", "failing": "dns"}
    fine: dict[str, object] = {"ended": "", "failing": ""}
    health.note(
        _receipt(
            {f"{n}.cn:80": unresolved for n in range(7)} | {f"ok{n}.cn:80": fine for n in range(3)}
        )
    )
    assert said == []
    health.note(
        _receipt(
            {f"b{n}.cn:80": unresolved for n in range(7)}
            | {f"okb{n}.cn:80": fine for n in range(3)}
        )
    )
    assert said[0].startswith("70% of 20 names do not resolve: check your resolver")
    health.note(_receipt({"c.cn:80": unresolved}))
    assert len(said) == 1


def test_hosts_that_are_left_alone_are_named_once_and_ten_of_them() -> None:
    said: list[str] = []
    health = Health(said.append)
    for _ in range(2):
        health.note(
            _receipt({f"{n}.cn:80": {"ended": "host_waits", "failing": "429"} for n in range(12)})
        )
    assert len(said) == 10
    assert said[0] == "paused: 0.cn:80: it wants us to wait (429); --retry-failed asks again"
    health.end()
    assert said[-1] == "paused: 2 more hosts"
