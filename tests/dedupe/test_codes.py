"""The index of published generations."""

from pathlib import Path

import numpy as np
import pytest

from wenlan_data.dedupe import codes
from wenlan_data.dedupe.codes import Prints, Published, hex_keys, raw_keys, save_index, url_hashes
from wenlan_data.errors import DamageError


def prints(*phash: int) -> Prints:
    """Pictures whose keys and digests end in zero bytes, which NumPy hides."""
    count = len(phash)
    return Prints(
        phash=np.array(phash, np.uint64),
        pdq=np.arange(4 * count, dtype=np.uint64).reshape(count, 4),
        sha256=np.array([bytes([n]) + b"\0" * 31 for n in range(1, count + 1)], "S32"),
        keys=np.array([bytes([n]) + b"\0" * 15 for n in range(1, count + 1)], "S16"),
    )


def save(folder: Path, pictures: Prints, urls: list[str]) -> str:
    folder.mkdir()
    save_index(folder, pictures, url_hashes(urls), pictures.keys)
    return str(folder)


def test_a_url_is_known_by_the_key_of_its_picture(tmp_path: Path) -> None:
    first = save(tmp_path / "a", prints(5, 3), ["x", "y"])
    none = save(tmp_path / "none", prints(), [])
    published = Published((first, none))
    assert published.key_of_urls(["y", "never", "x"]) == ["02" + "00" * 15, "", "01" + "00" * 15]
    assert published.key_of_urls([]) == []
    assert Published(()).key_of_urls(["x"]) == [""]


def test_keys_survive_the_way_to_hex_and_back() -> None:
    keys = ["00" * 15 + "01", "ab" * 16, "01" + "00" * 15]
    assert hex_keys(raw_keys(keys)) == keys


def test_batches_hold_the_pictures_of_some_generations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "BATCH_CODES", 4)
    folders = [save(tmp_path / str(n), prints(9, 7 - n), [f"{n}/x", f"{n}/y"]) for n in range(3)]
    batches = list(Published(tuple(folders)).batches())
    assert [batch.phash().tolist() for batch in batches] == [[7, 9, 6, 9], [5, 9]]
    taken = batches[0].take(np.array([3, 0]))
    assert (taken.phash.tolist(), hex_keys(taken.keys)) == ([9, 7], ["01" + "00" * 15, "02" + "00" * 15])
    assert batches[0].generations(np.array([3, 0])).tolist() == [1, 0]


@pytest.mark.parametrize("name", ["phash.npy", "url-hashes.npy"])
def test_a_cut_index_is_damage_that_names_the_file(tmp_path: Path, name: str) -> None:
    folder = save(tmp_path / "a", prints(5, 3), ["x", "y"])
    path = tmp_path / "a" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamageError, match=name):
        read_all(Published((folder,)))


def read_all(published: Published) -> None:
    published.key_of_urls(["x"])
    list(published.batches())
