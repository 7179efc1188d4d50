"""Faults: corrupt and truncated shards, manifests, dying workers, bad samples, hostile tars."""

import io
import json
import os
import random
import signal
import tarfile
from pathlib import Path

import pytest
import torch

from tests.load.corpora import jpeg, key, keys_of, list_of, write_corpus, write_tar
from wenlan_data.errors import DamageError, RecipeError, UsageError, WenlanError, WorkerLostError
from wenlan_data.load import (
    FaultPolicy,
    Loader,
    SampleStream,
    SamplingSettings,
    WorkerSettings,
)
from wenlan_data.load.sample_reader import EncodedSample, SampleReader
from wenlan_data.npy import Indices
from wenlan_data.shard.index import load_offsets
from wenlan_data.shard.writer import padded_end

CHECK_NONE = FaultPolicy()
CHECK_ALL = FaultPolicy(check_share=1.0)
SKIP_CORRUPT = FaultPolicy(corrupt_shards="skip")


def _loader(
    path: Path,
    *,
    batch_size: int = 4,
    workers: int | WorkerSettings = 0,
    position: int = 0,
    rank: int = 0,
    world_size: int = 1,
    faults: FaultPolicy = CHECK_NONE,
) -> Loader:
    return Loader(
        path,
        batch_size=batch_size,
        size_px=8,
        workers=workers,
        position=position,
        sampling=SamplingSettings(shuffle=None, rank=rank, world_size=world_size),
        faults=faults,
    )


def _tar(corpus: Path, number: int = 0) -> Path:
    return corpus / "shards" / f"wenlan-{number:06d}.tar"


def test_every_flipped_bit_of_a_sample_is_found_where_all_are_checked(tmp_path: Path) -> None:
    tar = _tar(write_corpus(tmp_path / "c", [200]))
    places = load_offsets(tar.with_name("wenlan-000000.offsets.parquet"))
    whole = bytearray(tar.read_bytes())
    end = padded_end(places[-1].offset, places[-1].size)
    rng = random.Random(8)
    for at in [rng.randrange(end) for _ in range(500)]:
        hit = next(place.key for place in places if at < padded_end(place.offset, place.size))
        flipped = bytearray(whole)
        flipped[at] ^= 1 << rng.randrange(8)
        tar.write_bytes(flipped)
        number = int(hit, 16)
        loader = _loader(tmp_path / "c", batch_size=1, position=number, faults=CHECK_ALL)
        next(loader)
        assert [one[1] for one in loader.metrics.bad_examples] == [hit], at
        assert set(loader.metrics.bad) <= {"wrong_bytes", "wrong_header"}


def test_checks_are_drawn_at_the_rate_that_was_set(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [400])
    tar = _tar(corpus)
    places = [
        one
        for one in load_offsets(tar.with_name("wenlan-000000.offsets.parquet"))
        if one.member.endswith("txt")
    ]
    data = bytearray(tar.read_bytes())
    for place in places:
        data[place.offset + place.size] = 1  # in the padding, which only a check looks at
    tar.write_bytes(data)
    quarter = FaultPolicy(check_share=0.25)
    found = [sample for sample in SampleStream(corpus, faults=quarter) if "__problem__" in sample]
    assert 60 < len(found) < 140
    assert not [sample for sample in SampleStream(corpus) if "__problem__" in sample]


@pytest.mark.parametrize("seed", range(50))
def test_a_truncated_shard_is_named_with_what_was_expected_and_found(
    tmp_path: Path, seed: int
) -> None:
    tar = _tar(write_corpus(tmp_path / "c", [3, 9]), 1)
    size = tar.stat().st_size
    cut = random.Random(seed).randrange(size)
    tar.write_bytes(tar.read_bytes()[:cut])
    with pytest.raises(
        DamageError, match=rf"000001.tar: {size} bytes with 9 samples expected, {cut} bytes found"
    ):
        _loader(tmp_path / "c")
    skipping = _loader(tmp_path / "c", faults=SKIP_CORRUPT)
    assert skipping.samples == 3
    assert "left out, 9 samples lost" in skipping.metrics.notes[0]


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 700, 2048])
def test_a_truncated_third_party_tar_is_named(tmp_path: Path, cut: int) -> None:
    tar = write_tar(
        tmp_path / "a.tar", {"a.jpg": jpeg(1), "a.txt": b"a", "b.jpg": jpeg(2), "b.txt": b"b"}
    )
    tar.write_bytes(tar.read_bytes()[:cut])
    with pytest.raises(WenlanError, match=r"a\.tar"):
        _loader(tar)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [3, 9])
    _tar(corpus, 0).unlink()
    with pytest.raises(DamageError, match=r"wenlan-000000\.tar: this shard is missing"):
        _loader(corpus)
    assert _loader(corpus, faults=SKIP_CORRUPT).samples == 9


