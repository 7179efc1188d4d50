import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tests.builds.corpus_runs import COMMAND
from tests.shard.make_golden import GOLDEN, GOLDEN_1_0
from wenlan_data.cli.shards import safe_name, shards
from wenlan_data.errors import DamageError, UsageError
from wenlan_data.printable import printable
from wenlan_data.shard.reader import read_tar, shard_paths

SAMPLES = json.loads((GOLDEN / "expected.json").read_text("utf-8"))["samples"]
HOSTILE = "\x1b[2J\x9b31m\u202e"


def _run(*words: str | Path) -> Result:
    return CliRunner().invoke(shards, [str(word) for word in words], standalone_mode=False)


def _json(*words: str | Path) -> object:
    result = _run(*words, "--json")
    assert result.exception is None
    return json.loads(result.stdout)


def _hostile_tar(path: Path) -> Path:
    members = {
        f"../../{HOSTILE}.txt": HOSTILE.encode(),
        f"../../{HOSTILE}.json": json.dumps({HOSTILE: HOSTILE}).encode(),
        "/etc/passwd.txt": b"x",
        "..txt": b"y",
    }
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_ls_lists_the_shards() -> None:
    result = _run("ls", GOLDEN)
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["name", "samples"],
        ["wenlan-000000.tar", "3"],
        ["wenlan-000001.tar", "2"],
    ]


def test_show_prints_relation_and_confidence_of_each_text() -> None:
    key = next(sample["key"] for sample in SAMPLES if sample["number"] == 2)
    shown = _run("show", GOLDEN, key).stdout
    assert "type=surrounding  text=馆藏・明代  relation=below  confidence=0.45" in shown
    old = _run("show", GOLDEN_1_0, key).stdout
    assert "type=surrounding  text=馆藏・明代\n" in old


def test_ls_lists_the_samples_of_tars_as_of_a_corpus() -> None:
    for place in (GOLDEN, GOLDEN / "shards"):
        lines = _run("ls", "--samples", "--json", place).stdout.splitlines()
        assert [json.loads(line)["key"] for line in lines] == [sample["key"] for sample in SAMPLES]


def test_stat_counts() -> None:
    assert "samples        5" in _run("stat", GOLDEN).stdout
    value = _json("stat", GOLDEN)
    assert isinstance(value, dict)
    assert (value["samples"], value["dropped"]) == (5, {"fetch": {"http_status": 1}})


def test_verify_reports_a_sound_corpus() -> None:
    assert _run("verify", GOLDEN).stdout == "sound: 2 shards\n"
    assert _json("verify", GOLDEN) == {"shards": 2, "findings": []}


def test_verify_of_a_corrupt_tar_names_member_and_byte_and_exits_with_1(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(shard_paths([GOLDEN])[0].read_bytes()[:700])
    script = "from wenlan_data.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "shards", "verify", path], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout.startswith(f"a.tar: {SAMPLES[0]['key']}.jpg at byte 700: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", range(5))
def test_show_by_number_is_show_by_key(number: int) -> None:
    sample = SAMPLES[number]
    by_number = _json("show", GOLDEN, "--number", str(number))
    assert isinstance(by_number, dict)
    assert by_number == _json("show", GOLDEN, sample["key"])
    assert by_number == _json("show", GOLDEN / "shards", sample["key"])
    assert (by_number["txt"], by_number["json"]["phash"]) == (sample["caption"], sample["phash"])
    assert sample["caption"] in _run("show", GOLDEN, sample["key"]).stdout


@pytest.mark.parametrize(
    "words",
    [
        ["show", GOLDEN],
        ["show", GOLDEN, "k", "--number", "1"],
        ["show", GOLDEN, "--number", "5"],
        ["show", GOLDEN, "--number", str(10**12)],
        ["ls", "gone"],
    ],
)
def test_what_cannot_be_shown_is_wrong_usage(words: list[str | Path]) -> None:
    assert isinstance(_run(*words).exception, UsageError)


@pytest.mark.parametrize("words", [["show", "--number"], ["extract", "--out", "x", "--limit"]])
def test_a_number_beyond_all_samples_is_wrong_usage(words: list[str]) -> None:
    error = _run(words[0], GOLDEN, *words[1:], str(10**30)).exception
    assert isinstance(error, click.BadParameter)


def test_json_output_has_no_numbers_that_json_has_not(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        data = b'{"width": 1e999, "sides": [NaN, 2], "height": {"low": -Infinity}}'
        entry = tarfile.TarInfo("k.json")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))

    def refuse(name: str) -> None:
        raise AssertionError(name)

    shown = json.loads(
        _run("show", tmp_path / "a.tar", "k", "--json").stdout, parse_constant=refuse
    )
    assert shown["json"] == {"width": None, "sides": [None, 2], "height": {"low": None}}


def test_extract_writes_the_members_as_they_are(tmp_path: Path) -> None:
    key = SAMPLES[3]["key"]
    assert _run("extract", GOLDEN, key, "--out", tmp_path / "new").exception is None
    members = dict(pair for tar in shard_paths([GOLDEN]) for pair in read_tar(tar))[key]
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {
        f"{key}.{extension}": data for extension, data in members.items()
    }


def test_extract_writes_the_first_samples(tmp_path: Path) -> None:
    names = _json("extract", GOLDEN, "--limit", "2", "--out", tmp_path)
    assert isinstance(names, list)
    assert len(names) == 6
    assert {name[:32] for name in names} == {sample["key"] for sample in SAMPLES[:2]}


