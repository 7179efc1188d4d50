import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlan_data.errors import DamageError
from wenlan_data.records import Text
from wenlan_data.seen_ids import SeenIds, candidate_id, ids_array, load_ids, save_ids


def test_an_id_has_16_bytes_and_tells_where_one_field_ends_and_the_next_starts() -> None:
    ids = {
        candidate_id("ab", (Text("alt", "c"),)),
        candidate_id("a", (Text("alt", "bc"),)),
        candidate_id("ab", (Text("altc", ""),)),
        candidate_id("ab", (Text("alt", "c"), Text("alt", "c"))),
        candidate_id("ab", (Text("caption", "c"),)),
        candidate_id("ab", ()),
    }
    assert len(ids) == 6
    assert {len(one) for one in ids} == {16}


def test_an_id_never_changes_between_versions() -> None:
    assert (
        candidate_id("http://a.cn/1.jpg", (Text("caption", "一只猫"),)).hex()
        == "dd77ceeef7743f922e360c73211d3a0d"
    )


@given(
    st.lists(st.sets(st.integers(0, 60), max_size=30), max_size=4),
    st.lists(st.integers(0, 60), max_size=50),
)
def test_what_is_in_any_file_is_known_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, files: list[set[int]], requested: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    # Ids that end in zero bytes, and that are zero, are what NumPy's byte strings get wrong first.
    encode = {
        n: n.to_bytes(2, "little").ljust(16, b"\0") if n % 2 else n.to_bytes(16, "big")
        for n in range(61)
    }
    for number, members in enumerate(files):
        save_ids(folder / f"ids-{number}.npy", ids_array(encode[n] for n in members))
    known = SeenIds([folder / f"ids-{number}.npy" for number in range(len(files))])
    expected = [any(n in members for members in files) for n in requested]
    assert known.contains(ids_array(encode[n] for n in requested)).tolist() == expected


def test_a_file_of_ids_is_sorted_mapped_and_holds_each_once(tmp_path: Path) -> None:
    save_ids(tmp_path / "ids", ids_array([b"b" * 16, b"a" * 16, b"b" * 16]))
    ids = load_ids(tmp_path / "ids")
    assert isinstance(ids, np.memmap)
    assert ids.tobytes() == b"a" * 16 + b"b" * 16


@pytest.mark.parametrize("content", [b"", b"not numpy", b"\x93NUMPY\x01\x00v\x00"])
def test_a_file_that_is_no_list_of_ids_is_corrupt(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ids.npy").write_bytes(content)
    with pytest.raises(DamageError, match=r"ids\.npy: it is not a list of ids"):
        SeenIds([tmp_path / "ids.npy"])


def test_an_array_of_something_else_is_corrupt(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", np.arange(4))
    with pytest.raises(DamageError, match=r"not a list of 16-byte ids"):
        load_ids(tmp_path / "ids.npy")


_MANY_FILES = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from wenlan_data.seen_ids import SeenIds
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
paths = sorted(Path(sys.argv[1]).glob("*.npy"))
wanted = np.array([b"%016d" % n for n in range(0, 300, 3)], "S16")
with ThreadPoolExecutor(6) as pool:
    seen = list(pool.map(lambda _: SeenIds(paths), range(6)))
    found = list(pool.map(lambda one: one.contains(wanted).sum(), seen))
assert found == [84] * 6, found
"""


def test_open_files_do_not_grow_with_generations_and_threads(tmp_path: Path) -> None:
    for number in range(251):
        save_ids(tmp_path / f"{number:03d}.npy", ids_array([b"%016d" % number]))
    done = subprocess.run(
        [sys.executable, "-c", _MANY_FILES, str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