def test_an_extra_tar_in_a_corpus_is_not_read(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [3])
    write_tar(corpus / "shards" / "wenlan-000009.tar", {"x.jpg": jpeg(1)})
    assert _loader(corpus).samples == 3


def test_swapped_shards_of_one_size_are_found_by_the_checks(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [3, 3])
    first, second = _tar(corpus, 0), _tar(corpus, 1)
    assert first.stat().st_size == second.stat().st_size
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    with pytest.raises(DamageError, match="not the bytes that were written"):
        keys_of(_loader(corpus, faults=CHECK_ALL))


def test_an_offsets_table_that_is_none_or_another_shards_is_named(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [3, 5])
    table = corpus / "shards" / "wenlan-000000.offsets.parquet"
    table.write_bytes((corpus / "shards" / "wenlan-000001.offsets.parquet").read_bytes())
    named = r"wenlan-000000\.offsets\.parquet: not the one in the manifest"
    with pytest.raises(DamageError, match=named):
        next(_loader(corpus))
    table.write_bytes(b"PAR1 nonsense")
    with pytest.raises(DamageError, match=named):
        next(_loader(corpus, workers=2))


def test_a_corrupt_manifest_exits_1_and_a_newer_one_4(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "c", [3]) / "manifest.json"
    value = json.loads(manifest.read_text())
    for corrupt in (b"", b"{", b"[]", json.dumps({**value, "shards": 7}).encode()):
        manifest.write_bytes(corrupt)
        with pytest.raises(DamageError, match=r"manifest\.json") as raised:
            _loader(tmp_path / "c")
        assert raised.value.exit_code == 1
    manifest.write_text(json.dumps({**value, "format_version": 99}))
    with pytest.raises(RecipeError, match="newer") as refused:
        _loader(tmp_path / "c")
    assert refused.value.exit_code == 4


def test_a_manifest_cannot_lead_out_of_its_corpus(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "c", [3]) / "manifest.json"
    for name in ("../../etc/passwd", "/etc/passwd", "..", "a/b.tar"):
        value = json.loads(manifest.read_text())
        value["shards"][0]["name"] = name
        manifest.write_text(json.dumps(value))
        with pytest.raises(DamageError, match="shards"):
            _loader(tmp_path / "c")


@pytest.mark.parametrize("fatal", [signal.SIGKILL, signal.SIGSEGV])
def test_dead_workers_are_replaced_and_no_batch_is_lost(
    tmp_path: Path, fatal: signal.Signals
) -> None:
    corpus = write_corpus(tmp_path / "c", [300])
    loader = _loader(corpus, batch_size=2, workers=2)
    before = _children()
    seen = []
    for number in range(150):
        seen.append(next(loader)["key"])
        if number in (0, 70):
            os.kill(min(_children() - before), fatal)
    assert [one for batch in seen for one in batch] == [key(number) for number in range(300)]
    assert loader.metrics.workers_lost == 2
    assert [line for line in loader.metrics.notes if "a loading worker died" in line] == (
        loader.metrics.notes
    )
    assert not list(loader)
    assert _children() == before


def test_workers_that_die_again_and_again_at_one_batch_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_corpus(tmp_path / "c", [300])
    # A worker that has delivered nothing of the next batch loses nothing but that one.
    loader = _loader(corpus, batch_size=2, workers=WorkerSettings(count=2, prefetch=1))
    parent, read = os.getpid(), SampleReader.read

    def deadly(reader: SampleReader, indices: Indices) -> list[EncodedSample]:
        if os.getpid() != parent and indices[0] == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(reader, indices)

    monkeypatch.setattr(SampleReader, "read", deadly)
    seen: list[list[str]] = []
    with pytest.raises(
        WorkerLostError, match=r"epoch 0, global batch 10: .*died.* \(3 times in a row\): choose"
    ):
        seen.extend(batch["key"] for batch in loader)
    assert (loader.position, loader.metrics.workers_lost) == (10, 2)
    rest = keys_of(_loader(corpus, batch_size=2, position=loader.position))
    delivered = [one for batch in [*seen, *rest] for one in batch]
    assert delivered == [key(number) for number in range(300)]


