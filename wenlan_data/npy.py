"""Array aliases, and arrays in .npy files: written whole or piece by piece, read by mapping."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from wenlan_data.errors import DamageError, cannot_open, from_os_error, in_short, os_errors
from wenlan_data.part_files import checked

Indices = NDArray[np.int64]
"""Row numbers, counts."""
Bools = NDArray[np.bool_]
Codes = NDArray[np.uint64]
"""Hash codes of images and texts."""
FixedBytes = NDArray[np.bytes_]
"""Byte strings of one fixed length. NumPy compares and sorts them correctly, but drops trailing
zero bytes of an item: read items with `tobytes`."""

Kind = TypeVar("Kind", bound=np.generic)

BUILD_AGAIN = "build the corpus again"


def save_array(path: Path, array: NDArray[np.generic]) -> None:
    """Writes a .npy file to exactly `path`."""
    # Opened here: given a path, `np.save` appends `.npy` to a name without it.
    with os_errors(path), path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def load_array(path: Path, kind: type[Kind]) -> NDArray[Kind]:
    """Maps a .npy file of the work folder, without reading it. Raises `DamageError` where it is
    missing, truncated or of another type."""
    array = load_any(path)
    if not issubclass(array.dtype.type, kind):
        raise DamageError(f"{path}: holds {array.dtype} in place of {kind.__name__}: {BUILD_AGAIN}")
    return cast("NDArray[Kind]", array)


def load_any(
    path: Path, what: str = "an array of the build", remedy: str = BUILD_AGAIN
) -> NDArray[np.generic]:
    """Maps a .npy file of any type. The `DamageError` for a missing or truncated one states `what`
    it should be, and the `remedy`."""
    try:
        array: object = np.load(checked(path), mmap_mode="r", allow_pickle=False)
    except OSError as error:
        if cannot_open(error):
            raise from_os_error(error, path) from error
        raise DamageError(
            f"{path}: {what} cannot be read ({error.strerror or error}): {remedy}"
        ) from error
    except (ValueError, EOFError) as error:
        raise DamageError(f"{path}: it is not {what} ({in_short(error)}): {remedy}") from error
    # NumPy opens a zip file as well, as a dictionary of arrays.
    if not isinstance(array, np.ndarray):
        raise DamageError(f"{path}: it is not {what}, but an archive: {remedy}")
    return array


class ArrayWriter:
    """Writes a .npy file piece by piece; the file is valid once it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = 0
        self._like: NDArray[np.generic] | None = None
        with os_errors(path):
            self._file: BinaryIO = path.open("wb")

    def append(self, piece: NDArray[np.generic]) -> None:
        """Adds rows; all pieces have one type and row shape, and there is at least one."""
        with os_errors(self._path):
            if self._like is None:
                self._like = piece[:0]
                self._write_header(self._like)
            self._file.write(piece.tobytes())
        self._rows += len(piece)

    def close(self) -> None:
        """Writes the final number of rows into the header."""
        with os_errors(self._path):
            if self._like is not None:
                self._file.seek(0)
                self._write_header(self._like)
            self._file.close()

    def _write_header(self, like: NDArray[np.generic]) -> None:
        shape = (self._rows, *like.shape[1:])
        # NumPy leaves room for a longer first dimension, so both headers have one length.
        header = {
            "descr": np.lib.format.dtype_to_descr(like.dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(self._file, header)


def members(sorted_values: NDArray[Kind], wanted: NDArray[Kind]) -> tuple[Indices, Bools]:
    """For each wanted value its first place among the sorted ones, and whether it is one of
    them."""
    if not len(sorted_values):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(sorted_values, wanted), len(sorted_values) - 1)
    return place, sorted_values[place] == wanted


def value_ranges(arrays: "list[NDArray[Kind]]", rows: int) -> Iterator[list[slice]]:
    """Cuts sorted arrays at common values, so that about `rows` rows of the longest are in each
    piece."""
    longest = max(arrays, key=len)
    begin = [0] * len(arrays)
    for cut in range(rows, len(longest), rows):
        end = [int(np.searchsorted(array, longest[cut], side="left")) for array in arrays]
        yield [slice(first, last) for first, last in zip(begin, end, strict=True)]
        begin = end
    yield [slice(first, len(array)) for first, array in zip(begin, arrays, strict=True)]
