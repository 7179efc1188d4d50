"""Ids of earlier generations: 16-byte ids in sorted arrays on disk, looked up in place."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from wenlan_data.errors import DamageError
from wenlan_data.npy import Bools, FixedBytes
from wenlan_data.records import Text

ID_BYTES = 16


def candidate_id(url_key: str, texts: Sequence[Text]) -> bytes:
    """Returns the first 16 bytes of SHA-256 over URL key and texts as read, each field after its
    length.
    """
    fields = [url_key, *(field for text in texts for field in (text.type, text.text))]
    encoded = [field.encode() for field in fields]
    return hashlib.sha256(b"".join(len(one).to_bytes(4, "big") + one for one in encoded)).digest()[
        :ID_BYTES
    ]


def ids_array(ids: Iterable[bytes]) -> FixedBytes:
    """Returns S16 (N) of ids of 16 bytes each."""
    return np.frombuffer(b"".join(ids), dtype="S16")


def save_ids(path: Path, ids: FixedBytes) -> None:
    """Writes the ids, sorted and each once, to exactly `path` (a `.npy` of dtype S16)."""
    with path.open("wb") as file:
        np.save(file, np.unique(ids.astype("S16", copy=False)), allow_pickle=False)


def load_ids(path: Path | str) -> FixedBytes:
    """Memory-maps the sorted ids of a file of `save_ids`.

    Raises `DamageError` for any other file.
    """
    try:
        ids = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DamageError(
            f"{path}: it is not a list of ids ({error}): run the build into a new output"
        ) from error
    if not isinstance(ids, np.ndarray) or ids.dtype != np.dtype("S16") or ids.ndim != 1:
        raise DamageError(
            f"{path}: it is not a list of 16-byte ids: run the build into a new output"
        )
    return ids


class SeenIds:
    """The ids of all `paths`.

    Each file stays on disk, and a lookup reads only the memory pages it needs.
    """

    def __init__(self, paths: Sequence[Path | str]) -> None:
        self._arrays = [ids for ids in map(load_ids, paths) if len(ids)]

    def contains(self, ids: FixedBytes) -> Bools:
        """Returns bool (N): which of the S16 (N) `ids` were seen."""
        found = np.zeros(len(ids), dtype=np.bool_)
        order = np.argsort(ids)
        wanted = ids[order]
        for known in self._arrays:
            places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
            found[order] |= known[places] == wanted
        return found
