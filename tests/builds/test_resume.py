"""Files of a stopped build never prevent the next command, whichever it is."""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.builds.corpus_runs import (
    COMMAND,
    build,
    build_here,
    captions,
    command,
    content,
    drops,
    manifest,
    photographs,
    refused_here,
    sources_file,
    table,
)
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image


def _photos(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number}.jpg").write_bytes(make_image(number))
        (folder / f"{number}.txt").write_text(make_caption(number), "utf-8")
    return folder


def test_a_finished_rebuild_is_not_repeated(tmp_path: Path) -> None:
    photos = _photos(tmp_path / "photos", range(6))
    build("--sources", f"folder:{photos}", "--out", tmp_path / "old", "--executor", "local")
    words = ["--from", tmp_path / "old", "--out", tmp_path / "new", "--executor", "local"]
    assert build(*words)["new_samples"] == 6
    assert build(*words)["generations"] == []


def test_a_corrupt_source_can_be_left_out(tmp_path: Path) -> None:
    photos = _photos(tmp_path / "photos", range(3))
    (tmp_path / "cut.warc").write_bytes(
        b"WARC/1.1\r\nWARC-Type: response\r\nContent-Length: 900\r\n\r\nshort"
    )
    out = tmp_path / "corpus"
    both = ["--sources", f"warc:{tmp_path}/cut.warc", f"folder:{photos}"]
    failed = command("build", *both, "--out", out, "--executor", "local")
    assert failed.returncode == 1
    assert "cut.warc" in failed.stderr.splitlines()[-1]
    assert (
        build("--sources", f"folder:{photos}", "--out", out, "--executor", "local")["samples"] == 3
    )


def test_a_retry_needs_no_sources_and_keeps_their_politeness(tmp_path: Path, site: Site) -> None:
    rows = photographs(site, range(4))
    good, site.responses["/2.jpg"] = site.responses["/2.jpg"], CannedResponse(status=503)
    table(tmp_path / "a.parquet", rows)
    sources = sources_file(tmp_path / "s.yaml", site, [{"kind": "table", "path": "a.parquet"}])
    out = tmp_path / "corpus"
    assert build("--sources", sources, "--out", out, "--executor", "local")["samples"] == 3
    site.responses["/2.jpg"] = good
    assert build("--out", out, "--executor", "local", "--retry-failed")["samples"] == 4
    assert set(captions(out).values()) == {url for url, _ in rows}

    again = build("--from", out, "--out", tmp_path / "again", "--executor", "local")
    assert again["samples"] == 4
    assert set(captions(tmp_path / "again")) == set(captions(out))


def test_generations_of_folders_and_tables_end_as_undisturbed_after_an_interruption(
    tmp_path: Path, site: Site
) -> None:
    _photos(tmp_path / "photos", range(100, 106))
    table(tmp_path / "a.parquet", photographs(site, range(12)), row_group_size=4)
    kinds = [{"kind": "folder", "path": "photos"}, {"kind": "table", "path": "a.parquet"}]
    sources = sources_file(tmp_path / "s.yaml", site, kinds)
    words = ["--sources", sources, "--executor", "local", "--generation-rows", "10", "--out"]
    build(*words, tmp_path / "undisturbed")
    build(*words, tmp_path / "stopped")
    # As if it had been killed after its first generation: the later ones are not in the manifest.
    build(*words, tmp_path / "first", "--limit", "10")
    assert build(*words, tmp_path / "first")["samples"] == 18
    assert captions(tmp_path / "first") == captions(tmp_path / "undisturbed")
    assert content(tmp_path / "stopped") == content(tmp_path / "undisturbed")


