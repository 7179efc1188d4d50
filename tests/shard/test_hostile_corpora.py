"""Corpora that somebody else made: every reader ends with one error of the project."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.bounds import bounded
from tests.mutations import mutations
from tests.shard.make_golden import GOLDEN
from tests.thorough import amount
from wenlan_data.cli.shards import shards
from wenlan_data.dedupe.search import find_near
from wenlan_data.errors import DamageError, RecipeError, WenlanError
from wenlan_data.eval.corpus_eval import read_texts
from wenlan_data.load import FaultPolicy, Loader, SamplingSettings
from wenlan_data.load.shard_index import find_shards
from wenlan_data.report.write_all import read_report_data
from wenlan_data.shard.drops import find_drop
from wenlan_data.shard.find import find_sample
from wenlan_data.shard.format import EXTENSIONS, decode_sample
from wenlan_data.shard.index import load_offsets
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.shard.reader import read_corpus, read_members, read_tar, shard_paths
from wenlan_data.shard.summary import summarise
from wenlan_data.shard.verify import verify
from wenlan_data.train.corpus_mark import CorpusShards, check_shards

TAR, OFFSETS, METADATA, DROPS = (
    "shards/wenlan-000000.tar",
    "shards/wenlan-000000.offsets.parquet",
    "metadata/000000.parquet",
    "drops/000000.parquet",
)
FILES = (TAR, OFFSETS, METADATA, DROPS)
DROPPED = "https://example.org/gone.jpg"
KEY = json.loads((GOLDEN / "expected.json").read_text("utf-8"))["samples"][0]["key"]


def _load(corpus: Path) -> object:
    checked = FaultPolicy(check_share=1.0)
    with Loader(
        corpus,
        batch_size=2,
        size_px=8,
        workers=0,
        sampling=SamplingSettings(shuffle=None),
        faults=checked,
    ) as loader:
        return list(loader)


def _show(corpus: Path) -> object:
    result = CliRunner().invoke(shards, ["show", str(corpus), KEY], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.stdout


def _mark(corpus: Path) -> object:
    check_shards([corpus], [corpus])
    return CorpusShards([corpus]).mark


READERS: dict[str, Callable[[Path], object]] = {
    "stat": lambda corpus: summarise([corpus]).as_json(),
    "verify": verify,
    "read_corpus": lambda corpus: list(read_corpus(corpus)),
    "show": _show,
    "find_sample": lambda corpus: read_members(*find_sample([corpus], KEY)),
    "near": lambda corpus: find_near(corpus, KEY, 64),
    "report": lambda corpus: read_report_data([corpus]),
    "load": _load,
    "pages": lambda corpus: [shard.source.build() for shard in find_shards([corpus])],
    "mark": _mark,
    "eval texts": lambda corpus: read_texts([corpus], {KEY}),
    "explain drop": lambda corpus: find_drop(corpus, load_manifest(corpus), DROPPED),
}


def _run(corpus: Path) -> dict[str, object]:
    """Runs all readers; returns the error of the project or the result of each."""
    found: dict[str, object] = {}
    for name, read in READERS.items():
        try:
            found[name] = read(corpus)
        except WenlanError as error:
            found[name] = error
    assert all(len(str(one)) < 2000 for one in found.values() if isinstance(one, WenlanError))
    return found


def _errors(found: dict[str, object]) -> set[str]:
    """Returns the names of the readers that ended with an error, or found a problem."""
    failed = {name for name, result in found.items() if isinstance(result, WenlanError)}
    return failed | ({"verify"} if found["verify"] else set())


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "corpus"))


def _edit(corpus: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads((corpus / "manifest.json").read_text("utf-8"))
    change(value)
    (corpus / "manifest.json").write_text(json.dumps(value), "utf-8")


def _replace(corpus: Path, name: str, content: bytes) -> None:
    """Replaces a file, and its size and digest in the manifest."""
    (corpus / name).write_bytes(content)
    mark = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def change(value: dict[str, Any]) -> None:
        first = value["shards"][0]
        entry = {
            TAR: first,
            OFFSETS: first["offsets"],
            METADATA: value["times"]["metadata"][0],
            DROPS: value["drops"][0],
        }[name]
        entry.update(mark)

    _edit(corpus, change)


def _table_bytes(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return bytes(out.getvalue())


def test_a_sound_corpus_is_read_by_all(corpus: Path) -> None:
    assert _errors(_run(corpus)) == set()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "device", "pipe", "loop", "folder", "hard way out"])
def test_what_is_no_file_of_the_corpus_is_refused(
    corpus: Path, tmp_path: Path, kind: str, name: str
) -> None:
    path = corpus / name
    outside = tmp_path / "outside"
    shutil.move(path, outside)
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    else:  # the folder of the file is the link
        shutil.move(path.parent, tmp_path / "moved")
        shutil.move(outside, tmp_path / "moved" / path.name)
        path.parent.symlink_to(tmp_path / "moved")
    with bounded(seconds=30, mib=300):
        found = _run(corpus)
    users = {
        TAR: {"stat", "read_corpus", "show", "find_sample", "load", "eval texts"},
        OFFSETS: {"load", "find_sample"} if "link" in kind or "way out" in kind else {"load"},
        METADATA: {"near", "report"},
        DROPS: {"report", "explain drop"},
    }[name]
    # Statistics are in the metadata, and a corpus without them is counted from its tars.
    assert _errors(found) >= (users | {"verify"}) - {"stat"}


def test_links_inside_the_corpus_are_followed(corpus: Path) -> None:
    for number, name in enumerate(FILES):
        (corpus / name).rename(corpus / str(number))
        (corpus / name).symlink_to(corpus / str(number))
    shutil.move(corpus / "metadata", corpus / "elsewhere")
    (corpus / "metadata").symlink_to("elsewhere")
    assert _errors(_run(corpus)) == set()


def test_the_manifest_may_be_no_pipe_or_device(corpus: Path) -> None:
    (corpus / "manifest.json").unlink()
    os.mkfifo(corpus / "manifest.json")
    with bounded(seconds=20), pytest.raises(DamageError, match=r"manifest\.json"):
        load_manifest(corpus)


Change = Callable[[dict[str, Any]], object]
SHARD: dict[str, object] = {
    "name ..": {"name": ".."},
    "name outside": {"name": "../../outside.tar"},
    "name absolute": {"name": "/etc/passwd"},
    "name of a folder": {"name": "a/b.tar"},
    "name with a zero": {"name": "a\0.tar"},
    "name of 1,000 characters": {"name": "a" * 1000},
    "name that is a number": {"name": 7},
    "samples of a galaxy": {"samples": 10**18},
    "samples of 400 digits": {"samples": 10**400},
    "samples below zero": {"samples": -1},
    "samples that are a fraction": {"samples": 1.5},
    "samples that are true": {"samples": True},
    "bytes of 400 digits": {"bytes": 10**400},
    "bytes below zero": {"bytes": -1},
    "a digest of other letters": {"sha256": "z" * 64},
}


@pytest.mark.parametrize("case", SHARD)
def test_hostile_entries_of_shards_are_refused(corpus: Path, case: str) -> None:
    _edit(corpus, lambda value: value["shards"][0].update(SHARD[case]))
    with bounded(seconds=30, mib=300):
        found = _run(corpus)
    assert _errors(found) >= {"verify", "load"}
    if case != "samples of a galaxy":
        assert all(isinstance(result, DamageError) for result in found.values())


def _nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


MANIFEST: dict[str, Change] = {
    "shards of a generation that are not listed": lambda value: value["generations"][-1].update(
        first_shard=1 << 60
    ),
    "more shards of a generation than are listed": lambda value: value["generations"][0].update(
        shards=1 << 62
    ),
    "recipe nested deep": lambda value: value.update(recipe={"a": _nested(500)}),
    "a million values": lambda value: value.update(recipe={"a": [0] * 1_000_001}),
    "500,000 bad shards": lambda value: value.update(shards=[0] * 500_000),
    "10,000 reasons": lambda value: value["funnel"].update(
        dropped={"fetch": {f"r{n}": 1 for n in range(10_000)}}
    ),
    "10,000 steps": lambda value: value["funnel"].update(
        dropped={f"s{n}": {} for n in range(10_000)}
    ),
    "a reason of a megabyte": lambda value: value["funnel"].update(
        dropped={"fetch": {"r" * 1_000_000: 1}}
    ),
    "a count of 400 digits": lambda value: value["funnel"].update(candidates=10**400),
    "a count that is infinite": lambda value: value["funnel"].update(candidates=1e999),
    "a count that is NaN": lambda value: value["funnel"].update(candidates=float("nan")),
    "version 0": lambda value: value.update(format_version=0),
    "version -1": lambda value: value.update(format_version=-1),
    "version 1.5": lambda value: value.update(format_version=1.5),
    "version '1'": lambda value: value.update(format_version="1"),
    "version null": lambda value: value.update(format_version=None),
    "version list": lambda value: value.update(format_version=[1]),
    "shards object": lambda value: value.update(shards={}),
    "shards null": lambda value: value.update(shards=None),
    "another format": lambda value: value.update(format="other"),
    "a code version of a megabyte": lambda value: value.update(code_version="x" * 1_000_000),
}


@pytest.mark.parametrize("case", MANIFEST)
def test_hostile_manifests_are_damage(corpus: Path, case: str) -> None:
    _edit(corpus, MANIFEST[case])
    with bounded(seconds=30, mib=500):
        for read in (load_manifest, verify, shard_paths_of, _load):
            with pytest.raises(DamageError, match=r"manifest\.json") as raised:
                read(corpus)
            assert len(str(raised.value)) < 1000


def shard_paths_of(corpus: Path) -> object:
    return shard_paths([corpus])


def test_unknown_keys_are_ignored_however_many(corpus: Path) -> None:
    known = load_manifest(corpus)
    _edit(corpus, lambda value: value.update({f"k{n}": [n] for n in range(200_000)}))
    _edit(corpus, lambda value: value["shards"][0].update(key=_nested(50)))
    with bounded(seconds=30, mib=500):
        assert load_manifest(corpus) == known
        with pytest.raises(RecipeError, match="upgrade wenlan-data") as raised:
            load_manifest(corpus, to_extend=True)
    assert len(str(raised.value)) < 1000
    assert not _errors(_run(corpus))


@pytest.mark.parametrize("version", [2, 10**18, 10**400])
def test_an_unknown_version_is_refused_with_exit_code_4(corpus: Path, version: int) -> None:
    _edit(corpus, lambda value: value.update(format_version=version, unknown=1))
    for result in _run(corpus).values():
        assert isinstance(result, RecipeError)
        assert result.exit_code == 4


def test_a_manifest_of_40_megabytes_is_not_parsed(corpus: Path) -> None:
    (corpus / "manifest.json").write_bytes(b"[" + b"0," * 20_000_000 + b"0]")
    with bounded(mib=200), pytest.raises(DamageError, match="larger than"):
        load_manifest(corpus)


OFFSET_CASES: dict[str, tuple[str, int]] = {
    "offset below zero": ("offset", -1),
    "offset of the first header": ("offset", 0),
    "offset -1536": ("offset", -1536),
    "offset beyond the file": ("offset", 1 << 40),
    "offset of 63 bits": ("offset", (1 << 63) - 1),
    "size below zero": ("size", -1),
    "size beyond the file": ("size", 1 << 40),
    "size of 63 bits": ("size", (1 << 63) - 1),
}


@pytest.mark.parametrize("case", OFFSET_CASES)
def test_hostile_offsets_are_refused(corpus: Path, case: str) -> None:
    column, number = OFFSET_CASES[case]
    table = pq.read_table(corpus / OFFSETS)
    values = table[column].to_pylist()
    values[0] = number
    place = table.schema.get_field_index(column)
    changed = table.set_column(place, table.schema.field(column), pa.array(values, pa.int64()))
    _replace(corpus, OFFSETS, _table_bytes(changed))
    with bounded(seconds=30, mib=300):
        found = _run(corpus)
    assert _errors(found) >= {"verify", "load", "find_sample"}
    # The table beside a tar that no manifest lists.
    with pytest.raises(DamageError):
        _load(corpus / "shards")


KEYS: dict[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]]]] = {
    "no row": lambda rows: rows[:0],
    "one row less": lambda rows: rows[:-1],
    "each row twice": lambda rows: [row for row in rows for _ in range(2)],
    "keys in reverse": lambda rows: rows[::-1],
    "keys that are empty": lambda rows: [{**row, "key": ""} for row in rows],
    "names outside": lambda rows: [{**row, "member": "../../" + row["member"]} for row in rows],
    "names of other keys": lambda rows: [{**row, "member": "x.jpg"} for row in rows],
    "10,000 kinds of members": lambda rows: [
        {**rows[0], "member": f"{KEY}.{number}", "key": KEY} for number in range(10_000)
    ],
    "checksums of zero": lambda rows: [{**row, "crc32c": 0} for row in rows],
}


@pytest.mark.parametrize("case", KEYS)
def test_offsets_tables_of_other_samples_are_found(corpus: Path, case: str) -> None:
    table = pq.read_table(corpus / OFFSETS)
    rows = KEYS[case](table.to_pylist())
    _replace(corpus, OFFSETS, _table_bytes(pa.Table.from_pylist(rows, table.schema)))
    with bounded(seconds=60, mib=300):
        assert "verify" in _errors(_run(corpus))


def _row(**fields: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: {**row, **fields}


def _region(**fields: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: {**row, "regions": [{**row["regions"][0], **fields}]}


def _text(**fields: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: {**row, "texts": [{**row["texts"][0], **fields}]}


METADATA_CASES: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], set[str]]] = {
    "phash of other letters": (_row(phash="z" * 16), {"near"}),
    "phash of other digits": (_row(phash="١" * 16), {"near"}),
    "phash too long": (_row(phash="0" * 17), {"near"}),
    "phash with a line feed": (_row(phash="0" * 16 + "\n"), {"near"}),
    "phash empty": (_row(phash=""), {"near"}),
    "pdq too short": (_row(pdq="0"), {"near"}),
    "pdq with a sign": (_row(pdq="-" + "0" * 63), {"near"}),
    "score infinite": (_region(score=float("inf")), {"report", "stat"}),
    "score NaN": (_region(score=float("nan")), {"report", "stat"}),
    "box of three sides": (_region(box=[0, 0, 1]), {"report"}),
    "box of a thousand sides": (_region(box=[0] * 1000), {"report"}),
    "box below zero": (_region(box=[-(1 << 31)] * 4), set()),
    "confidence 7": (_text(confidence=7.0), {"report"}),
    "confidence -1": (_text(confidence=-1.0), {"report"}),
    "confidence NaN": (_text(confidence=float("nan")), {"report", "stat"}),
    "confidence infinite": (_text(confidence=float("-inf")), {"report", "stat"}),
    "confidence missing": (_text(confidence=None), {"report", "stat"}),
    "relation missing": (_text(relation=None), {"report", "stat"}),
    "caption missing": (_row(caption=None), {"report", "stat", "near"}),
    "texts missing": (_row(texts=None), {"report", "stat"}),
    "no texts": (_row(texts=[]), set()),
    "5,000 texts": (lambda row: {**row, "texts": row["texts"][:1] * 5000}, {"report", "stat"}),
    "caption of a megabyte": (_row(caption="猫" * 350_000), set()),
    "urls of no kind": (_row(image_url="http://[::1", page_url="\0", final_url="x"), set()),
    "width below zero": (_row(width=-1, height=-(1 << 31)), set()),
    "keys that are empty": (_row(key=""), {"near"}),
}


@pytest.mark.parametrize("case", METADATA_CASES)
def test_hostile_metadata_are_one_error(corpus: Path, tmp_path: Path, case: str) -> None:
    from wenlan_data.report.html import write_page

    change, users = METADATA_CASES[case]
    table = pq.read_table(corpus / METADATA)
    rows = [change(row) for row in table.to_pylist()]
    _replace(corpus, METADATA, _table_bytes(pa.Table.from_pylist(rows, table.schema)))
    with bounded(seconds=60, mib=500):
        found = _run(corpus)
        assert _errors(found) - {"verify"} == users, found
        if "report" not in users:
            write_page(read_report_data([corpus]), tmp_path / "out")


DROP_CASES: dict[str, tuple[dict[str, object], set[str]]] = {
    "confidence 7": ({"texts": [{"type": "a", "text": "b", "confidence": 7.0}]}, set()),
    "confidence NaN": (
        {"texts": [{"type": "a", "text": "b", "confidence": float("nan")}]},
        {"explain drop"},
    ),
    "reason missing": ({"reason": None}, {"explain drop"}),
    "step missing": ({"step": None}, {"explain drop"}),
    "url missing": ({"url": None}, {"explain drop"}),
}


@pytest.mark.parametrize("case", DROP_CASES)
def test_hostile_drops_are_one_error(corpus: Path, case: str) -> None:
    table = pq.read_table(corpus / DROPS)
    change, users = DROP_CASES[case]
    rows = [{**row, **change} for row in table.to_pylist()]
    _replace(corpus, DROPS, _table_bytes(pa.Table.from_pylist(rows, table.schema)))
    assert _errors(_run(corpus)) == {"report"} | users


def test_drops_that_decode_to_gigabytes_take_no_memory(corpus: Path) -> None:
    table = pq.read_table(corpus / DROPS)
    long = pa.array(["x" * 100_000]).dictionary_encode()
    rows = table.take(pa.array([0] * 20_000))
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), long.dictionary)
    rows = rows.set_column(rows.schema.get_field_index("detail"), "detail", column)
    _replace(corpus, DROPS, _table_bytes(rows.replace_schema_metadata(None)))
    with bounded(seconds=60, mib=400):
        assert _errors(_run(corpus)) - {"report"} == {"explain drop"}


def test_verify_lists_no_folder_outside_of_the_corpus(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "a-secret-name").touch()
    shutil.rmtree(corpus / "metadata")
    (corpus / "metadata").symlink_to(tmp_path / "private")
    problems = verify(corpus)
    assert problems
    assert "a-secret-name" not in str(problems)
    assert any("a link that leads out of the corpus" in one.problem for one in problems)


def test_reasons_that_the_manifest_does_not_count_have_no_examples(corpus: Path) -> None:
    table = pq.read_table(corpus / DROPS)
    rows = [{**table.to_pylist()[0], "reason": f"r{number}"} for number in range(20_000)]
    _replace(corpus, DROPS, _table_bytes(pa.Table.from_pylist(rows, table.schema)))
    with bounded(mib=200):
        assert [len(one.examples) for one in read_report_data([corpus]).reasons] == [0]


FIELDS: dict[str, Callable[[dict[str, Any]], object]] = {
    "score of 400 digits": lambda one: one["regions"][0].update(score=10**400),
    "score text": lambda one: one["regions"][0].update(score="high"),
    "box of 400 digits": lambda one: one["regions"][0].update(box=[10**400, 0, "x", 1]),
    "box infinite": lambda one: one["regions"][0].update(box=[0, 0, float("inf"), 1]),
    "box NaN": lambda one: one["regions"][0].update(box=[0, 0, float("nan"), 1]),
    "box of three sides": lambda one: one["regions"][0].update(box=[0, 0, 1]),
    "regions of lists": lambda one: one.update(regions=[[1]]),
    "regions null": lambda one: one.update(regions=None),
    "text a list": lambda one: one.update(texts=[["alt", "x"]]),
    "text a number": lambda one: one.update(texts=[5]),
    "confidence 7": lambda one: one["texts"][0].update(confidence=7),
    "confidence of 400 digits": lambda one: one["texts"][0].update(confidence=10**400),
    "confidence NaN": lambda one: one["texts"][0].update(confidence=float("nan")),
    "phash text": lambda one: one.update(phash="xyz"),
    "pdq odd": lambda one: one.update(pdq="0"),
    "width text": lambda one: one.update(width="1"),
    "key missing": lambda one: one.pop("key"),
    "opt_out list": lambda one: one.update(opt_out=[]),
}


@pytest.mark.parametrize("case", FIELDS)
def test_hostile_fields_of_a_sample_are_damage(case: str) -> None:
    _, members = next(read_tar(shard_paths([GOLDEN])[0]))
    fields = json.loads(members["json"])
    FIELDS[case](fields)
    for content in (json.dumps(fields).encode(), b"[" * 100_000, b'{"a": 1' + b"0" * 5000 + b"}"):
        with pytest.raises(DamageError, match=r"^here: ") as raised:
            decode_sample({**members, "json": content}, "here")
        assert len(str(raised.value)) < 500
    assert set(members) == set(EXTENSIONS)


def test_a_long_text_of_a_sample_does_not_reach_the_tokenizer(tmp_path: Path) -> None:
    from tests.load.corpora import jpeg, write_tar
    from wenlan_data.load import TextSettings

    fields = json.dumps({"texts": [{"type": "alt", "text": "猫" * 40_000}]}).encode()
    members = {"a.jpg": jpeg(1), "a.txt": b"x", "a.json": fields, "b.jpg": jpeg(2)}
    members |= {"b.txt": "猫".encode() * 40_000, "c.jpg": jpeg(3), "c.txt": b"y"}
    tar = write_tar(tmp_path / "a.tar", members)
    loader = Loader(
        tar,
        batch_size=3,
        size_px=8,
        workers=0,
        sampling=SamplingSettings(shuffle=None),
        texts=TextSettings(choose="alt"),
    )
    with pytest.raises(DamageError, match="a text of 40000 characters"):
        next(loader)


def run_corpus_fuzz(
    corpus: Path, name: str, readers: list[str], count: int, seed: int = 0
) -> dict[str, int]:
    """Reads a corpus one file of which is mutated; returns the reads that found nothing wrong."""
    original = (corpus / name).read_bytes()
    sound = dict.fromkeys(readers, 0)
    for number, content in mutations([original], count, seed):
        if name == "manifest.json":
            (corpus / name).write_bytes(content)
        else:
            _replace(corpus, name, content)
        for reader in readers:
            try:
                sound[reader] += not (READERS[reader](corpus) and reader == "verify")
            except WenlanError:
                continue
            except BaseException as error:
                raise AssertionError(f"{name}: mutation {number}, seed {seed}, {reader}") from error
    return sound


QUICK: list[tuple[str, int, list[str]]] = [
    ("manifest.json", 1000, ["mark"]),
    (OFFSETS, 1000, ["load"]),
    (METADATA, 1000, ["stat"]),
]
_MANY = amount(100, 300)
MIXED: list[tuple[str, int, list[str]]] = [
    ("manifest.json", _MANY, ["stat", "verify", "report"]),
    (OFFSETS, _MANY, ["verify", "report", "find_sample"]),
    (METADATA, _MANY, ["report", "pages", "near"]),
    (TAR, _MANY, ["verify", "load", "read_corpus", "show", "eval texts"]),
    (DROPS, _MANY, ["report"]),
]


@pytest.mark.parametrize(
    ("name", "count", "readers"),
    [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in MIXED)],
)
def test_mutated_corpora_raise_errors_of_the_project_only(
    corpus: Path, name: str, count: int, readers: list[str]
) -> None:
    with bounded(seconds=600, mib=700):
        sound = run_corpus_fuzz(corpus, name, readers, count)
    assert all(found < count for found in sound.values())


def test_offsets_of_the_golden_corpus_are_sound() -> None:
    assert len(load_offsets(GOLDEN / OFFSETS)) == 9
