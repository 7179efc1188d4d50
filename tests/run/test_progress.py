"""Progress of steps, and of those that an earlier run had finished."""

from pathlib import Path

import pytest

from wenlan_data.crawl.receipts import CrawlDetails
from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.protocols import Executor, NoDetails, Receipt
from wenlan_data.run.executors.lazy import LazyExecutor
from wenlan_data.run.executors.local import LocalExecutor
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.progress import PlainReporter, TerminalReporter
from wenlan_data.run.scheduler import Job, Scheduler


def _write(out: Path) -> Receipt[NoDetails]:
    (out / "x").write_text("x")
    return Receipt(rows_in=3, details=NoDetails())


def _run(work: Path, executor: Executor) -> None:
    report = PlainReporter()
    with Ledger(work) as ledger:
        report.begin("round 0", "crawl", 2)
        jobs: list[Job[NoDetails]] = [
            Job(number=number, make=lambda _: _write) for number in range(2)
        ]
        scheduler = Scheduler(executor, ledger, 0, "crawl", NoDetails)
        scheduler.run(jobs, report.part, report.part_restored)
        report.end()


def test_a_step_that_an_earlier_run_has_done_starts_no_executor_and_shows_no_speed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts: list[int] = []

    def start() -> Executor:
        starts.append(1)
        return LocalExecutor(1)

    first, second = LazyExecutor(start), LazyExecutor(start)
    _run(tmp_path, first)
    _run(tmp_path, second)
    assert (len(starts), first.start_s is None, second.start_s) == (1, False, None)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("round 0: crawl, 2 parts: 6 pages, ")
    assert lines[0].endswith("/s")
    assert lines[1] == "round 0: crawl, 2 parts: 6 pages, done before"


def test_on_a_terminal_a_step_that_is_over_is_a_line_above_the_bar_of_the_one_that_runs(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    report = TerminalReporter()
    for number in range(60):
        report.begin(f"round {number}", "crawl", 1)
        report.part(0, Receipt(rows_in=7, details=NoDetails()))
        report.end()
        report.begin(f"round {number}", "against", 0)
        report.end()
    report.close()
    lines = [line for line in capfd.readouterr().err.splitlines() if " 7 pages" in line]
    assert [line.split(")")[0] for line in lines] == [
        f"crawl (round {number}" for number in range(60)
    ]


def test_one_part_is_no_plural(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for report in (TerminalReporter(), PlainReporter()):
        for parts in (1, 2):
            report.begin("round 0", "dedupe", parts)
            for number in range(parts):
                report.part(number, Receipt(rows_in=1, details=NoDetails()))
            report.end()
        report.close()
    found = [line for line in capfd.readouterr().err.splitlines() if " candidates" in line]
    assert [" 1 part " in line or "1 part:" in line for line in found] == [True, False] * 2
    assert [" 2 parts " in line or "2 parts:" in line for line in found] == [False, True] * 2


def test_a_log_speaks_of_images_hosts_time_left_and_its_source_while_a_step_runs(
    capfd: pytest.CaptureFixture[str],
) -> None:
    report = PlainReporter(interval_s=0)
    report.begin("round 1 of pages:https://a.cn/", "crawl", 3)
    hosts: dict[str, dict[str, object]] = {"a.cn": {}, "b.cn": {}}
    report.part(0, Receipt(rows_in=40, details=CrawlDetails(hosts=hosts)))
    report.end()
    report.begin("generation 0", "fetch", 2)
    report.part_restored(0, Receipt(rows_in=50, details=FetchDetails(hosts={"c.cn": {}})))
    report.part(1, Receipt(rows_in=50, drops={"dns": 3}, details=FetchDetails(hosts={"d.cn": {}})))
    report.end()
    running, ended, fetched = capfd.readouterr().err.splitlines()
    assert running.startswith("round 1 of pages:https://a.cn/: crawl, 3 parts, 1 done: 40 pages, ")
    assert ", 2 hosts, about " in running
    assert running.endswith(" left")
    assert ended.startswith("round 1 of pages:https://a.cn/: crawl, 3 parts: 40 pages, ")
    assert fetched.startswith("generation 0: fetch, 2 parts: 100 images, ")
    assert fetched.endswith("/s, 2 hosts, dropped: dns 3")
