"""Indexes merged like a log-structured index."""

from pathlib import Path

import numpy as np
import pytest

from tests.index.test_published import save, signatures
from wenlan_data.dedupe.frequency import published_counts
from wenlan_data.dedupe.step import index_folders
from wenlan_data.index import merge
from wenlan_data.index.merge import merge_last, merge_segments, segments_to_merge
from wenlan_data.index.page_sets import PAGE_HASHES, PAGE_KEYS
from wenlan_data.index.published import PublishedIndex, hex_keys, load_segment, url_hashes
from wenlan_data.layout import INDEX_FOLDER
from wenlan_data.npy import ArrayWriter, load_any


def test_equal_generations_leave_few_segments_and_write_each_row_some_times_only() -> None:
    sizes: list[int] = []
    written, most = 0, 0
    for _ in range(1000):
        count = segments_to_merge(sizes, 50)
        merged = 50 + sum(sizes[len(sizes) - count :])
        sizes = [*sizes[: len(sizes) - count], merged]
        written += merged
        most = max(most, len(sizes))
    assert sum(sizes) == 50_000
    assert most <= 10
    assert written <= 50_000 * 10


def test_a_small_generation_after_a_large_one_writes_only_itself() -> None:
    assert segments_to_merge([1_000_000], 10_000) == 0
    assert segments_to_merge([1_000_000, 10_000], 9_000) == 0
    assert segments_to_merge([1_000_000, 10_000], 10_000) == 1
    assert segments_to_merge([], 5) == 0


@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_a_merged_index_holds_what_its_parts_held(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "MERGE_ROWS", rows)
    folders = [
        save(tmp_path / "0", signatures(9, 7, 7), ["a", "b", "c"], 0, ["x"]),
        save(tmp_path / "1", signatures(), [], 1, ["y", "x"]),
        save(tmp_path / "2", signatures(2, 7), ["d", "a"], 2, []),
    ]
    out = tmp_path / "out"
    out.mkdir()
    merge_segments([Path(one) for one in folders], out)
    apart, merged = PublishedIndex(tuple(folders)), PublishedIndex((str(out),))
    urls = ["a", "b", "c", "d", "never"]
    assert merged.key_of_urls(urls) == apart.key_of_urls(urls)
    assert (
        merged.last_fetch_without_sample(url_hashes(["x", "y", "a"])).tolist()
        == apart.last_fetch_without_sample(url_hashes(["x", "y", "a"])).tolist()
    )
    segment = load_segment(out)
    assert segment.signatures.phash.tolist() == [2, 7, 7, 7, 9]
    assert segment.generations.tolist() == [2, 0, 2, 0, 0]
    assert hex_keys(segment.signatures.keys)[1:3] == ["02" + "00" * 15, "02" + "00" * 15]
    hashes = np.array([3, 9, 4], np.uint64)
    assert (
        published_counts([str(out)], hashes).tolist()
        == published_counts(folders, hashes).tolist()
        == [3, 3, 0]
    )
    sets = load_any(out / PAGE_KEYS).tolist(), load_any(out / PAGE_HASHES).tolist()
    assert sets == ([4, 4, 4, 4], [1, 10, 11, 12])
    assert merged.furniture().tolist() == apart.furniture().tolist() == [b"\1"]


def test_merging_in_place_returns_how_many_it_holds(tmp_path: Path) -> None:
    parts = [tmp_path / str(n) for n in range(4)]
    held: list[int] = []
    for number, part in enumerate(parts):
        part.mkdir()
        own = Path(
            save(part / INDEX_FOLDER, signatures(5, 3), [f"{number}/a", f"{number}/b"], number, [])
        )
        earlier = index_folders(parts[:number], held)
        held.append(merge_last([Path(one) for one in earlier], own))
    assert held == [0, 1, 0, 2]
    (whole,) = index_folders(parts, held)
    assert whole == str(parts[3] / INDEX_FOLDER)
    assert len(load_segment(Path(whole)).signatures.phash) == 8


def test_an_array_written_in_pieces_is_the_array(tmp_path: Path) -> None:
    whole = np.arange(4000, dtype=np.uint64).reshape(-1, 4)
    writer = ArrayWriter(tmp_path / "a.npy")
    for start in range(0, 1000, 300):
        writer.append(whole[start : start + 300])
    writer.close()
    assert np.array_equal(load_any(tmp_path / "a.npy"), whole)