def _children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def _with_bad(folder: Path, numbers: list[int], samples: int = 1000) -> Path:
    return write_corpus(
        folder / "c", [samples], dict.fromkeys(numbers, b"\xff\xd8\xff not an image")
    )


def test_half_a_percent_of_bad_samples_is_counted_and_survived(tmp_path: Path) -> None:
    loader = _loader(_with_bad(tmp_path, [3, 104, 105, 700, 999]), batch_size=100)
    batches = list(loader)
    assert loader.metrics.bad == {"truncated": 5}
    assert [one[1] for one in loader.metrics.bad_examples] == [
        key(number) for number in (3, 104, 105, 700, 999)
    ]
    repeated = torch.cat([batch["repeated"] for batch in batches])
    assert repeated.nonzero().flatten().tolist() == [3, 104, 105, 700, 999]
    keys = [str(one) for batch in batches for one in list_of(batch["key"])]
    assert keys[103:107] == [key(103), key(106), key(106), key(106)]
    assert keys[999] == key(0)


def test_two_percent_of_a_shard_stop_the_loader_and_the_error_names_the_shard(
    tmp_path: Path,
) -> None:
    loader = _loader(_with_bad(tmp_path, list(range(0, 1000, 50))), workers=2)
    where = rf"wenlan-000000\.tar: 11 of its 1000 samples cannot be used .*the last is {key(500)}"
    with pytest.raises(DamageError, match=where):
        keys_of(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_hundred_bad_samples_in_a_row_stop_the_loader(tmp_path: Path, workers: int) -> None:
    loader = _loader(
        _with_bad(tmp_path, list(range(200, 301)), 20_000), batch_size=50, workers=workers
    )
    with pytest.raises(
        DamageError, match=r"000000\.tar.*100 samples in a row cannot be used, from index 200"
    ):
        keys_of(loader)
    assert loader.position == 4


def test_replacements_are_the_same_on_any_number_of_ranks(tmp_path: Path) -> None:
    corpus = _with_bad(tmp_path, [0, 7, 8], 400)
    alone = [key for batch in keys_of(_loader(corpus, batch_size=8)) for key in batch]
    parts = [keys_of(_loader(corpus, batch_size=2, rank=rank, world_size=4)) for rank in range(4)]
    assert [one for batch in zip(*parts, strict=True) for part in batch for one in part] == alone


def test_a_data_set_without_any_usable_sample_stops_at_once_with_the_reason(tmp_path: Path) -> None:
    members = {f"{number}.input.jpg": jpeg(1) for number in range(300)}
    loader = _loader(write_tar(tmp_path / "a.tar", members))
    with pytest.raises(
        DamageError, match=r"a\.tar: \d+: no_image \(it has input\.jpg\): 100 samples in a row"
    ):
        next(loader)


def _hostile(kind: str, path: Path) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.jpg")
        if kind == "link":
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
        elif kind == "device":
            info.type = tarfile.CHRTYPE
            tar.addfile(info)
        elif kind == "pickle":
            info.name, info.size = "a.pyd", 4
            tar.addfile(info, io.BytesIO(b"cos\n"))
        elif kind == "huge":
            info.size = 1 << 40
            tar.fileobj.write(info.tobuf())
        elif kind == "doubled":
            for _ in range(2):
                info.size = 3
                tar.addfile(info, io.BytesIO(b"abc"))
    return path


@pytest.mark.parametrize("kind", ["link", "device", "pickle", "huge", "doubled"])
def test_hostile_tars_are_refused_by_name_and_write_nothing(tmp_path: Path, kind: str) -> None:
    tar = _hostile(kind, tmp_path / "a.tar")
    with pytest.raises((DamageError, UsageError), match=r"a\.tar"):
        keys_of(_loader(tar))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("prefix", [b"\x1f\x8b", b"BZ", b"\x28\xb5"])
def test_compressed_tars_are_refused(tmp_path: Path, prefix: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(prefix + bytes(600))
    with pytest.raises(UsageError, match="compressed"):
        _loader(tmp_path / "a.tar")


def test_addresses_and_pipes_are_no_paths(tmp_path: Path) -> None:
    for name in ("pipe:touch marker", "http://a.test/a.tar", str(tmp_path / "none.tar")):
        with pytest.raises(UsageError, match="there is no such corpus, folder or tar"):
            _loader(Path(name))
