"""Which index a loader uses, and that its batches do not depend on it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.load.corpora import IN_ORDER, jpeg, key, keys_of, write_corpus, write_tar
from wenlan_data.errors import DamageError, UsageError
from wenlan_data.load import Loader, SamplingSettings, ShuffleSettings
from wenlan_data.load.shard_index import cache_folder, find_shards, open_index
from wenlan_data.shard.index_source import find_sources, write_beside
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.shard.sample_index import page_id

BAD = dict.fromkeys((3, 20, 33), b"no image")
"""One a shard: more of such a small one end an epoch."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _cached() -> list[Path]:
    return sorted(cache_folder().iterdir()) if cache_folder().is_dir() else []


def _loader(corpus: Path, *, workers: int = 0, batch_size: int = 4) -> Loader:
    return Loader(corpus, batch_size=batch_size, size_px=8, workers=workers, sampling=IN_ORDER)


def _page(number: int) -> str:
    return "" if number % 5 == 4 else f"http://a.test/{number // 3}.html"


def _with_pages(corpus: Path, counts: list[int], bad: dict[int, bytes] | None = None) -> Path:
    """A corpus whose metadata are in another order than its samples, and lack some of them."""
    write_corpus(corpus, counts, bad)
    (corpus / "metadata").mkdir()
    first = 0
    for shard in load_manifest(corpus).shards:
        numbers = [one for one in range(first, first + shard.samples) if one % 11 != 10][::-1]
        urls = [_page(one) for one in numbers]
        table = {"key": [key(one) for one in numbers], "page_url": urls}
        pq.write_table(pa.table(table), corpus / "metadata" / shard.metadata.name)
        first += shard.samples
    return corpus


def _write_beside(corpus: Path) -> None:
    for source in find_sources([corpus]):
        write_beside(source)


def test_an_index_is_made_once_in_the_cache_and_shared(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [3, 9, 5])
    files = sorted(corpus.rglob("*"))
    first = _loader(corpus)
    assert _cached() == [], "opening a corpus reads and makes no index"
    keys = keys_of(first)
    made = {path: path.stat().st_mtime_ns for path in _cached()}
    assert len(made) == 3
    assert keys_of(_loader(corpus)) == keys
    assert {path: path.stat().st_mtime_ns for path in _cached()} == made
    assert sorted(corpus.rglob("*")) == files


def test_with_indexes_beside_the_shards_neither_tables_nor_the_cache_are_used(
    tmp_path: Path,
) -> None:
    corpus = _with_pages(tmp_path / "c", [3, 9, 5])
    _write_beside(corpus)
    for table in corpus.glob("shards/*.offsets.parquet"):
        table.unlink()
    for table in corpus.glob("metadata/*"):
        table.write_bytes(b"")
    assert list(chain.from_iterable(keys_of(_loader(corpus))))[:17] == [
        key(number) for number in range(17)
    ]
    assert _cached() == []


@pytest.mark.parametrize("content", ["cut", "empty", "other", "folder"])
@pytest.mark.parametrize("place", ["beside", "cached"])
def test_an_index_that_does_not_fit_is_made_again(tmp_path: Path, place: str, content: str) -> None:
    corpus = write_corpus(tmp_path / "c", [3, 9])
    keys = keys_of(_loader(corpus))
    if place == "beside":
        _write_beside(corpus)
        for path in _cached():
            path.unlink()
        one, two = sorted(corpus.glob("shards/*.index"))
    else:
        one, two = _cached()
    whole = one.read_bytes()
    if content == "folder":
        one.unlink()
        one.symlink_to(tmp_path) if place == "cached" else one.mkdir()
    else:
        one.write_bytes({"cut": whole[:-1], "empty": b"", "other": two.read_bytes()}[content])
    assert keys_of(_loader(corpus)) == keys
    assert len(_cached()) == (1 if place == "beside" else 2)
    if place == "cached":
        assert one.read_bytes() == whole
    elif content != "folder":
        assert one.read_bytes() != whole, "nothing is written beside the data"


def test_a_replaced_table_makes_the_index_again(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [3, 5])
    keys_of(_loader(corpus))
    table = corpus / "shards" / "wenlan-000000.offsets.parquet"
    table.write_bytes((corpus / "shards" / "wenlan-000001.offsets.parquet").read_bytes())
    with pytest.raises(DamageError, match="not the one in the manifest"):
        keys_of(_loader(corpus))


