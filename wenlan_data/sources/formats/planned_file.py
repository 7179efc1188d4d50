"""The file of a source: its absolute path, and the check that it is still the file that was
planned."""

import os
from pathlib import Path

from wenlan_data.errors import UsageError, os_errors
from wenlan_data.protocols import SourcePart
from wenlan_data.sources.formats.file_digest import FileDigests

_digests = FileDigests()
"""Of this process: a file is hashed once for all passes over it."""


def absolute_path(base: str, path: str) -> Path:
    """Returns `path` below the folder `base`, absolute, since a worker of Ray does not run in the
    operator's folder.

    Symbolic links are kept: a source is known by the path that its operator wrote. Raises
    `UsageError` for a path that no file can have.
    """
    if "\0" in path:
        raise UsageError(f"{path!a}: the path has a NUL character: check it")
    return Path(os.path.abspath(Path(base) / path))  # noqa: PTH100 - resolve() follows links


def planned_file(part: SourcePart) -> Path:
    """Returns the file of a part.

    Raises `UsageError` if its size or, for a source that is known by content, its digest is not
    that of the plan, since byte ranges and row numbers then point elsewhere.
    """
    file = Path(part.path)
    with os_errors(file):
        size_bytes = file.stat().st_size
    if size_bytes != part.bytes:
        raise UsageError(
            f"{file}: it has {size_bytes} bytes now and had {part.bytes} when the build was planned: "
            "put the old file back, or give the new one as a new source"
        )
    if part.sha256 and _digests.sha256(file) != part.sha256:
        raise UsageError(
            f"{file}: its content is not that of the file when the build was planned: "
            "put the old file back, or run the same command to read the new one"
        )
    return file
