"""One search by a peer, run in the peers' own environment: `python dedupe_peers.py NAME CODES.npy
COUNT RADIUS`.

Prints one JSON line: seconds, processor seconds of all its threads and processes, and pairs found.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import types

import numpy as np
from numpy.typing import NDArray


def distance(left: str, right: str) -> int:
    """Bits that differ."""
    return (int(left, 16) ^ int(right, 16)).bit_count()


def imagededup(codes: NDArray[np.uint64], radius: int) -> int:
    """Its own search (a BK-tree, or its compiled brute force) over hashes that are made already."""
    # Only its search is loaded: the package imports torch for models that hashes do not need.
    for name, attribute in (("models", "CustomModel"), ("plotter", "plot_duplicates")):
        stub = types.ModuleType(f"imagededup.utils.{name}")
        setattr(stub, attribute, None)
        sys.modules[stub.__name__] = stub
    from imagededup.handlers.search.retrieval import HashEval

    hashes = {str(place): f"{code:016x}" for place, code in enumerate(codes.tolist())}
    found = HashEval(
        hashes,
        hashes,
        distance,
        threshold=radius,
        search_method="brute_force_cython",
        verbose=False,
    )
    return sum(len(near) for near in found.retrieve_results().values()) // 2


def daft(codes: NDArray[np.uint64], radius: int) -> int:
    """The self-join of its documentation: every row with every other, then a filter on the
    distance."""
    import daft as daft_library
    from daft import col

    def side(prefix: str) -> daft_library.DataFrame:
        rows = {f"{prefix}row": np.arange(len(codes)), f"{prefix}hash": np.ascontiguousarray(codes)}
        return daft_library.from_pydict(rows)

    joined = side("a").join(side("b"), how="cross")
    pairs = joined.where(
        (col("arow") < col("brow")) & (col("ahash").hamming_distance(col("bhash")) <= radius)
    )
    return int(pairs.count_rows())


def main() -> None:
    """Run one search."""
    name, path, count, radius = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    codes = np.load(path, mmap_mode="r")[:count]
    started, used = time.monotonic(), processor_seconds()
    pairs = {"imagededup": imagededup, "daft": daft}[name](codes, radius)
    seconds, used = time.monotonic() - started, processor_seconds() - used
    print(json.dumps({"seconds": round(seconds, 2), "cpu_seconds": round(used, 2), "pairs": pairs}))


def processor_seconds() -> float:
    """Of this process, its threads, and those of its children that are done."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
