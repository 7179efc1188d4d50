import errno
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wenlan_data.arrow import read_table, table_of_rows
from wenlan_data.errors import DamageError

SCHEMA = pa.schema([("n", pa.int32()), ("word", pa.string())])


def test_rows_become_columns_of_the_schema() -> None:
    assert table_of_rows([], SCHEMA).equals(SCHEMA.empty_table())
    assert table_of_rows([(1, "猫"), (2, "")], SCHEMA).to_pydict() == {
        "n": [1, 2],
        "word": ["猫", ""],
    }


@pytest.mark.parametrize("content", [b"", b"no table", None])
def test_a_table_that_is_corrupt_or_missing_names_its_remedy(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "a.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DamageError, match=r"a\.parquet: .*: build the corpus again"):
        read_table(path, ["n"])


def test_a_table_without_the_column_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(SCHEMA.empty_table(), path)
    with pytest.raises(DamageError, match=r"a\.parquet"):
        read_table(path, ["missing"])["missing"]


def test_a_file_that_may_not_be_opened_is_no_corruption(tmp_path: Path) -> None:
    """With no descriptor left, nothing can be opened, whatever the file holds."""
    table, array = tmp_path / "a.parquet", tmp_path / "a.npy"
    pq.write_table(SCHEMA.empty_table(), table)
    array.write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS, table, array],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(os.strerror(errno.EMFILE) in line for line in lines)


WITHOUT_DESCRIPTORS = """
import resource, sys
from pathlib import Path
from wenlan_data.arrow import read_table
from wenlan_data.errors import DescriptorError
from wenlan_data.npy import load_any
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 1000))
for read in (lambda: read_table(sys.argv[1], ["n"]), lambda: load_any(Path(sys.argv[2]))):
    try:
        read()
    except DescriptorError as error:
        print(error)
"""
