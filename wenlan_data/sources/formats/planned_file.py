"""The file of a source: its absolute path, and the check that it is still the file that was
planned."""

import os
from pathlib import Path

from wenlan_data.errors import UsageError, os_errors
from wenlan_data.protocols import SourcePart


def absolute_path(base: str, path: str) -> Path:
    """Returns `path` below the folder `base`, absolute, since a worker of Ray does not run in the
    operator's folder.

    Symbolic links are kept: a source is known by the path that its operator wrote.
    """
    return Path(os.path.abspath(Path(base) / path))  # noqa: PTH100 - resolve() follows links


def planned_file(part: SourcePart) -> Path:
    """Returns the file of a part.

    Raises `UsageError` if its size is not that of the plan, since byte ranges and row numbers then
    point elsewhere.
    """
    file = Path(part.path)
    with os_errors(file):
        size_bytes = file.stat().st_size
    if size_bytes != part.bytes:
        raise UsageError(
            f"{file}: it has {size_bytes} bytes now and had {part.bytes} when the build was planned: "
            "put the old file back, or give the new one as a new source"
        )
    return file
