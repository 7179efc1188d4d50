"""WARCs that are given as sources are trusted by content, and what they hold is not requested."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.builds.corpus_runs import captions, drops, sources_file, table
from tests.builds.test_determinism import DATE, write_warc
from wenlan_data.detect.weights import no_downloads, weights_file
from wenlan_data.errors import DamageError, RecipeError, UsageError
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.preflight import prepare
from wenlan_data.run.runner import BuildResult
from wenlan_data.run.runner import build as run_build
from wenlan_data.sources.formats.file_digest import FileDigests
from wenlan_data.sources.warc import Warc
from wenlan_data.testing import Site, make_caption, make_image
from wenlan_data.web.warc import PayloadWriter

COUNT = 8


def _warc(path: Path, first: int = 0, host: str = "a.cn") -> Path:
    """Writes one page and its images; with another `first`, other images of the same sizes."""
    urls = [f"http://{host}/{n}.jpg" for n in range(COUNT)]
    page = "".join(
        f'<p><img src="{url}" alt="{make_caption(n)}"></p>' for n, url in enumerate(urls)
    )
    images = [make_image(first + n).ljust(20_000, b"\0") for n in range(COUNT)]
    found = [(url, "image/jpeg", image) for url, image in zip(urls, images, strict=True)]
    write_warc(path, [(f"http://{host}/", "text/html; charset=utf-8", page.encode()), *found])
    return path


def _build(out: Path, *words: object, offline: bool = False, retry: bool = False) -> BuildResult:
    """Builds in this process, which takes a fifth of the time of a command."""
    options = BuildOptions(
        out=out, workers=1, executor="local", offline=offline, retry_failed=retry
    )
    return run_build(prepare(options, [str(word) for word in words], None, (), ""))


def _stopped_after(step: str, out: Path, *words: object) -> None:
    """Runs a build that stops when the first part of a step is committed."""
    code = (
        "import os, sys\n"
        "def watch(event, args):\n"
        f"    if event == 'os.rename' and '/{step}/0' in str(args[1]): os._exit(77)\n"
        "sys.addaudithook(watch)\n"
        "from wenlan_data.cli.main import main; main()"
    )
    own = ["build", "--out", str(out), "--executor", "local", *map(str, words)]
    done = subprocess.run([sys.executable, "-c", code, *own], check=False)
    assert done.returncode == 77


@pytest.mark.parametrize("step", ["slice", "fetch"])
def test_a_touched_or_copied_warc_is_the_same_warc(tmp_path: Path, step: str) -> None:
    warc, out = _warc(tmp_path / "a.warc"), tmp_path / "out"
    _stopped_after(step, out, f"warc:{warc}")
    os.utime(warc, (2e9, 2e9))
    assert _build(out, f"warc:{warc}", offline=True).samples == COUNT
    shutil.copyfile(warc, tmp_path / "b.warc")
    (tmp_path / "b.warc").replace(warc)
    assert _build(out, f"warc:{warc}", offline=True).generations == ()


@pytest.mark.parametrize("same_time", [False, True])
def test_another_file_of_equal_size_is_no_source_of_images(tmp_path: Path, same_time: bool) -> None:
    warc, out = _warc(tmp_path / "a.warc"), tmp_path / "out"
    # Its fetch lists are cut, and no image is read.
    _stopped_after("fetch", out, f"warc:{warc}")
    status = warc.stat()
    shutil.copyfile(warc, tmp_path / "kept.warc")
    _warc(tmp_path / "b.warc", first=500)
    assert (tmp_path / "b.warc").stat().st_size == status.st_size
    (tmp_path / "b.warc").replace(warc)
    if same_time:
        os.utime(warc, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DamageError, match=r"a\.warc: at byte \d+: not the .*put the old file back"):
        _build(out, f"warc:{warc}")
    assert not (out / "manifest.json").exists()
    (tmp_path / "kept.warc").replace(warc)
    assert _build(out, f"warc:{warc}").samples == COUNT


def test_another_file_before_anything_was_fetched_is_read_as_what_it_is(tmp_path: Path) -> None:
    warc, out = _warc(tmp_path / "a.warc"), tmp_path / "out"
    _stopped_after("slice", out, f"warc:{warc}")
    _warc(tmp_path / "b.warc", first=500, host="b.cn").replace(warc)
    assert _build(out, f"warc:{warc}", offline=True).samples == COUNT
    assert all(url.startswith("http://b.cn/") for url in captions(out).values())


def test_a_file_that_changes_between_two_passes_is_refused(tmp_path: Path) -> None:
    warc = _warc(tmp_path / "a.warc")
    source = Warc(path=str(warc))
    [part] = source.parts(source=0, max_rows=1)
    part = replace(part, sha256=FileDigests().sha256(warc))
    responses = source.images(part)
    assert next(responses).url == "http://a.cn/"
    _warc(tmp_path / "b.warc", first=500).replace(warc)
    with pytest.raises(UsageError, match=r"a\.warc: its content is not that"):
        list(responses)
    with pytest.raises(UsageError, match=r"a\.warc: its content is not that"):
        list(source.read(part))


def test_digests_are_kept_of_files_that_have_settled(tmp_path: Path) -> None:
    file, cache = tmp_path / "a", tmp_path / "digests.json"
    file.write_bytes(b"1")
    first = FileDigests(cache).sha256(file)
    # It may change again within one tick of the clock.
    assert not cache.exists()
    status = file.stat()
    while time.time_ns() < status.st_ctime_ns + 2_100_000_000:
        time.sleep(0.1)
    assert FileDigests(cache).sha256(file) == first
    known = json.loads(cache.read_text("utf-8"))
    assert known[str(file)][-1] == first
    # A digest from the cache is not computed again, unless anything about the file has changed.
    cache.write_text(json.dumps({str(file): [*known[str(file)][:-1], "kept"]}), "utf-8")
    assert FileDigests(cache).sha256(file) == "kept"
    file.write_bytes(b"2")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert FileDigests(cache).sha256(file) == hashlib.sha256(b"2").hexdigest()
    for corrupt in (b"", b"[1]", b"[" * 100_000, b'{"a": 1}', b'{"a": ["x", 2]}', b"\xff"):
        cache.write_bytes(corrupt)
        assert FileDigests(cache).sha256(file) == hashlib.sha256(b"2").hexdigest()


def test_the_digests_of_many_small_files_are_written_a_few_times(tmp_path: Path) -> None:
    cache, files = tmp_path / "digests.json", [tmp_path / str(number) for number in range(500)]
    for file in files:
        file.write_text(file.name, "utf-8")
    time.sleep(2.1)
    digests, writes, started = FileDigests(cache), set(), time.monotonic()
    for file in files:
        digests.sha256(file)
        writes.add(cache.stat().st_mtime_ns)
    assert len(writes) <= 1 + (time.monotonic() - started)


def _held(path: Path, host: str) -> None:
    """Writes an image, failures, a redirect to the image, and a redirect to what is not held."""
    answers: list[tuple[str, str, list[tuple[str, str]], bytes]] = [
        ("0.jpg", "200 OK", [], make_image(0)),
        ("gone.jpg", "404 Not Found", [], b""),
        ("busy.jpg", "503 Busy", [], b""),
        ("page.jpg", "200 OK", [("Content-Type", "text/html")], b"<html>not here" * 200),
        ("old.jpg", "301 Moved", [("Location", "/new.jpg")], b""),
        ("broken.jpg", "200 OK", [("Content-Encoding", "br")], b"\x00\xff no brotli" * 9),
        ("away.jpg", "302 Found", [("Location", f"http://{host}/1.jpg")], b""),
    ]
    with PayloadWriter(path) as writer:
        for name, status, headers, body in answers:
            writer.response(f"http://{host}/{name}", body, status=status, headers=headers,
                            sha256="", ip="192.0.2.1", date=DATE)  # fmt: skip
        writer.response(f"http://{host}/new.jpg", make_image(40), status="200 OK", headers=[],
                        sha256="", ip="192.0.2.1", date=DATE)  # fmt: skip


_WATCHED = (
    "import sys\n"
    "def watch(event, args):\n"
    "    if event in ('socket.getaddrinfo', 'socket.gethostbyname', 'socket.gethostbyaddr'):\n"
    "        sys.stderr.write(f'LOOK-UP {args[0]}\\n')\n"
    "    elif event == 'socket.connect' and isinstance(args[1], tuple):\n"
    "        sys.stderr.write(f'CONNECT {args[1]}\\n')\n"
    "sys.addaudithook(watch)\n"
    "from wenlan_data.cli.main import main; main()"
)


def _watched(out: Path, *words: object) -> tuple[dict[str, object], list[str]]:
    """Runs a build; returns its result and the look-ups and connections of its process."""
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, "build", *map(str, words), "--out", str(out),
         "--executor", "local", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    seen = [line for line in lines if line.startswith(("LOOK-UP", "CONNECT"))]
    return json.loads(done.stdout), seen


REASONS = {
    "gone.jpg": "http_status",
    "busy.jpg": "status_5xx",
    "page.jpg": "not_image",
    "broken.jpg": "encoding",
}


def _sources(folder: Path, site: Site) -> Path:
    _held(folder / "a.warc", site.host)
    names = ["0.jpg", "old.jpg", *REASONS, "away.jpg", "1.jpg"]
    rows = [(site.url(f"/{name}"), make_caption(n)) for n, name in enumerate(names)]
    table(folder / "t.parquet", rows)
    kinds = [{"kind": "table", "path": "t.parquet"}, {"kind": "warc", "path": "a.warc"}]
    return sources_file(folder / "sources.yaml", site, kinds)


def test_what_a_warc_holds_is_not_requested_failures_and_redirects_included(
    tmp_path: Path, site: Site
) -> None:
    sources, out = _sources(tmp_path, site), tmp_path / "out"

    def requested() -> set[str]:
        paths = {path for path in site.log if path.endswith(".jpg")}
        site.log.clear()
        return paths

    _build(out, sources, offline=True)
    assert site.log == []
    with pytest.raises(UsageError, match="leave one of them out"):
        _build(out, sources, offline=True, retry=True)
    # Known rows are not read again.
    _build(out, sources)
    assert requested() == set()
    # `away.jpg` leads to what the WARC does not hold. `--retry-failed` requests the
    # transient failure that the WARC recorded.
    _build(out, sources, retry=True)
    assert requested() == {"/away.jpg", "/1.jpg", "/busy.jpg"}
    _build(tmp_path / "online", sources)
    assert requested() == {"/away.jpg", "/1.jpg"}
    found = {
        str(row["url"]).rpartition("/")[2]: row["reason"] for row in drops(tmp_path / "online")
    }
    assert {name: found[name] for name in REASONS} == REASONS
    kept = {url.rpartition("/")[2] for url in captions(tmp_path / "online").values()}
    assert kept == {"0.jpg", "old.jpg"}


@pytest.mark.parametrize("way", ["option", "file"])
def test_an_offline_build_makes_no_request_and_no_look_up(
    tmp_path: Path, site: Site, way: str
) -> None:
    sources, out = _sources(tmp_path, site), tmp_path / "out"
    text = sources.read_text("utf-8") + (
        "- {kind: pages, seeds: ['http://pages.invalid/', 'http://other.invalid/']}\n"
    )
    if way == "file":
        text = text.replace("network:\n", "network:\n  offline: true\n")
    sources.write_text(text, "utf-8")
    table(tmp_path / "u.parquet", [("http://names.invalid/x.jpg", make_caption(70))])
    words = [sources, f"table:{tmp_path}/u.parquet"]
    if way == "option":
        result, seen = _watched(out, *words, "--offline")
        assert seen == []
    else:
        result = asdict(_build(out, *words))
    assert site.log == []
    rows = {str(row["url"]).rpartition("/")[2]: row for row in drops(out)}
    for name in ("away.jpg", "1.jpg", "x.jpg"):
        assert (rows[name]["reason"], rows[name]["retryable"]) == ("offline", True)
    assert result["samples"] == 2
    assert result["pages"] == {"offline": 2}


def test_an_offline_build_finishes_what_another_one_began(tmp_path: Path, site: Site) -> None:
    sources, out = _sources(tmp_path, site), tmp_path / "out"
    _stopped_after("fetch", out, sources)
    site.log.clear()
    assert _build(out, sources, offline=True).samples == 2
    assert site.log == []


def test_the_watch_sees_what_a_build_that_is_not_offline_does(tmp_path: Path, site: Site) -> None:
    table(tmp_path / "t.parquet", [(site.url("/1.jpg"), make_caption(1))])
    sources = sources_file(tmp_path / "s.yaml", site, [{"kind": "table", "path": "t.parquet"}])
    _, seen = _watched(tmp_path / "out", sources)
    assert any(line.startswith("CONNECT") for line in seen)


def test_an_offline_build_downloads_no_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WENLAN_DATA_CACHE", str(tmp_path))
    with no_downloads(), pytest.raises(RecipeError, match="an offline build downloads nothing"):
        weights_file("yolox_nano")
