import io
import random
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.shard.make_golden import make_corpus
from wenlan_data.shard.index import load_offsets
from wenlan_data.shard.manifest import load_manifest, save_manifest
from wenlan_data.shard.verify import Problem, verify
from wenlan_data.shard.verify_corpus import END
from wenlan_data.shard.writer import padded_end

SEED = 20261125


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    corpus = tmp_path_factory.mktemp("sound") / "corpus"
    make_corpus(corpus)
    return corpus


@pytest.fixture
def corpus(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "corpus"))


def _regions(corpus: Path) -> dict[str, list[tuple[Path, str, int, int]]]:
    """Kind to (tar, the member that a finding must name, first byte, end) of every byte of every
    tar."""
    regions: dict[str, list[tuple[Path, str, int, int]]] = {
        "header": [],
        "payload": [],
        "json": [],
        "padding": [],
    }
    for tar in sorted(corpus.glob("shards/*.tar")):
        end = 0
        for location in load_offsets(tar.with_suffix(".offsets.parquet")):
            kind = "json" if location.member.endswith(".json") else "payload"
            data_end, end = (
                location.offset + location.size,
                padded_end(location.offset, location.size),
            )
            regions["header"].append((tar, location.member, location.offset - 512, location.offset))
            regions[kind].append((tar, location.member, location.offset, data_end))
            regions["padding"].append((tar, location.member, data_end, end))
        regions["padding"].append((tar, END, end, tar.stat().st_size))
    return {kind: [one for one in many if one[2] < one[3]] for kind, many in regions.items()}


@pytest.mark.parametrize("kind", ["header", "payload", "json", "padding"])
def test_every_flipped_bit_is_found_and_placed(corpus: Path, kind: str) -> None:
    rng = random.Random(f"{SEED} {kind}")
    regions = _regions(corpus)[kind]
    for _ in range(125):
        tar, member, start, stop = rng.choice(regions)
        at = rng.randrange(start, stop)
        with _changed(tar) as data:
            data[at] ^= 1 << rng.randrange(8)
        (finding,) = verify(corpus)
        assert (finding.shard, finding.member) == (tar.name, member), at
        assert finding.offset == (start if kind in ("payload", "json") else at)
        _restore(tar)


def test_every_truncation_is_found_and_placed(corpus: Path) -> None:
    rng = random.Random(SEED)
    regions = [one for many in _regions(corpus).values() for one in many]
    for tar in rng.choices(sorted(corpus.glob("shards/*.tar")), k=50):
        bytes_left = rng.randrange(tar.stat().st_size)
        member = next(one[1] for one in regions if one[0] == tar and one[2] <= bytes_left < one[3])
        with _changed(tar) as data:
            del data[bytes_left:]
        (finding,) = verify(corpus)
        assert (finding.shard, finding.member, finding.offset) == (tar.name, member, bytes_left)
        assert f"{bytes_left} found" in finding.problem
        _restore(tar)


_kept: dict[Path, bytes] = {}


@contextmanager
def _changed(path: Path) -> Iterator[bytearray]:
    _kept[path] = path.read_bytes()
    data = bytearray(_kept[path])
    yield data
    path.write_bytes(data)


def _restore(path: Path) -> None:
    path.write_bytes(_kept.pop(path))


def test_a_sound_corpus_has_no_findings(sound: Path) -> None:
    names_read: list[str] = []
    assert verify(sound, on_shard=names_read.append) == []
    assert names_read == ["wenlan-000000.tar", "wenlan-000001.tar"]


def test_a_missing_shard_is_named(corpus: Path) -> None:
    (corpus / "shards" / "wenlan-000001.tar").unlink()
    (finding,) = verify(corpus)
    assert (finding.shard, finding.problem.split(":")[0]) == ("wenlan-000001.tar", "missing")


def test_a_shard_that_the_manifest_does_not_name_is_found(corpus: Path) -> None:
    shutil.copy(corpus / "shards" / "wenlan-000001.tar", corpus / "shards" / "wenlan-000002.tar")
    (finding,) = verify(corpus)
    assert finding == Problem(
        "shards/wenlan-000002.tar", "", 0, "the manifest does not name this file"
    )


def test_bytes_after_the_end_are_found(corpus: Path) -> None:
    tar = corpus / "shards" / "wenlan-000000.tar"
    size = tar.stat().st_size
    with tar.open("ab") as file:
        file.write(bytes(512))
    (finding,) = verify(corpus)
    assert (finding.member, finding.offset) == (END, size)


@pytest.mark.parametrize(
    "name",
    ["shards/wenlan-000001.offsets.parquet", "metadata/000000.parquet", "drops/000000.parquet"],
)
def test_a_corrupt_table_is_named(corpus: Path, name: str) -> None:
    path = corpus / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert path.name in {finding.shard for finding in verify(corpus)}
    path.unlink()
    assert path.name in {finding.shard for finding in verify(corpus)}


