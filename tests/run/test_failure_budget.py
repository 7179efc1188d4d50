from wenlan_data.run.failure_budget import HostMonitor


def test_a_resolver_that_is_down_is_reported_while_the_crawl_runs() -> None:
    lines: list[str] = []
    monitor = HostMonitor(lines.append)
    unresolved: dict[str, object] = {"abandoned": "robots_unavailable", "failing": "dns"}
    fine: dict[str, object] = {"abandoned": "", "failing": ""}
    monitor.add(
        {f"{n}.cn:80": unresolved for n in range(7)} | {f"ok{n}.cn:80": fine for n in range(3)}
    )
    assert lines == []
    monitor.add(
        {f"b{n}.cn:80": unresolved for n in range(7)} | {f"okb{n}.cn:80": fine for n in range(3)}
    )
    assert lines[0].startswith("70% of 20 host names do not resolve: check your resolver")
    monitor.add({"c.cn:80": unresolved})
    assert len(lines) == 1


def test_hosts_that_are_left_alone_are_named_once_and_ten_of_them() -> None:
    lines: list[str] = []
    monitor = HostMonitor(lines.append)
    for _ in range(2):
        monitor.add(
            {f"{n}.cn:80": {"abandoned": "host_waits", "failing": "429"} for n in range(12)}
        )
    assert len(lines) == 10
    assert (
        lines[0]
        == "abandoned: 0.cn:80: it asks for a longer wait (429); --retry-failed requests its URLs again"
    )
    monitor.end()
    assert lines[-1] == "abandoned: 2 more hosts"
