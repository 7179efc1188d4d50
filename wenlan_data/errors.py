"""Every error that a user can meet, with its exit code.

    WenlanError                1
    ├── DamageError            1   what was read is not what was written; a check failed
    ├── UsageError             2   a wrong argument, a missing file, an output that is not ours
    ├── DiskError              3   no space, or a file that grew past what the system allows
    ├── RecipeError            4   a recipe that is wrong, or that does not match the output
    ├── FailureBudgetError     9   more failed than the operator allowed
    ├── InterruptedBuildError 11   stopped on request; the same command goes on
    └── WorkerLostError        1   a worker process died under a part, again and again

A message says what is wrong, where (file, URL, key), and what to do, in one line.
"""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class WenlanError(Exception):
    """The root: the command line prints its message as one line and exits with `exit_code`."""

    exit_code = 1


class DamageError(WenlanError):
    """A file is not what the manifest, an index or its own structure says."""


class UsageError(WenlanError):
    """The command cannot run as it was given."""

    exit_code = 2


class DiskError(WenlanError):
    """There is no room to write."""

    exit_code = 3


class RecipeError(WenlanError):
    """A recipe or sources file is wrong, or belongs to another output."""

    exit_code = 4


class FailureBudgetError(WenlanError):
    """Too much failed; what is finished was published."""

    exit_code = 9


class InterruptedBuildError(WenlanError):
    """Stopped on request."""

    exit_code = 11


class WorkerLostError(WenlanError):
    """A worker process died: killed, out of memory, or its node is gone."""


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}


def from_os_error(error: OSError, path: Path | str | None = None) -> WenlanError:
    """The user's error for what the system said, naming the file."""
    where = error.filename or path or "the output"
    if error.errno in _NO_ROOM:
        remedy = "raise the limit of a file's size" if error.errno == errno.EFBIG else "free space"
        return DiskError(
            f"no room to write {where} ({error.strerror}): {remedy} and run the same command"
        )
    if error.errno in _NO_RIGHT:
        return UsageError(f"{where}: {error.strerror}: choose another place or change its rights")
    return UsageError(f"{where}: {error.strerror or error}")


def print_line(line: str) -> None:
    """A line on stderr: something that the user should know, and no error."""
    sys.stderr.write(line + "\n")


def in_short(error: Exception, most: int = 160) -> str:
    """What a library says, in one line of at most about `most` characters; what is left out is marked."""
    line = " ".join(str(error).split())
    return line if len(line) <= most else f"{line[:most]} ..."


@contextmanager
def os_errors(path: Path | str | None = None) -> Iterator[None]:
    """Turn an `OSError` of the body into the user's error (`from_os_error`)."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, path) from error