def test_a_limit_over_several_generations_is_resumed_after_a_kill(
    tmp_path: Path, site: Site
) -> None:
    table(tmp_path / "a.parquet", photographs(site, range(16)), row_group_size=4)
    value = {
        "network": {"allow": [site.host]},
        "hosts": {site.host: {"min_gap_s": 0.2}},
        "sources": [{"kind": "table", "path": str(tmp_path / "a.parquet")}],
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(value), "utf-8")
    out = tmp_path / "corpus"
    words = [
        "--sources",
        tmp_path / "s.yaml",
        "--executor",
        "local",
        "--generation-rows",
        "4",
        "--limit",
        "10",
    ]
    with subprocess.Popen(
        [*COMMAND, "build", *map(str, words), "--out", str(out)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while not (out / "manifest.json").exists():
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert len(manifest(out)["generations"]) == 1  # type: ignore[arg-type]
    assert build(*words, "--out", out)["samples"] == 10
    assert (
        build(*words, "--out", out)["samples"] == 16
    )  # a new build, which counts from the beginning


def test_a_crawl_with_a_failed_page_reports_it_at_every_build_until_it_is_requested_again(
    tmp_path: Path, site: Site
) -> None:
    html = {"Content-Type": "text/html; charset=utf-8"}
    (_, alt), *_ = photographs(site, range(1))
    site.responses["/index.html"] = CannedResponse(
        f'<img src="/0.jpg" alt="{alt}"><a href="/2.html">下一页</a>'.encode(), 200, html
    )
    site.responses["/2.html"] = CannedResponse(status=503)
    sources = sources_file(
        tmp_path / "s.yaml", site, [{"kind": "pages", "seeds": [site.url("/index.html")]}]
    )
    words = ["build", "--sources", sources, "--out", tmp_path / "corpus", "--executor", "local"]
    notice = "1 pages failed transiently: --retry-failed requests them again"
    first = command(*words, "--max-failed-share", "1")
    assert (first.returncode, notice in first.stderr) == (0, True)
    second = command(*words)
    assert (notice in second.stderr, "done before" in second.stderr) == (True, True)
    site.responses["/2.html"] = CannedResponse("<p>第二页</p>".encode(), 200, html)
    assert notice not in command(*words, "--retry-failed").stderr
    assert notice not in command(*words).stderr


def _sources_allowing(folder: Path, *allowed_hosts: str, **source: object) -> Path:
    value = {
        "contact": "a@b.cn",
        "network": {"allow": list(allowed_hosts)},
        "hosts": {host: {"min_gap_s": 0} for host in allowed_hosts},
        "sources": [source],
    }
    (folder / "s.yaml").write_text(yaml.safe_dump(value), "utf-8")
    return folder / "s.yaml"


def test_images_of_a_blocked_host_are_requested_once_it_is_allowed(
    tmp_path: Path, site: Site
) -> None:
    table(tmp_path / "a.parquet", photographs(site, range(4)))
    kind = {"kind": "table", "path": "a.parquet"}
    words = ["--out", tmp_path / "corpus", "--executor", "local", "--retry-failed", "--sources"]
    build(*words, _sources_allowing(tmp_path, **kind))
    assert {row["reason"] for row in drops(tmp_path / "corpus")} == {"port"}
    assert build(*words, _sources_allowing(tmp_path, **kind))["generations"] == []
    assert site.log == []
    assert build(*words, _sources_allowing(tmp_path, site.host, **kind))["samples"] == 4
    assert build(*words, _sources_allowing(tmp_path, site.host, **kind))["generations"] == []


def test_pages_of_a_blocked_host_are_crawled_once_it_is_allowed(tmp_path: Path, site: Site) -> None:
    html = {"Content-Type": "text/html; charset=utf-8"}
    with Site() as beside:
        [(_, alt)] = photographs(beside, range(1))
        site.responses["/"] = CannedResponse(
            f'<a href="{beside.url("/")}">旁边</a>'.encode(), 200, html
        )
        beside.responses["/"] = CannedResponse(
            f'<img src="/0.jpg" alt="{alt}">'.encode(), 200, html
        )
        kind = {"kind": "pages", "seeds": [site.url("/")], "follow": [beside.host]}
        words = ["--out", tmp_path / "corpus", "--executor", "local", "--retry-failed", "--sources"]
        assert build(*words, _sources_allowing(tmp_path, site.host, **kind))["pages"] == {
            "port": 1,
            "read": 1,
        }
        assert beside.log == []
        allowing_both = _sources_allowing(tmp_path, site.host, beside.host, **kind)
        assert build(*words, allowing_both)["samples"] == 1
        requests = len(beside.log)
        assert build(*words, allowing_both)["generations"] == []
        assert len(beside.log) == requests


def _write_sources(path: Path, kind: Mapping[str, object], **politeness: object) -> Path:
    path.write_text(yaml.safe_dump({**politeness, "sources": [dict(kind)]}), "utf-8")
    return path


def test_a_host_that_is_excluded_while_a_build_is_stopped_is_left_alone_from_then_on(
    tmp_path: Path, site: Site
) -> None:
    table(tmp_path / "a.parquet", photographs(site, range(20)))
    kind = {"kind": "table", "path": "a.parquet"}
    politeness = {"network": {"allow": [site.host]}, "hosts": {site.host: {"min_gap_s": 0.2}}}
    sources = _write_sources(tmp_path / "s.yaml", kind, **politeness)
    words = ["--sources", str(sources), "--executor", "local", "--out", str(tmp_path / "corpus")]
    with subprocess.Popen(
        [*COMMAND, "build", *words],
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while "/1.jpg" not in site.log:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 11
    (tmp_path / "d.txt").write_text(site.host.partition(":")[0], "utf-8")
    _write_sources(sources, kind, **politeness, exclude={"domains": "d.txt"})
    site.log.clear()
    assert build(*words)["samples"] == 0
    assert site.log == []
    assert {row["reason"] for row in drops(tmp_path / "corpus")} == {"excluded"}


def _stop_before(out: Path, step: str) -> None:
    """Leaves of a finished build what one leaves that is stopped before a step; one that is stopped
    before the manifest has written the shards."""
    steps = ["extract", "slice", "fetch", "near", "dedupe", "shard", "drops", "manifest"]
    left = () if step == "manifest" else ("shards", "metadata", "drops")
    for name in (*left, "report"):
        shutil.rmtree(out / name)
    (out / "manifest.json").unlink()
    for name in steps[steps.index(step) : -1]:
        shutil.rmtree(out / ".work" / "generations" / "000000" / name, ignore_errors=True)


@pytest.mark.parametrize("step", ["extract", "slice", "fetch", "dedupe", "shard", "manifest"])
def test_no_image_is_published_that_is_excluded_while_a_build_is_stopped(
    tmp_path: Path, site: Site, step: str
) -> None:
    rows = photographs(site, range(5))
    html = {"Content-Type": "text/html; charset=utf-8"}
    with Site() as pages:
        pages.responses["/"] = CannedResponse(
            f'<img src="{rows[4][0]}" alt="{rows[4][1]}"><a href="/2.html">2</a>'.encode(),
            200,
            html,
        )
        table(tmp_path / "a.parquet", rows[:4])
        kinds = [
            {"kind": "table", "path": "a.parquet"},
            {"kind": "pages", "seeds": [pages.url("/")]},
        ]
        politeness = {"network": {"allow": [site.host, pages.host]}}
        sources, out = tmp_path / "s.yaml", tmp_path / "corpus"
        value = {**politeness, "hosts": {one.host: {"min_gap_s": 0} for one in (site, pages)}}
        sources.write_text(yaml.safe_dump({**value, "sources": kinds}), "utf-8")
        words = ["--sources", sources, "--out", out, "--set", "shard.max_samples=1"]
        assert build_here(*words)["samples"] == 5
        finished = content(out)
        _stop_before(out, step)
        assert build_here(*words)["samples"] == 5
        assert content(out) == finished

        _stop_before(out, step)
        (tmp_path / "u.txt").write_text(f"{rows[0][0]}\n{pages.url('/')}*\n", "utf-8")
        (tmp_path / "h.txt").write_text(hashlib.sha256(make_image(1)).hexdigest(), "utf-8")
        value["exclude"] = {"urls": "u.txt", "sha256": "h.txt"}
        sources.write_text(yaml.safe_dump({**value, "sources": kinds}), "utf-8")
        assert build_here(*words)["samples"] == 2
        assert set(captions(out).values()) == {rows[2][0], rows[3][0]}
        assert sorted(str(row["url"]) for row in drops(out) if row["reason"] == "excluded") == [
            rows[0][0],
            rows[1][0],
            rows[4][0],
        ]
        assert len(list((out / "shards").glob("*.tar"))) == 2
        assert command("shards", "verify", out).returncode == 0


def test_the_advice_about_a_missing_contact_is_one_that_helps(tmp_path: Path, site: Site) -> None:
    rows = photographs(site, range(3))
    table(tmp_path / "a.parquet", [*rows, ("http://example.org/1.jpg", "雪后的故宫角楼")])
    kind, sources = {"kind": "table", "path": "a.parquet"}, tmp_path / "s.yaml"
    words = ["--sources", _write_sources(sources, kind), "--out", tmp_path / "corpus"]
    refused = refused_here(2, "build", "--executor", "local", *words)
    # The blocked host comes first in the table, and is no reason to open it.
    assert refused.startswith("example.org:80 would be requested without a contact: ")
    assert "contact: in the sources file" in refused
    assert "network.allow" not in refused
    (tmp_path / "d.txt").write_text("example.org", "utf-8")
    politeness = {"contact": "a@b.cn", "exclude": {"domains": "d.txt"}}
    allowed = {"network": {"allow": [site.host]}, "hosts": {site.host: {"min_gap_s": 0}}}
    _write_sources(sources, kind, **politeness, **allowed)
    assert build_here(*words)["samples"] == 3

    table(tmp_path / "b.parquet", rows)
    kind = {"kind": "table", "path": "b.parquet"}
    words = ["--sources", _write_sources(sources, kind), "--out", tmp_path / "private"]
    refused = refused_here(2, "build", "--executor", "local", *words)
    assert "list it under network.allow" in refused
    assert "contact" not in refused
    _write_sources(sources, kind, **allowed)
    assert build_here(*words)["samples"] == 3
