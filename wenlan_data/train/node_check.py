"""What nodes of a cluster must share for a training: libraries, shards, and the run's folder."""

import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

from wenlan_data.errors import UsageError, os_errors

COMPARED = ("numpy", "safetensors", "timm", "torch", "torchvision", "transformers")
"""Packages whose versions must be the driver's."""
Node = tuple[Mapping[str, str], Sequence[Path]]
"""Versions of a node, and the paths that it does not see."""


@contextmanager
def shared_folder(out: Path) -> Iterator[Path]:
    """Yields a new folder in `out`, by which nodes show that they see `out`; removes it, and the
    folders that it created where they are empty."""
    folder = out / f".nodes-{secrets.token_hex(8)}"
    created = [path for path in folder.parents if not path.exists()]
    with os_errors(folder):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            for path in created:
                path.rmdir()


def look(paths: Sequence[Path]) -> Node:
    """Looks at this node."""
    return _versions(), [path for path in paths if not path.exists()]


def check_nodes(nodes: Iterable[tuple[str, Node]], out: Path, marker: Path) -> None:
    """Raises `UsageError` that names the first node which differs; `marker` is a new path in
    `out`."""
    ours = _versions()
    for where, (theirs, missing) in nodes:
        other = [f"{name} {theirs[name]}" for name in ours if theirs[name] != ours[name]]
        if other:
            wanted = ", ".join(
                f"{name} {ours[name]}" for name in ours if theirs[name] != ours[name]
            )
            raise UsageError(
                f"{where}: {', '.join(other)} (the driver has {wanted}): install the driver's "
                "versions there, or take the node out of the cluster"
            )
        if marker in missing:
            raise UsageError(
                f"{where}: does not see what the driver writes to {out}: checkpoints need storage "
                "that all nodes reach under the same path: give such an --out"
            )
        if missing:
            raise UsageError(
                f"{where}: {missing[0]}: no such file or folder: all nodes of the cluster must "
                "have it, or a copy, under the same path"
            )


def _versions() -> dict[str, str]:
    found = {"Python": python_version()}
    for name in COMPARED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def check_size(resources: Mapping[str, float], ranks: int) -> bool:
    """Returns whether ranks have GPUs, as they do where the cluster has any.

    Raises `UsageError` where it has fewer of them, or of cores, than ranks.
    """
    unit = "GPU" if resources.get("GPU", 0) else "CPU"
    if resources.get(unit, 0) < ranks:
        raise UsageError(
            f"--nproc {ranks}: each rank takes a {unit}, and the cluster of --ray has "
            f"{resources.get(unit, 0):g}: give a smaller --nproc, or add nodes"
        )
    return unit == "GPU"