def test_a_tar_that_grew_is_indexed_again(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", {"a.jpg": jpeg(1)})
    write_beside(find_sources([tar])[0])
    assert _loader(tar, batch_size=1).samples == 1
    assert _cached() == []
    write_tar(tar, {f"{number}.jpg": jpeg(number) for number in range(9)})
    assert _loader(tar, batch_size=1).samples == 9
    assert len(_cached()) == 1


def test_a_cache_that_cannot_be_written_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_corpus(tmp_path / "c", [3])
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match=r"run `wenlan-data shards index` beforehand") as raised:
        next(_loader(corpus))
    assert "\n" not in str(raised.value)
    _write_beside(corpus)
    next(_loader(corpus, batch_size=3))


SCRIPT = """
import sys
from pathlib import Path
from wenlan_data.load.shard_index import find_shards, open_index
for shard in find_shards([Path(sys.argv[1])]):
    index = open_index(shard.source)
    assert [index.sample(row).key for row in range(index.samples)]
print("read")
"""


def test_processes_may_index_the_same_shards_at_once(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [4] * 20)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, corpus], stdout=subprocess.PIPE, env=os.environ.copy()
        )
        for _ in range(4)
    ]
    assert [one.communicate()[0] for one in running] == [b"read\n"] * 4
    assert len(_cached()) == 20
    assert all(path.suffix == ".index" for path in _cached())
    whole = find_shards([corpus])
    assert all(
        Path(open_index(one.source).path).read_bytes() == one.source.build() for one in whole
    )


def _pages(corpus: Path, *, ranks: int, workers: int) -> Iterator[tuple[str, int, bool]]:
    """Yields key, page and `repeated` of every row, in the order of the epoch."""
    loaders = [
        Loader(
            corpus,
            batch_size=12 // ranks,
            size_px=8,
            workers=workers,
            sampling=SamplingSettings(
                shuffle=ShuffleSettings(block_samples=3, window_blocks=2),
                rank=rank,
                world_size=ranks,
            ),
        )
        for rank in range(ranks)
    ]
    for batches in zip(*loaders, strict=True):
        for batch in batches:
            page = batch["page"]
            assert (page.dtype, page.shape) == (torch.int64, (12 // ranks,))
            yield from zip(batch["key"], page.tolist(), batch["repeated"].tolist(), strict=True)


@pytest.mark.parametrize(("ranks", "workers"), [(1, 0), (3, 0), (2, 2)])
def test_a_batch_holds_the_page_of_each_sample_also_of_a_replacement(
    tmp_path: Path, ranks: int, workers: int
) -> None:
    corpus = _with_pages(tmp_path / "c", [20, 1, 30, 9], BAD)
    rows = list(_pages(corpus, ranks=ranks, workers=workers))
    assert sum(repeated for _, _, repeated in rows) >= len(BAD)
    for name, page, _ in rows:
        number = int(name, 16)
        assert page == (0 if number % 11 == 10 else page_id(_page(number))), number
    assert len({page for _, page, _ in rows}) > 10
    assert list(_pages(corpus, ranks=1, workers=0)) == rows


def test_samples_of_bare_tars_have_no_page(tmp_path: Path) -> None:
    corpus = _with_pages(tmp_path / "c", [8])
    for _ in range(2):
        assert {page for _, page, _ in _pages(corpus / "shards", ranks=1, workers=0)} == {0}
        # That beside the shard has the pages of the corpus, so it is not that of the bare tar.
        _write_beside(corpus)
    assert len(_cached()) == 1


def test_a_corrupt_shard_stops_the_batch_that_needs_it_and_none_before(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [8, 8])
    (corpus / "shards" / "wenlan-000001.offsets.parquet").write_bytes(b"PAR1")
    loader = _loader(corpus)
    assert next(loader)["key"] == [key(number) for number in range(4)]
    assert next(loader)["key"] == [key(number) for number in range(4, 8)]
    with pytest.raises(DamageError, match=r"wenlan-000001\.offsets\.parquet"):
        next(loader)


def test_a_shard_that_is_cut_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [40])
    loader = _loader(corpus, batch_size=20)
    tar = corpus / "shards" / "wenlan-000000.tar"
    os.truncate(tar, tar.stat().st_size // 4)
    with pytest.raises(DamageError, match="cut short"):
        keys_of(loader)


def test_samples_larger_than_a_piece_of_read_ahead_are_read(tmp_path: Path) -> None:
    members = {f"{number}.jpg": jpeg(number) for number in range(4)}
    members |= {f"{number}.bin": bytes([number]) * 300_000 for number in range(4)}
    tar = write_tar(tmp_path / "a.tar", dict(sorted(members.items())))
    assert keys_of(_loader(tar, batch_size=1)) == [["0"], ["1"], ["2"], ["3"]]