def test_two_shards_that_changed_places_are_found(corpus: Path) -> None:
    first, second = sorted(corpus.glob("shards/*.tar"))
    first_bytes = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(first_bytes)
    assert {finding.shard for finding in verify(corpus)} == {first.name, second.name}


def test_a_manifest_whose_counts_do_not_add_up_is_a_finding(corpus: Path) -> None:
    manifest = load_manifest(corpus)
    funnel = manifest.funnel.model_copy(update={"dropped": {}})
    save_manifest(corpus, manifest.model_copy(update={"funnel": funnel}))
    (finding,) = verify(corpus)
    assert finding.shard == "manifest.json"
    assert "samples + drops" in finding.problem


def _tar(path: Path, *members: tuple[str, bytes], special: tarfile.TarInfo | None = None) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if special:
            tar.addfile(special)
    return path


def _problems(path: Path) -> str:
    return " | ".join(f"{one.member} {one.problem}" for one in verify(path))


def test_a_strangers_sound_tar_has_no_findings(tmp_path: Path) -> None:
    long = "一" * 80
    members = (
        (f"{long}/b.jpg", b"x"),
        (f"{long}/b.json", b"[1]"),
        ("c.jpg", b""),
        ("c.txt", "文".encode()),
    )
    assert verify(_tar(tmp_path / "a.tar", *members)) == []


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ((("a.jpg", b"1"), ("b.jpg", b"2"), ("a.txt", b"3")), "a.txt not beside the other members"),
        ((("a.jpg", b"1"), ("a.jpg", b"2")), "a.jpg .jpg is there twice"),
        ((("a.json", b"{"),), "a.json not valid JSON"),
        ((("a.json", b"[" * 100_000),), "a.json not valid JSON"),
        ((("/etc/a.txt", b"1"),), "/etc/a.txt an absolute path"),
        ((("../a.txt", b"1"),), "../a.txt the path leads out"),
        ((("c:\\a.txt", b"1"),), "an absolute path"),
        ((("README", b"1"),), "there is no sample in it"),
    ],
)
def test_a_strangers_bad_structure_is_named(
    tmp_path: Path, members: tuple[tuple[str, bytes], ...], problem: str
) -> None:
    assert problem in _problems(_tar(tmp_path / "a.tar", *members))


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device or pipe"),
    ],
)
def test_a_link_or_device_in_a_strangers_tar_is_named(
    tmp_path: Path, kind: bytes, problem: str
) -> None:
    special = tarfile.TarInfo("a.txt")
    special.type, special.linkname = kind, "/etc/passwd"
    assert f"a.txt {problem}" in _problems(
        _tar(tmp_path / "a.tar", ("a.jpg", b"1"), special=special)
    )


def test_a_key_in_two_tars_of_strangers_is_named(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        _tar(tmp_path / name, ("k.jpg", b"1"))
    (finding,) = verify(tmp_path)
    assert (finding.shard, finding.member) == ("b.tar", "k.jpg")


def test_a_flip_in_any_header_of_a_strangers_tar_is_found(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar", *((f"{one}.jpg", b"1") for one in "abcd"))
    rng = random.Random(SEED)
    for _ in range(50):
        at = rng.randrange(4) * 1024 + rng.randrange(500)
        with _changed(path) as data:
            data[at] ^= 1 << rng.randrange(8)
        (finding, *_) = verify(path)
        assert (finding.member, finding.offset) == (END, at // 1024 * 1024)
        _restore(path)


def test_a_strangers_tar_cut_anywhere_is_found(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar", *((f"{one}.jpg", bytes([1]) * 700) for one in "abcd"))
    for bytes_left in range(0, 4 * 1536 + 1024, 100):
        with _changed(path) as data:
            del data[bytes_left:]
        assert verify(path), bytes_left
        _restore(path)


def test_members_hidden_behind_the_end_of_a_strangers_tar_are_found(tmp_path: Path) -> None:
    first, second = (
        _tar(tmp_path / "a.tar", ("a.jpg", b"1")),
        _tar(tmp_path / "b.tar", ("b.jpg", b"1")),
    )
    first.write_bytes(first.read_bytes() + second.read_bytes())
    assert "after the end of the archive" in _problems(first)


def test_a_flip_in_an_image_of_one_shard_alone_is_found_by_the_digest_beside_it(
    corpus: Path,
) -> None:
    shard = sorted((corpus / "shards").glob("*.tar"))[0]
    location = next(
        one
        for one in load_offsets(shard.with_name(f"{shard.stem}.offsets.parquet"))
        if one.member.endswith("jpg")
    )
    with _changed(shard) as data:
        data[location.offset + location.size // 2] ^= 4
    [finding] = verify(shard)
    assert (finding.member, finding.offset) == (f"{location.key}.jpg", location.offset)
