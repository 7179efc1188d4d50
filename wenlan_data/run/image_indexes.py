"""Image indexes of WARC files in which no page was new: kept beside the generations."""

import shutil
from pathlib import Path

from wenlan_data.errors import DamageError, os_errors
from wenlan_data.files import atomic_path, sha256_of
from wenlan_data.layout import WorkFolder

_DIGITS = 32


def keep_image_index(work: WorkFolder, path: Path) -> None:
    """Copies the index of a part, named by its content: the same index, kept twice, is one file.

    The part itself is not changed: a build that is stopped here finds it as it was.
    """
    target = work.indexes / f"{sha256_of(path)[:_DIGITS]}.parquet"
    with os_errors(target):
        work.indexes.mkdir(exist_ok=True)
        if not target.exists():
            with atomic_path(target) as partial:
                # With its time, which is compared with that of the WARC.
                shutil.copy2(path, partial)


def kept_image_indexes(work: WorkFolder) -> list[Path]:
    """Returns all indexes that were kept. Raises `DamageError` for one that has changed."""
    paths = sorted(work.indexes.glob("*.parquet"))
    for path in paths:
        if sha256_of(path)[:_DIGITS] != path.stem:
            raise DamageError(
                f"{path}: its content is not that of its name: restore it from a copy, or remove "
                "it: the images that it lists are then requested from the web"
            )
    return paths
