"""Files of the work folder that are lost, truncated or changed: one line, and never other bytes."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bounds import bounded
from tests.builds.corpus_runs import build_here, content, photographs, run_here, sources_file, table
from tests.mutations import mutations
from wenlan_data.errors import DamageError, WenlanError
from wenlan_data.extract.step import ExtractDetails
from wenlan_data.fetch.receipts import FetchDetails, FetchListDetails
from wenlan_data.layout import WorkFolder
from wenlan_data.part_files import redo_part
from wenlan_data.run.generations import GenerationPlan, read_stamps
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.output_id import load_build_record
from wenlan_data.run.row_limit import RowLimit
from wenlan_data.sources.formats.file_digest import FileDigests
from wenlan_data.state_files import encode_state
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image


def _photos(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number}.jpg").write_bytes(make_image(number))
        (folder / f"{number}.txt").write_text(make_caption(number), "utf-8")
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of two generations, in the folder `corpus` beside its photographs."""
    folder = tmp_path_factory.mktemp("published")
    photos = _photos(folder / "photos", range(4))
    build_here("--sources", f"folder:{photos}", "--out", folder / "corpus")
    _photos(photos, range(4, 6))
    build_here("--sources", f"folder:{photos}", "--out", folder / "corpus")
    return folder


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of one generation, in the folder `corpus` beside its photographs."""
    folder = tmp_path_factory.mktemp("single")
    photos = _photos(folder / "photos", range(4))
    build_here("--sources", f"folder:{photos}", "--out", folder / "corpus")
    return folder


def _words(folder: Path, out: Path) -> list[object]:
    return ["--sources", f"folder:{folder / 'photos'}", "--out", out]


def _fails(code: int, *words: object, parts: tuple[str, ...] = ()) -> str:
    error = run_here(*words, "--executor", "local", "--workers", "1").exception
    assert isinstance(error, WenlanError), repr(error)
    assert error.exit_code == code, error
    assert "\n" not in str(error)
    assert all(part in str(error) for part in parts), error
    return str(error)


def _flip(path: Path) -> None:
    _flip_at(path, path.stat().st_size // 2)


def _flip_at(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("000000/extract/00000/raw.parquet", Path.unlink),
        ("000000/extract/00000/raw.parquet", _flip),
        ("000000/extract/00000", shutil.rmtree),
        ("000001/extract/00000/raw.parquet", Path.unlink),
        ("000000/fetch/00000/facts.parquet", Path.unlink),
        ("000000/fetch/00000/facts.parquet", _flip),
        ("000001/fetch/00000/images.warc", Path.unlink),
        ("000000/fetch/00000/images.warc", _flip),
        ("000000/fetch/00000", shutil.rmtree),
        ("000000/fetch/00000/receipt.json", Path.unlink),
        ("000000/slice/00000/receipt.json", Path.unlink),
        ("000000/extract/00000/receipt.json", _cut),
        ("000001/plan.json", _cut),
    ],
)
def test_a_rebuild_from_a_lost_or_changed_recording_is_refused(
    tmp_path: Path, published: Path, name: str, change: Callable[[Path], object]
) -> None:
    old = tmp_path / "old"
    shutil.copytree(published / "corpus", old)
    change(old / ".work/generations" / name)
    lost = Path(name).name if "." in name else Path(name).parent.name
    _fails(1, "build", "--from", old, "--out", tmp_path / "new", parts=(lost,))
    assert not (tmp_path / "new" / "manifest.json").exists()


@pytest.mark.parametrize(
    "name", ["plan.json", "extract/00000", "slice/00000", "fetch/00000", "drops/00000", "shard"]
)
def test_plans_and_parts_that_have_changed_places_are_not_read(
    tmp_path: Path, published: Path, name: str
) -> None:
    old = tmp_path / "old"
    shutil.copytree(published / "corpus", old)
    one, other = (old / f".work/generations/{number:06d}" / name for number in range(2))
    if name == "shard":
        one, other = one / "00000", other / "00001"
    one.rename(tmp_path / "held")
    other.rename(one)
    (tmp_path / "held").rename(other)
    _fails(1, "build", "--from", old, "--out", tmp_path / "new", parts=(f"/{name}", "its place"))
    assert not (tmp_path / "new" / "manifest.json").exists()


def test_plans_and_parts_of_older_builds_do_not_state_their_place(
    tmp_path: Path, published: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(published / "corpus", old)
    for path in old.glob(".work/generations/**/*.json"):
        value = json.loads(path.read_text("utf-8"))["value"]
        del value["generation" if path.name == "plan.json" else "part"]
        path.write_bytes(encode_state(value))
    assert build_here("--from", old, "--out", tmp_path / "new")["samples"] == 6


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("generations/000000/dedupe/00000/index/phash.npy", _flip),
        ("generations/000001/dedupe/00000/index/url-keys.npy", _flip),
        ("generations/000001/dedupe/00000/index/pdq.npy", Path.unlink),
        ("generations/000000/drops/00000/ids.npy", _flip),
        ("generations/000001/drops/00000/ids.npy", Path.unlink),
        ("generations/000001/dedupe/00000/receipt.json", Path.unlink),
        ("generations/000000/extract/00000/images.parquet", _flip),
        ("generations/000000/plan.json", _flip),
        ("build.json", _flip),
        ("build.json", _cut),
        ("read.json", _cut),
        ("limit.json", _cut),
    ],
)
def test_a_corpus_does_not_grow_from_a_changed_index(
    tmp_path: Path, published: Path, name: str, change: Callable[[Path], object]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(published, folder)
    out = folder / "corpus"
    manifest = (out / "manifest.json").read_bytes()
    path = out / ".work" / name
    if name in ("read.json", "limit.json") and not path.exists():
        path.write_text('{"crc32c": "00000000", "value": []}')
    change(path)
    _photos(folder / "photos", range(6, 8))
    extra = ["--limit", "9"] if name == "limit.json" else []
    _fails(1, "build", *_words(folder, out), *extra, parts=(path.name,))
    assert (out / "manifest.json").read_bytes() == manifest


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 4 << 30)


@pytest.mark.parametrize("plant", [os.mkfifo, _sparse, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize(
    "name",
    [
        ".build-id",
        ".work/lock",
        ".work/build.json",
        ".work/read.json",
        ".work/limit.json",
        ".work/generations/000000/plan.json",
        ".work/generations/000000/drops/00000/receipt.json",
        ".work/generations/000000/dedupe/00000/receipt.json",
        ".work/generations/000000/drops/00000/ids.npy",
        ".work/attempts",
    ],
)
def test_a_pipe_a_device_or_a_file_with_holes_in_place_of_state_ends_the_build_at_once(
    tmp_path: Path, published: Path, name: str, plant: Callable[[Path], object]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(published, folder)
    _photos(folder / "photos", range(6, 7))
    out = folder / "corpus"
    path = out / name
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    plant(path)
    error = None
    with bounded(seconds=20, mib=400):
        words = [*_words(folder, out), "--limit", "9", "--executor", "local"]
        error = run_here("build", *words).exception
    if name.endswith(("lock", "attempts")) and error is None:
        # What a lock holds is replaced, and a link is removed: neither is read.
        assert path.is_file() or path.is_dir()
        return
    assert isinstance(error, WenlanError), repr(error)
    assert str(path) in str(error)


def test_a_cache_of_digests_that_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    golden = FileDigests().sha256(tmp_path / "a")
    for plant in (os.mkfifo, _sparse):
        cache = tmp_path / plant.__name__
        plant(cache)
        with bounded(seconds=20, mib=400):
            assert FileDigests(cache).sha256(tmp_path / "a") == golden


def test_a_lock_that_cannot_be_written_and_a_link_in_place_of_a_generation_are_named(
    tmp_path: Path, published: Path
) -> None:
    out = tmp_path / "corpus"
    shutil.copytree(published / "corpus", out)
    (tmp_path / "elsewhere").mkdir()
    link = out / ".work/generations/000002"
    link.symlink_to(tmp_path / "elsewhere")
    _fails(2, "build", *_words(published, out), parts=(f"{link}: is a link",))
    assert (tmp_path / "elsewhere").is_dir()
    link.unlink()
    (out / ".work/lock").write_text("4711")
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from wenlan_data.errors import WenlanError\n"
        "from wenlan_data.run.ledger import Ledger\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try:\n"
        "    Ledger(Path(sys.argv[1])).__enter__()\n"
        "except WenlanError as error:\n"
        "    print(error.exit_code, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, out / ".work"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"3 no room to write {out / '.work/lock'} ")


def _unpublish(out: Path) -> None:
    """Leaves a corpus as a build that was stopped before it published."""
    for name in ("shards", "metadata", "drops", "report"):
        shutil.rmtree(out / name)
    (out / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("shard/00000/wenlan-000000.tar", _flip),
        ("shard/00000/wenlan-000000.tar", _cut),
        ("shard/00000/wenlan-000000.offsets.parquet", _flip),
        ("shard/00000/metadata.parquet", _flip),
        ("drops/00000/drops.parquet", _flip),
        ("shard/00000/metadata.parquet", Path.unlink),
        ("dedupe/00000/receipt.json", Path.unlink),
        ("dedupe/00000/receipt.json", _cut),
        ("plan.json", _cut),
    ],
)
def test_a_changed_part_is_not_published_and_can_be_run_again(
    tmp_path: Path, single: Path, name: str, change: Callable[[Path], object]
) -> None:
    out = tmp_path / "corpus"
    shutil.copytree(single / "corpus", out)
    _unpublish(out)
    path = out / ".work/generations/000000" / name
    change(path)
    message = _fails(1, "build", *_words(single, out), parts=(path.name, f"remove {path.parent}"))
    assert not (out / "manifest.json").exists()
    _remove_as_told(message)
    build_here(*_words(single, out))
    assert content(out) == content(single / "corpus")


def _remove_as_told(message: str) -> None:
    """Removes the folders that a message names, all of which must be there."""
    told = re.search(r" remove (/.*?): (the same command|what it recorded)", message)
    assert told, message
    for path in re.split(r", | and ", told[1]):
        first, *last = path.split(" to ")
        names = range(int(Path(first).name), int(last[0]) + 1) if last else ()
        for one in [Path(first).with_name(f"{name:06d}") for name in names] or [Path(first)]:
            shutil.rmtree(one)


@pytest.mark.parametrize("step", ["extract", "slice", "fetch", "near", "dedupe", "shard"])
def test_a_lost_part_of_which_others_were_made_is_not_run_again_before_these_are_removed(
    tmp_path: Path, single: Path, step: str
) -> None:
    out = tmp_path / "corpus"
    shutil.copytree(single / "corpus", out)
    _unpublish(out)
    part = out / ".work/generations/000000" / step / "00000"
    shutil.rmtree(part)
    before = sorted(out.rglob("*"))
    message = _fails(1, "build", *_words(single, out), parts=(f"{part}: this part is missing",))
    assert sorted(out.rglob("*")) == before
    _remove_as_told(message)
    build_here(*_words(single, out))
    assert content(out) == content(single / "corpus")


def test_a_lost_part_of_a_pass_is_not_run_again_before_later_passes_are_removed(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path)
    for step, number in (("slice", 0), ("fetch", 0), ("slice", 1), ("fetch", 1), ("fetch", 2)):
        (ledger.part(0, step, number) / "x").mkdir(parents=True)
    # The second pass is to be run: what it needs is there, and nothing follows from it.
    ledger.check_order(0, "slice", 1, {"slice": 2, "fetch": 3})
    ledger.check_order(0, "fetch", 2, {"slice": 2, "fetch": 3})
    for step, passes, told in (
        ("slice", {"slice": 1, "fetch": 0}, "/slice/00001 and .*/fetch/00000 to 00002"),
        ("fetch", {"slice": 1, "fetch": 1}, "/slice/00001 and .*/fetch/00001 to 00002"),
    ):
        with pytest.raises(DamageError, match=told):
            ledger.check_order(0, step, 0, passes)
    assert redo_part(ledger.part(0, "fetch", 0)).count("/slice and ") == 1


def test_nothing_but_an_error_of_the_project_comes_from_mutated_state(published: Path) -> None:
    work = published / "corpus" / ".work"
    ledger = Ledger(work)
    (work / "read.json").write_bytes(b'{"crc32c": "00000000", "value": []}')
    stamps = ["a|1|2", "from:x:1"]
    plan = work / "generations/000000/plan.json"
    receipts = [
        work / f"generations/000000/{one}/00000/receipt.json" for one in ("extract", "fetch")
    ]
    lists = work / "generations/000000/slice/00000/receipt.json"
    limit = work / "limit.json"
    samples: list[tuple[Path, bytes, Callable[[], object]]] = [
        (plan, plan.read_bytes(), lambda: GenerationPlan.load(ledger.tree, 0)),
        (
            work / "build.json",
            (work / "build.json").read_bytes(),
            lambda: load_build_record(work),
        ),
        (work / "read.json", encode_state(stamps), lambda: read_stamps(ledger, 0)),
        (
            limit,
            encode_state({"build": "x", "rows": {"0": 3}, "nothing_new": 1}),
            lambda: RowLimit(limit, 9, ()).left_before(1),
        ),
        (
            receipts[0],
            receipts[0].read_bytes(),
            lambda: ledger.receipt(0, "extract", 0, ExtractDetails),
        ),
        (
            receipts[1],
            receipts[1].read_bytes(),
            lambda: ledger.receipt(0, "fetch", 0, FetchDetails),
        ),
        (lists, lists.read_bytes(), lambda: ledger.receipt(0, "slice", 0, FetchListDetails)),
    ]
    same = refused = 0
    messages: list[str] = []
    for path, data, load in samples:
        path.write_bytes(data)
        golden = load()
        for number, changed in mutations([data], 250, seed=7):
            path.write_bytes(changed)
            try:
                found = load()
            except DamageError as error:
                messages.append(str(error))
                refused += 1
            else:
                # White space and the like.
                assert found == golden, (path, number)
                same += 1
        path.write_bytes(data)
    limit.unlink()
    (work / "read.json").unlink()
    assert refused > 1500, (same, refused)
    assert all(".json: " in one and "\n" not in one for one in messages)


class _Fault:
    """Makes the call numbered `at` that opens a file below `folder` fail, `times` times."""

    folder = ""
    number = 0
    at = times = error = 0
    is_watched = False


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _Fault.folder and str(arguments[0]).startswith(_Fault.folder):
        _Fault.number += 1
        if _Fault.times and _Fault.number >= _Fault.at:
            _Fault.times -= 1
            raise OSError(_Fault.error, os.strerror(_Fault.error), str(arguments[0]))


@contextmanager
def _faults(folder: Path, error: int, at: int, times: int) -> Iterator[None]:
    if not _Fault.is_watched:
        sys.addaudithook(_audit)
        _Fault.is_watched = True
    _Fault.error, _Fault.folder = error, str(folder)
    _Fault.number, _Fault.at, _Fault.times = 0, at, times
    try:
        yield
    finally:
        _Fault.folder = ""


@pytest.mark.parametrize(("error", "code"), [(errno.EIO, 3), (errno.EMFILE, 1)])
def test_a_failing_device_or_a_lack_of_descriptors_is_tried_again_once(
    tmp_path: Path, published: Path, error: int, code: int
) -> None:
    golden = tmp_path / "golden"
    words = ["--sources", f"folder:{published / 'photos'}", "--workers", "1", "--out"]
    with _faults(golden / ".work/attempts", error, 0, 0):
        build_here(*words, golden)
        total = _Fault.number
    for at in range(1, total + 1, max(1, total // 5)):
        out = tmp_path / f"once-{at}"
        with _faults(out / ".work/attempts", error, at, 1):
            build_here(*words, out)
            assert _Fault.times == 0
        assert content(out) == content(golden)
    out = tmp_path / "always"
    with _faults(out / ".work/attempts", error, total // 2, 10**6):
        message = _fails(code, "build", *words[:2], "--out", out)
    assert str(out / ".work/attempts") in message
    build_here(*words, out)
    assert content(out) == content(golden)


@pytest.mark.parametrize("change", [Path.unlink, _cut, lambda path: _flip_at(path, -20)])
def test_the_ids_of_a_retry_that_was_stopped_are_checked_when_it_is_resumed(
    tmp_path: Path, site: Site, change: Callable[[Path], object]
) -> None:
    rows = photographs(site, range(4))
    for number in (2, 3):
        site.responses[f"/{number}.jpg"] = CannedResponse(status=503)
    table(tmp_path / "a.parquet", rows)
    kinds = [{"kind": "table", "path": str(tmp_path / "a.parquet")}]
    out = tmp_path / "corpus"
    build_here("--sources", sources_file(tmp_path / "s.yaml", site, kinds), "--out", out)
    manifest = (out / "manifest.json").read_bytes()
    for number in (2, 3):
        site.responses[f"/{number}.jpg"] = CannedResponse(make_image(number))
    build_here("--out", out, "--retry-failed")
    golden = content(out)
    # As if it had been killed when it had saved its plan.
    (out / "manifest.json").write_bytes(manifest)
    retry = out / ".work/generations/000001"
    for step in retry.iterdir():
        if step.is_dir():
            shutil.rmtree(step)
    change(retry / "retry-ids.npy")
    message = _fails(1, "build", "--out", out, "--retry-failed", parts=("retry-ids.npy",))
    assert f"remove {retry}: the retry then starts again" in message
    shutil.rmtree(retry)
    build_here("--out", out, "--retry-failed")
    assert content(out) == golden


def test_lost_rounds_and_parts_of_a_crawl_are_not_requested_again(
    tmp_path: Path, site: Site
) -> None:
    html = {"Content-Type": "text/html; charset=utf-8"}
    photographs(site, range(3))
    for number, (address, link) in enumerate([("/", "/2"), ("/2", "/3"), ("/3", "/")]):
        image = f'<img src="/{number}.jpg" alt="{make_caption(number)}"><a href="{link}">下一页</a>'
        site.responses[address] = CannedResponse(image.encode(), 200, html)
    kinds = [{"kind": "pages", "seeds": [site.url("/")]}]
    words = ["--sources", sources_file(tmp_path / "s.yaml", site, kinds), "--out"]
    golden = tmp_path / "golden"
    build_here(*words, golden)
    requests = len(site.log)
    crawl = next((golden / ".work/crawls").iterdir()).relative_to(golden)
    for name in ("000000", "000001", "000002", "000000/crawl/00000", "000002/crawl/00000"):
        out = tmp_path / name.replace("/", "-")
        shutil.copytree(golden, out)
        shutil.rmtree(out / crawl / name)
        _fails(1, "build", *words, out, parts=(f"{out / crawl / name[:6]}", "is missing"))
        assert (out / "manifest.json").read_bytes() == (golden / "manifest.json").read_bytes()
    assert len(site.log) == requests
    # Before anything is published, the crawl may be repeated from the lost round on.
    out = tmp_path / "unpublished"
    shutil.copytree(golden, out)
    _unpublish(out)
    for step in ("slice", "fetch", "near", "dedupe", "shard", "drops"):
        shutil.rmtree(out / ".work/generations/000000" / step)
    shutil.rmtree(out / crawl / "000000/crawl/00000")
    _remove_as_told(_fails(1, "build", *words, out))
    build_here(*words, out)
    assert content(out) == content(golden)


def test_what_a_crawl_recorded_is_checked_when_it_is_read(tmp_path: Path, site: Site) -> None:
    html = {"Content-Type": "text/html; charset=utf-8"}
    (_, one), (_, two) = photographs(site, range(2))
    pages = {
        "/": f'<img src="/0.jpg" alt="{one}"><a href="/2.html">下一页</a>',
        "/2.html": f'<img src="/1.jpg" alt="{two}">',
    }
    for address, text in pages.items():
        site.responses[address] = CannedResponse(text.encode(), 200, html)
    kinds = [{"kind": "pages", "seeds": [site.url("/")]}]
    sources = sources_file(tmp_path / "s.yaml", site, kinds)
    golden = tmp_path / "golden"
    build_here("--sources", sources, "--out", golden)
    work = WorkFolder(golden / ".work")
    for round_number, name in (
        (0, "crawl/00000/pages.warc"),
        (1, "crawl/00000/pages.warc"),
        (0, "crawl/00000/pages.parquet"),
        (0, "crawl/00000/hosts.json"),
        (0, "crawl/00000/links.parquet"),
        (0, "frontier/00000/states.json"),
        (0, "frontier/00000/requested.npy"),
    ):
        out = tmp_path / f"{round_number}-{name.replace('/', '-')}"
        shutil.copytree(golden, out)
        # As stopped after the first round or, for what the pages hold, before the generation.
        _unpublish(out)
        shutil.rmtree(out / ".work/generations")
        crawl = out / ".work/crawls" / next(work.crawls.iterdir()).name
        if not name.endswith(".warc"):
            shutil.rmtree(crawl / "000001")
        path = crawl / f"{round_number:06d}" / name
        _flip(path)
        _fails(1, "build", "--sources", sources, "--out", out, parts=(path.name,))
        assert not (out / "manifest.json").exists()
