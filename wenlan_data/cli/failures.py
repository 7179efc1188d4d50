"""Reports an error as one line on stderr; the traceback of an unforeseen one goes to a log file.

The log is a new file `wenlan-data-*.log` in the temporary folder (`TMPDIR`), readable by its owner
alone. With the environment variable `WENLAN_DATA_DEBUG` set, every error prints its traceback on
stderr instead. Both are escaped, and leave out passwords and the values of secret variables.
"""

import os
import re
import sys
import threading
from contextlib import suppress
from typing import TextIO

from wenlan_data import __version__
from wenlan_data.errors import InterruptedBuildError, UnexpectedError, in_short
from wenlan_data.printable import LINE_BREAKS, printable
from wenlan_data.stop_signals import can_write_stderr

DEBUG_VARIABLE = "WENLAN_DATA_DEBUG"
MAX_LOG_CHARACTERS = 1 << 20
_SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
_MIN_SECRET_CHARACTERS = 6
"""Shorter values of such variables, as `0` or `token`, would remove plain words from the log."""
_SECRETS = (
    (re.compile(r"(?<=://)[^\s/@]{1,200}@"), "***@"),
    (
        re.compile(
            r"(?i)((?:token|secret|passw(?:or)?d|signature|sig|api_?key|access_?key)=)[^&\s'\"]+"
        ),
        r"\1***",
    ),
    (re.compile(r"(?i)((?:authorization|cookie)['\"]?\s*[:=]\s*).+"), r"\1***"),
)
_CONTROLS_OF_RICH = re.compile(r"\x1b\[(?:\?25[hl]|[0-9;]*[mAKG])")
"""What rich and click write themselves: colours, and the cursor moves of a progress bar."""


class EscapedStream:
    """Stands for stderr: escapes what libraries print (warnings, logging, tracebacks of threads).

    On a terminal the controls of rich pass; the project's own lines were escaped before. What
    cannot be written, as to a full disk, is left out: a command does not fail for its notices.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes the escaped text; returns the length of what was given."""
        with suppress(OSError):
            self._stream.write(_escape(text, is_terminal=self._stream.isatty()))
        return len(text)

    def flush(self) -> None:
        """Flushes the stream."""
        with suppress(OSError):
            self._stream.flush()

    def writelines(self, lines: list[str]) -> None:
        """Writes each of the lines."""
        for line in lines:
            self.write(line)


def escape_stderr() -> None:
    """Escapes from now on everything that is written to `sys.stderr`, in every thread, and makes
    an error that ends a thread one line and a log."""
    sys.stderr = EscapedStream(sys.stderr)
    threading.excepthook = _report_thread


def report(error: BaseException) -> None:
    """Prints the line of an error that a command foresees, or its traceback for debugging."""
    line = without_secrets(_message(error, most=4000))
    _print(f"wenlan-data: {line}", error)


def report_unexpected(error: BaseException) -> None:
    """Prints one line that names the error and the log file, which holds the traceback."""
    what = "" if isinstance(error, UnexpectedError) else f"{type(error).__name__}: "
    line = f"wenlan-data: unexpected error: {what}{without_secrets(_message(error, most=400))}"
    try:
        where = f"the traceback is in {_write_log(error)}"
    except OSError as problem:
        where = (
            f"no log could be written ({problem.strerror}): set {DEBUG_VARIABLE}=1 to print "
            "the traceback"
        )
    _print(f"{line}: please report it; {where}", error)


def without_secrets(text: str) -> str:
    """Returns the text without passwords in URLs, secret parameters and values of the environment's
    secret variables."""
    for name, value in os.environ.items():
        if _SECRET_NAMES.search(name) and len(value) >= _MIN_SECRET_CHARACTERS:
            text = text.replace(value, "***")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _print(line: str, error: BaseException) -> None:
    if isinstance(error, InterruptedBuildError) and not can_write_stderr():
        return
    # If nobody reads stderr any more, the exit code is all that is reported.
    with suppress(OSError, ValueError):
        if os.environ.get(DEBUG_VARIABLE, "") not in ("", "0"):
            print(_traceback(error), file=sys.stderr)
        print(printable(line), file=sys.stderr, flush=True)


def _message(error: BaseException, most: int) -> str:
    try:
        return in_short(error, most)
    except Exception:  # noqa: BLE001 - its class may be any, and its `__str__` may fail as well
        return "(its message cannot be read)"


def _write_log(error: BaseException) -> str:
    import platform
    import tempfile

    text = f"wenlan-data {__version__}, Python {platform.python_version()}\n{_traceback(error)}\n"
    # A new file with an unguessable name, opened with O_EXCL and O_NOFOLLOW, mode 0600.
    descriptor, path = tempfile.mkstemp(prefix="wenlan-data-", suffix=".log")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def _traceback(error: BaseException) -> str:
    import traceback

    text = "".join(traceback.format_exception(error))
    if len(text) > MAX_LOG_CHARACTERS:
        half = MAX_LOG_CHARACTERS // 2
        text = f"{text[:half]}\n...\n{text[-half:]}"
    return printable(without_secrets(text), LINE_BREAKS)


def _report_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        report_unexpected(ended.exc_value)


def _escape(text: str, *, is_terminal: bool) -> str:
    keep = LINE_BREAKS | {"\r"}
    if not is_terminal:
        return printable(text, keep)
    parts = _CONTROLS_OF_RICH.split(text)
    controls = [*_CONTROLS_OF_RICH.findall(text), ""]
    return "".join(
        printable(part, keep) + control for part, control in zip(parts, controls, strict=True)
    )
