"""Errors with exit codes; the command line prints their message as one line.

    WenlanError                1
    ├── DamageError            1   corrupt data, or a failed check
    ├── UsageError             2   a wrong argument, a missing file, an output with other files
    ├── DiskError              3   no space, or a file that grew past what the system allows
    │   └── DeviceError        3   the device failed to read or write (EIO)
    ├── DescriptorError        1   too many open files
    ├── RecipeError            4   an invalid recipe, or one that does not match the output
    ├── FailureBudgetError     9   more failures than the operator allows
    ├── InterruptedBuildError 11   interrupted; the same command resumes the build
    ├── WorkerLostError        1   a worker process died several times at one part
    └── OtherRankError         *   the main rank of a training failed, and reports why

Any other exception is an error of this program: the command line prints one line, writes a log
with the traceback, and exits with 1. `UnexpectedError` is such an exception of a part of a build.

A message states what is wrong, where (file, URL, key), and what to do, in one line.
"""

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from wenlan_data.printable import printable

ResultT = TypeVar("ResultT")


class WenlanError(Exception):
    """Base of all errors; the command line prints its message and exits with `exit_code`."""

    exit_code = 1


class DamageError(WenlanError):
    """A file is corrupt: it differs from the manifest, an index or its own structure."""


class UsageError(WenlanError):
    """A command with wrong arguments, or whose input is missing."""

    exit_code = 2


class DiskError(WenlanError):
    """No space left on the device, or a file above the size limit of the system."""

    exit_code = 3


class DeviceError(DiskError):
    """The device failed to read or write (EIO). May be transient: a part is tried once more."""


class DescriptorError(WenlanError):
    """The process or the system has too many open files. May be transient, as `DeviceError`."""


class RecipeError(WenlanError):
    """A recipe or sources file is invalid, or does not match the output."""

    exit_code = 4


class FailureBudgetError(WenlanError):
    """More requests of a build, or more training steps in a row, failed than is allowed.

    Finished generations are published; the last good checkpoint stands.
    """

    exit_code = 9


class InterruptedBuildError(WenlanError):
    """The operator interrupted a build or a training run."""

    exit_code = 11


class WorkerLostError(WenlanError):
    """A worker process died: killed, out of memory, or lost with its node."""

    def __init__(self, message: str, *, with_node: bool = False) -> None:
        super().__init__(message)
        self.with_node = with_node
        """Whether the whole node was lost, so that the part may not be the cause."""


class OtherRankError(WenlanError):
    """The main rank of a training failed, and so this one ends with the same exit code.

    The command line prints the error of the main rank only.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UnexpectedError(Exception):
    """A part of a build raised something that no code foresees; names the step and the part."""


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}


def from_os_error(error: OSError, path: Path | str | None = None) -> WenlanError:
    """Returns the user's error for an `OSError`; its message names the file."""
    # Of two files, as for a copy, the second is the one that is written.
    written = error.filename2 if error.errno in _NO_ROOM else None
    where = written or error.filename or path or "the output"
    if error.errno == errno.EIO:
        return DeviceError(
            f"{where}: the device failed ({error.strerror}): check it, and run the same command"
        )
    if error.errno in _NO_DESCRIPTOR:
        return DescriptorError(
            f"{where}: {error.strerror}: raise the limit of open files (`ulimit -n`) or give "
            "fewer --workers, and run the same command"
        )
    if error.errno in _NO_ROOM:
        remedy = "raise the limit of a file's size" if error.errno == errno.EFBIG else "free space"
        return DiskError(
            f"no room to write {where} ({error.strerror}): {remedy} and run the same command"
        )
    if error.errno in _NO_RIGHT:
        return UsageError(f"{where}: {error.strerror}: choose another place or change its rights")
    return UsageError(f"{where}: {error.strerror or error}")


def exit_code_of(error: BaseException) -> int:
    """The exit code of a command that ends with this error."""
    if isinstance(error, OSError) and error.errno is not None:
        error = from_os_error(error)
    return error.exit_code if isinstance(error, WenlanError) else WenlanError.exit_code


def cannot_open(error: OSError) -> bool:
    """Whether rights, a lack of file descriptors or the device kept a file from being read: the
    file itself may be intact."""
    return error.errno in _NO_RIGHT | _NO_DESCRIPTOR | {errno.EIO}


def is_transient_error(error: BaseException) -> bool:
    """Whether a second attempt may succeed where the first met this error: EIO, or too many open
    files."""
    if isinstance(error, OSError):
        return error.errno in _NO_DESCRIPTOR | {errno.EIO}
    return isinstance(error, DeviceError | DescriptorError)


def retry_once(action: Callable[[], ResultT]) -> ResultT:
    """Returns the result of an action that may be repeated; repeats it once after an error that
    `is_transient_error`."""
    try:
        return action()
    except (OSError, WenlanError) as error:
        if not is_transient_error(error):
            raise
    return action()


def print_line(line: str) -> None:
    """Prints a notice for the user on stderr, one line, escaped; where it cannot be written, the
    work goes on without it."""
    with suppress(OSError):
        sys.stderr.write(printable(line) + "\n")


def in_short(error: BaseException | str, most: int = 160) -> str:
    """Returns a library's message as one line, shortened to `most` characters and marked if cut."""
    line = " ".join(str(error).split())
    return line if len(line) <= most else f"{line[:most]} ..."


@contextmanager
def os_errors(path: Path | str | None = None) -> Iterator[None]:
    """Converts an `OSError` of the body by `from_os_error`."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, path) from error