def test_extract_never_overwrites(tmp_path: Path) -> None:
    key = SAMPLES[0]["key"]
    (tmp_path / f"{key}.txt").write_text("precious")
    result = _run("extract", GOLDEN, key, "--out", tmp_path)
    assert isinstance(result.exception, UsageError)
    assert (tmp_path / f"{key}.txt").read_text() == "precious"


def test_two_members_of_one_name_do_not_overwrite_each_other_and_are_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("a.txt", "b.txt", "a.txt"):
            tar.addfile(tarfile.TarInfo(name))
    result = _run("extract", tmp_path / "a.tar", "--limit", "9", "--out", tmp_path / "out")
    assert "two members have this name" in str(result.exception)


def test_extract_keeps_hostile_names_inside_the_folder(tmp_path: Path) -> None:
    path = _hostile_tar(tmp_path / "a.tar")
    result = _run("extract", path, "--limit", "9", "--out", tmp_path / "deep" / "out")
    assert result.exception is None
    assert {one.parent for one in tmp_path.rglob("*") if one.is_file()} == {
        tmp_path,
        tmp_path / "deep" / "out",
    }
    assert all(one.name.isprintable() for one in (tmp_path / "deep" / "out").iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["ls", "--samples"],
        ["ls", "--samples", "--json"],
        ["stat"],
        ["verify"],
        ["verify", "--json"],
    ],
)
def test_hostile_names_never_reach_the_terminal(tmp_path: Path, words: list[str]) -> None:
    output = _run(*words, _hostile_tar(tmp_path / "a.tar")).output
    assert output
    assert all(one.isprintable() or one == "\n" for one in output)


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_hostile_texts_never_reach_the_terminal(tmp_path: Path, words: list[str]) -> None:
    output = _run("show", _hostile_tar(tmp_path / "a.tar"), "--number", "0", *words).output
    assert "[2J" in output
    assert all(one.isprintable() or one == "\n" for one in output)


def test_json_output_holds_the_true_text(tmp_path: Path) -> None:
    value = _json("show", _hostile_tar(tmp_path / "a.tar"), "--number", "0")
    assert isinstance(value, dict)
    assert value["txt"] == HOSTILE


def test_verify_reports_hostile_names(tmp_path: Path) -> None:
    result = _run("verify", _hostile_tar(tmp_path / "a.tar"))
    assert isinstance(result.exception, DamageError)
    assert "absolute path" in result.stdout


@pytest.mark.parametrize(
    "name",
    [
        "../a",
        "/a",
        "a/../../b",
        "\x00",
        "x" * 5000,
        ".",
        "..",
        "",
        "a\nb",
        "猫" * 300,
        "-rf",
        "con\\x",
    ],
)
def test_a_safe_name_stays_in_its_folder(name: str) -> None:
    safe = safe_name(name, "txt")
    assert "/" not in safe
    assert "\\" not in safe
    assert not safe.startswith((".", "-"))
    assert safe.isprintable()
    assert len(safe.encode()) <= 200
    assert safe.endswith(".txt")


def test_an_ordinary_name_stays_as_it_is_and_changed_names_differ() -> None:
    assert safe_name("000000012", "seg.png") == "000000012.seg.png"
    assert safe_name("猫", "txt") == "猫.txt"
    assert safe_name("a/b", "txt") != safe_name("a_b", "txt") != safe_name("a\\b", "txt")


def test_chinese_is_printed_as_it_is() -> None:
    assert printable("“青花瓷”\u3000花瓶，𠮷🐱") == "“青花瓷”\u3000花瓶，𠮷🐱"
    assert printable("a\nb\x1b") == "a\\nb\\x1b"


def test_the_exit_code_is_right_if_nobody_reads_the_message() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed_pipe:
        done = subprocess.run(
            [*COMMAND, "shards", "ls", "missing.tar"], stderr=closed_pipe, check=False
        )
    assert done.returncode == 2


def test_index_writes_one_beside_each_shard_once(tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(GOLDEN, tmp_path / "corpus"))
    tar = Path(shutil.copyfile(shard_paths([GOLDEN])[0], tmp_path / "a.tar"))
    found = _json("index", corpus, tar)
    paths = [*sorted(corpus.glob("shards/*.index")), tmp_path / "a.index"]
    size = sum(path.stat().st_size for path in paths)
    assert found == {"shards": 3, "written": 3, "samples": 8, "bytes": size}
    again = _run("index", corpus, tar)
    assert again.stdout == f"indexed: 3 shards, 3 were there, 8 samples, {size} bytes\n"
    for name in ("verify", "stat", "ls"):
        assert _json_lines(name, corpus) == _json_lines(name, GOLDEN)
    paths[0].unlink()
    assert _json("index", corpus) == {
        "shards": 2,
        "written": 1,
        "samples": 5,
        "bytes": size - paths[2].stat().st_size,
    }


def _json_lines(*words: str | Path) -> list[object]:
    return [json.loads(line) for line in _run(*words, "--json").stdout.splitlines()]


def test_index_of_a_corrupt_shard_is_damage(tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(GOLDEN, tmp_path / "corpus"))
    shard_paths([corpus])[0].unlink()
    error = _run("index", corpus).exception
    assert isinstance(error, DamageError)
    assert "this shard is missing" in str(error)
    assert isinstance(_run("index", tmp_path / "none").exception, UsageError)
