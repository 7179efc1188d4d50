"""No control character of the web, of files or of arguments reaches a terminal or a pipe.

Every command runs on a corpus, tars, pages, recipes, checkpoints and names that are full of them,
with and without `--json`, into a pipe and into a terminal.
"""

import io
import itertools
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

from tests.cli.in_process import Ran, run
from tests.other_packages import CORNERS, install, write_module
from tests.train.runs import WORDS
from wenlan_data import plugins
from wenlan_data.cli.main import cli
from wenlan_data.testing import CannedResponse, Site, make_image

KEPT = "雪后的故宫👨‍👩‍👧"
CONTROLS = (
    "\x1b[38;5;201m\x1b]0;owned\x07\x1bP+q\x1b\\\x9b38;5;201m\x9d0;x\x9c\x85\x00\x08\x7f\r\n"
    "\x0b\x0c\u202e\u2066\u2069\u200e\u200f\u061c\u2028\u2029\U000e0041\U000e007f\ufeff"
    "\u200b\u2060\xad\ue000"
)
HOSTILE = f"猫{CONTROLS}{KEPT}"
NAME = HOSTILE.replace("\x00", "").replace("\n", "")
"""As a part of a file name that a sources file, a URL or an argument may hold."""
ENTRY_POINT = "".join(one for one in NAME if f"a{one}a".splitlines() == [f"a{one}a"])
FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f]"
    r"|[\u2028\u2029\ue000-\uf8ff\ufeff\U000e0000-\U000e0fff\ud800-\udfff]"
)
OURS = re.compile(r"\x1b\[(?:\?25[hl]|(?!38;5)[0-9;]*[mAKG])|\r+\n|\r")
"""What click and rich write on a terminal themselves, and line ends."""


