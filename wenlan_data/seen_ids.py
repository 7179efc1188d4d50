"""Ids of earlier generations: 16-byte ids in sorted arrays on disk, looked up in place."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from wenlan_data.errors import DamageError
from wenlan_data.npy import Bools, FixedBytes, load_any, members, save_array
from wenlan_data.records import Text

ID_BYTES = 16
_NEW_OUTPUT = "run the build into a new output"


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
    save_array(path, np.unique(ids.astype("S16", copy=False)))


def load_ids(path: Path | str) -> FixedBytes:
    """Memory-maps the sorted ids of a file of `save_ids`.

    Raises `DamageError` for any other file.
    """
    ids = load_any(Path(path), what="a list of ids", remedy=_NEW_OUTPUT)
    if ids.dtype != np.dtype("S16") or ids.ndim != 1:
        raise DamageError(f"{path}: it is not a list of 16-byte ids: {_NEW_OUTPUT}")
    return cast("FixedBytes", ids)


class SeenIds:
    """The ids of all `paths`.

    Each file stays on disk, and a lookup reads only the memory pages it needs.
    """

    def __init__(self, paths: Sequence[Path | str]) -> None:
        self._paths = tuple(paths)
        # A missing file is an error even where nothing is looked up.
        for path in paths:
            load_ids(path)

    def contains(self, ids: FixedBytes) -> Bools:
        """Returns bool (N): which of the S16 (N) `ids` were seen."""
        found = np.zeros(len(ids), dtype=np.bool_)
        order = np.argsort(ids)
        wanted = ids[order]
        # Mapped one at a time: each mapping holds a file descriptor, and a corpus of many
        # generations that many threads read has more files than a process may open. Mapping takes
        # 0.05 ms.
        for path in self._paths if len(ids) else ():
            found[order] |= members(load_ids(path), wanted)[1]
        return found
