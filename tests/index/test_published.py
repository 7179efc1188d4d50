"""The index of published generations."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from wenlan_data.dedupe.frequency import save_counts
from wenlan_data.errors import DamageError
from wenlan_data.index.page_sets import PageSets, save_page_sets
from wenlan_data.index.published import (
    FURNITURE,
    SITE_COUNTS,
    SITE_HASHES,
    PublishedIndex,
    RequestedUrls,
    Signatures,
    hex_keys,
    raw_keys,
    save_index,
    url_hashes,
)
from wenlan_data.layout import PartRef
from wenlan_data.npy import save_array


def signatures(*phash: int) -> Signatures:
    """Images whose keys and digests end in zero bytes, which NumPy hides."""
    count = len(phash)
    return Signatures(
        phash=np.array(phash, np.uint64),
        pdq=np.arange(4 * count, dtype=np.uint64).reshape(count, 4),
        colours=np.arange(count, dtype=np.uint64) + np.uint64(9),
        sha256=np.array([bytes([n]) + b"\0" * 31 for n in range(1, count + 1)], "S32"),
        keys=np.array([bytes([n]) + b"\0" * 15 for n in range(1, count + 1)], "S16"),
    )


def save(
    folder: Path,
    images: Signatures,
    urls: list[str],
    generation: int = 0,
    without_sample: Sequence[str] = (),
) -> str:
    folder.mkdir()
    parts = [PartRef(generation, part).packed() for part in range(len(without_sample))]
    requested = RequestedUrls(
        hashes=url_hashes(urls),
        keys=images.keys,
        without_sample=url_hashes(without_sample),
        without_sample_parts=np.array(parts, np.uint64),
        placeholders=images.sha256[:0],
    )
    save_index(folder, generation, images, requested)
    save_counts(folder, np.array([3, 9], np.uint64), np.array([1, generation]))
    save_counts(folder, np.array([], np.uint64), np.array([], np.int64), (SITE_HASHES, SITE_COUNTS))
    # Page 1 in every generation, and a page of its own.
    save_page_sets(
        folder, PageSets(np.array([4, 4], np.uint64), np.array([1, 10 + generation], np.uint64))
    )
    save_array(folder / FURNITURE, images.sha256[:1])
    return str(folder)


def test_a_url_is_known_by_the_key_of_its_sample(tmp_path: Path) -> None:
    first = save(tmp_path / "a", signatures(5, 3), ["x", "y"])
    none = save(tmp_path / "none", signatures(), [])
    published = PublishedIndex((first, none))
    assert published.key_of_urls(["y", "never", "x"]) == ["02" + "00" * 15, "", "01" + "00" * 15]
    assert published.key_of_urls([]) == []
    assert PublishedIndex(()).key_of_urls(["x"]) == [""]


def test_a_url_without_a_sample_is_known_by_its_last_fetch(tmp_path: Path) -> None:
    folders = [
        save(tmp_path / str(n), signatures(), [], n, urls)
        for n, urls in enumerate([["x", "y"], [], ["z", "y"]])
    ]
    published, urls = PublishedIndex(tuple(folders)), ["x", "never", "y", "z"]
    parts = published.last_fetch_without_sample(url_hashes(urls)).tolist()
    assert parts == [0, -1, PartRef(2, 1).packed(), PartRef(2, 0).packed()]


def test_keys_survive_the_way_to_hex_and_back() -> None:
    keys = ["00" * 15 + "01", "ab" * 16, "01" + "00" * 15]
    assert hex_keys(raw_keys(keys)) == keys


@pytest.mark.parametrize("name", ["phash.npy", "url-hashes.npy"])
def test_a_cut_index_is_corrupt_and_named(tmp_path: Path, name: str) -> None:
    folder = save(tmp_path / "a", signatures(5, 3), ["x", "y"])
    path = tmp_path / "a" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamageError, match=name):
        read_all(PublishedIndex((folder,)))


def read_all(published: PublishedIndex) -> None:
    published.key_of_urls(["x"])
    published.segments()