def _names(command: click.Command, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _names(inner, f"{prefix} {name}".strip())
    else:
        yield prefix, command


COMMANDS = dict(_names(cli))


def check(ran: Ran, *, terminal: bool = False, codes: Sequence[int] = (0, 1, 2, 4)) -> None:
    """Checks that a terminal shows text alone, and that no error was unforeseen."""
    for text in (ran.out, ran.err):
        shown = OURS.sub("\n", text) if terminal else text
        found = FORBIDDEN.search(shown)
        assert found is None, (
            f"{found[0]!a} in {shown[max(0, found.start() - 60) : found.end() + 60]!a}"
        )
    assert "Traceback" not in ran.err
    assert "wenlan-data: unexpected error" not in ran.err, ran.err
    assert ran.code in codes, ran.err


@dataclass(frozen=True)
class Hostile:
    """Files of a stranger."""

    folder: Path
    sources: Path
    recipe: Path
    corpus: Path
    tar: Path
    cut: Path
    page: Path
    photo: Path
    run: Path
    site: Site


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    folder = tmp_path_factory.mktemp("hostile")
    with Site() as site, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.chdir(folder)
        write_module(folder, "hostile_boxes", CORNERS.replace('"corner"', ascii(HOSTILE)))
        install(
            folder, "hostile-package", {}, f"[wenlan_data.rules]\n{ENTRY_POINT} = no_module:Rule\n"
        )
        photos = folder / f"photos{NAME}"
        photos.mkdir()
        for number in range(10):
            (photos / f"{number}{NAME}.jpg").write_bytes(make_image(number))
            (photos / f"{number}{NAME}.txt").write_text(f"{number}{HOSTILE}", "utf-8")
        (photos / f"broken{NAME}.jpg").write_bytes(b"no image")
        site.responses["/11.jpg"] = CannedResponse(make_image(11))
        urls = [
            site.url("/11.jpg"),
            site.url(f"/missing{NAME}.jpg"),
            f"http://{NAME}/",
            f"{NAME}://x",
        ]
        lines = [json.dumps({"url": url, "text": f"{url[-8:]}{HOSTILE}"}) for url in urls]
        (folder / f"urls{NAME}.jsonl").write_text("\n".join(lines), "utf-8")
        sources = folder / f"sources{NAME}.yaml"
        sources.write_text(
            yaml.safe_dump(
                {
                    "network": {"allow": [site.host]},
                    "hosts": {site.host: {"max_connections": 8, "min_gap_s": 0}},
                    "sources": [
                        {"kind": "folder", "path": f"photos{NAME}"},
                        {
                            "kind": "table",
                            "path": f"urls{NAME}.jsonl",
                            "url": "url",
                            "text": "text",
                        },
                    ],
                }
            ),
            "utf-8",
        )
        recipe = folder / f"recipe{NAME}.yaml"
        detect = {"detector": "corners", "max_regions": 3}
        recipe.write_text(yaml.safe_dump({"name": "hostile", "detect": detect}), "utf-8")
        page = folder / f"page{NAME}.html"
        page.write_text(
            f"<title>{HOSTILE}</title><h1>{HOSTILE}</h1>"
            f"<figure><img src='a{NAME}.jpg' alt='{HOSTILE}'>"
            f"<figcaption>{HOSTILE}</figcaption></figure><p>{HOSTILE * 9}</p>", "utf-8",
        )  # fmt: skip
        built = run(*_build(sources, recipe, folder / "corpus"))
        check(built, codes=[0])
        tar = _tar(folder / f"tar{NAME}.tar")
        cut = folder / f"cut{NAME}.tar"
        cut.write_bytes(tar.read_bytes()[:-40_000])
        yield Hostile(
            folder=folder,
            sources=sources,
            recipe=recipe,
            corpus=folder / "corpus",
            tar=tar,
            cut=cut,
            page=page,
            photo=next(photos.glob("1*.jpg")),
            run=folder / f"run{NAME}",
            site=site,
        )
    plugins.use_modules(())


def _build(sources: Path, recipe: Path, out: Path) -> list[str | Path]:
    words = ["--executor", "local", "--workers", "2", "--plugins", "hostile_boxes"]
    words += ["--contact", f"a@b.c{NAME}"]
    return ["build", "--sources", sources, "--recipe", recipe, "--out", out, *words]


def _tar(path: Path) -> Path:
    """A tar whose keys, texts and JSON are hostile, with lone surrogates in the JSON."""
    with tarfile.open(path, "w") as tar:
        for number in range(3):
            value = {
                HOSTILE: [HOSTILE, {"\ud800": "\udfff\ud800"}],
                "url": HOSTILE,
                "caption": HOSTILE,
            }
            value |= {
                "texts": [{"type": HOSTILE, "text": HOSTILE}],
                "source": HOSTILE,
                "width": HOSTILE,
            }
            members = {
                "jpg": make_image(number),
                "txt": HOSTILE.encode(),
                "json": json.dumps(value).encode(),
            }
            for extension, data in {**members, f"x{CONTROLS[:9]}": b"1"}.items():
                info = tarfile.TarInfo(f"{number}{NAME}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def _spoil(value: object) -> object:
    """Adds controls to every string of JSON; keys that are not names of the format too."""
    if isinstance(value, dict):
        return {key: _spoil(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_spoil(inner) for inner in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) else value


Words = list[str | Path]
_NUMBERS = itertools.count()
"""Every run gets a new output folder."""


def _cases(hostile: Hostile) -> dict[str, list[Words]]:
    """Arguments of every command. A command that is not here fails the test."""
    corpus, tar, recipe = hostile.corpus, hostile.tar, hostile.recipe
    out = hostile.folder / f"out{next(_NUMBERS)}{NAME}"
    boxes: Words = ["--plugins", "hostile_boxes"]
    model: Words = ["--checkpoint", hostile.run, "--shards", corpus, "--workers", "0"]
    bench = "--seconds 0.05 --workers 0 --batch-size 2 --size-px 16".split()
    train = "--config brivl-tiny --max-steps 2 --workers 0 --set batch_size=4 --resume auto".split()
    against = f"dedupe.against={json.dumps([HOSTILE])}"
    rules = f"text.rules={json.dumps([{'rule': HOSTILE}])}"
    explain: Words = ["--explain", corpus, *boxes, "--drop"]
    return {
        "build": [
            _build(hostile.sources, recipe, corpus)[1:],
            [*_build(hostile.sources, recipe, out)[1:], "--dry-run"],
            _build(hostile.sources, recipe, out)[1:],
        ],
        "detect": [
            [hostile.photo, "--out", out, *boxes, "--detector", "corners"],
            [hostile.page],
        ],
        "eval embed": [[*model, "--out", out / "embedded"]],
        "eval retrieval": [model],
        "extract": [
            [hostile.page],
            [hostile.page, "--html"],
            [hostile.page, "--url", f"http://a.b/{NAME}"],
        ],
        "gc": [[corpus, "--dry-run"]],
        "load bench": [[tar, *bench]],
        "recipes list": [[], boxes],
        "recipes plugins": [[], boxes],
        "recipes schema": [[], boxes],
        "recipes show": [
            [recipe, *boxes],
            ["wenlan", "--set", against],
            ["wenlan", "--set", rules],
        ],
        "shards extract": [
            [corpus, "--limit", "2", "--out", out / "1"],
            [tar, "--limit", "2", "--out", out / "2"],
        ],
        "shards html": [[corpus, "--out", out / "html"], [tar, "--out", out / "html2"]],
        "shards index": [[corpus], [tar], [hostile.cut]],
        "shards ls": [[corpus], [tar], [corpus, "--samples"], [tar, "--samples"]],
        "shards near": [[corpus, hostile.photo], [corpus, f"none{NAME}"]],
        "shards show": [
            [corpus, "--number", "1"],
            [tar, "--number", "1"],
            [tar, f"1{NAME}"],
            [corpus, NAME],
        ],
        "shards stat": [[corpus], [tar]],
        "shards verify": [[corpus], [tar], [hostile.cut]],
        "text try": [
            ["wenlan"],
            ["wenlan", "--jsonl"],
            ["wenlan", "--set", "text.rules=[]"],
            [recipe, *boxes],
            [*explain, f"no such{NAME}"],
            [*explain, f"photos{NAME}/broken{NAME}.jpg"],
        ],
        "train": [["--shards", corpus, "--out", hostile.run, *train, *WORDS]],
    }


STDIN = f"{HOSTILE}\n{json.dumps(HOSTILE)}\n".encode() + b"\xff\x1b[38;5;201m\n"
NEEDS_TORCH = ("train", "eval retrieval", "eval embed", "load bench")
"""Train first: the others read its checkpoint."""
QUICK = [name for name in COMMANDS if name not in (*NEEDS_TORCH, "demo")]


def _run_all(hostile: Hostile, name: str, *, terminal: bool) -> list[Ran]:
    found = []
    has_json = any("--json" in one.opts for one in COMMANDS[name].params)
    for output in ([], ["--json"]) if has_json else ([],):
        for words in _cases(hostile)[name]:
            if "--html" in words and output:
                continue
            ran = run(*name.split(), *words, *output, terminal=terminal, stdin=STDIN)
            check(ran, terminal=terminal)
            if output and ran.code == 0 and ran.out:
                whole = ran.out.startswith(("{\n", "[\n", "{\r", "[\r"))
                for document in [ran.out] if whole else ran.out.splitlines():
                    json.loads(document)
            found.append(ran)
    return found


def test_every_command_has_a_case(hostile: Hostile) -> None:
    assert {*_cases(hostile), "demo"} == COMMANDS.keys()


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("name", QUICK)
def test_nothing_acts_on_a_terminal(name: str, terminal: bool, hostile: Hostile) -> None:
    found = _run_all(hostile, name, terminal=terminal)
    assert any(one.code == 0 for one in found), [one.err for one in found]
    if name in ("extract", "recipes show", "shards show", "shards stat", "shards ls", "text try"):
        assert any("雪后的故宫" in one.out for one in found), "texts stay readable"


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_nothing_acts_on_a_terminal_while_training(terminal: bool, hostile: Hostile) -> None:
    for name in NEEDS_TORCH:
        found = _run_all(hostile, name, terminal=terminal)
        assert all(one.code == 0 for one in found), [one.err for one in found]
    # A checkpoint of a stranger.
    for path in [
        *hostile.run.rglob("state.json"),
        *hostile.run.rglob("*.yaml"),
        *hostile.run.rglob("config.json"),
    ]:
        path.write_text(json.dumps(_spoil(json.loads(path.read_text("utf-8")))), "utf-8")
    for name in ("eval retrieval", "eval embed"):
        assert all(one.code != 0 for one in _run_all(hostile, name, terminal=terminal))
    for path in sorted(hostile.run.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    hostile.run.rmdir()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_nothing_acts_on_a_terminal_in_the_demo(hostile: Hostile) -> None:
    ran = run("demo", "--out", f"demo{NAME}", "--executor", "local", terminal=True)
    check(ran, terminal=True, codes=[0])
    assert KEPT in ran.out


def test_a_manifest_of_a_stranger_prints_nothing_that_acts(hostile: Hostile) -> None:
    manifest = hostile.corpus / "manifest.json"
    text = manifest.read_text("utf-8")
    whole = json.loads(text)
    spoilt = [{**whole, key: _spoil(value)} for key, value in whole.items()]
    try:
        for value in [*spoilt, {**whole, "samples": HOSTILE}, {HOSTILE: 1, **whole}, [HOSTILE]]:
            manifest.write_text(json.dumps(value), "utf-8")
            for name in ("shards stat", "shards ls", "shards verify", "gc"):
                for words in _cases(hostile)[name][:1]:
                    check(run(*name.split(), *words))
    finally:
        manifest.write_text(text, "utf-8")


def _required(command: click.Command, value: str) -> list[str]:
    words = []
    for one in command.params:
        if isinstance(one, click.Argument):
            words.append(value)
        elif one.required:
            words += [one.opts[-1], value]
    return words


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_hostile_arguments_are_printed_escaped(
    name: str, hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = COMMANDS[name]
    # Bytes that are not UTF-8 reach Python as lone surrogates.
    value = f"{NAME}\udcff\n"
    check(run(*name.split(), *_required(command, value)))
    check(run(*name.split(), f"--{value}", terminal=True), terminal=True, codes=[2])
    for option in command.params:
        takes_a_value = isinstance(option, click.Option) and not option.is_flag
        if takes_a_value and (not option.required or isinstance(option.type, click.Path)):
            words = [*_required(command, value), option.opts[-1], value]
            check(run(*name.split(), *words))


@pytest.mark.parametrize("words", [[], ["shards"], ["recipes"]])
def test_a_group_without_a_command_prints_its_help(words: list[str]) -> None:
    ran = run(*words)
    check(ran, codes=[2])
    assert "\nCommands:\n" in ran.err


def test_an_unknown_command_is_printed_escaped() -> None:
    for words in ([NAME], ["shards", NAME], [f"--{NAME}"], ["recipes", f"show{NAME}", NAME]):
        ran = run(*words)
        check(ran, codes=[2])
        assert "\\x1b" in ran.err
