"""The entry point: `wenlan-data`, and `python -m wenlan_data`."""

from __future__ import annotations

import os
import signal
import sys

# Not from `typing`, and all else is imported in functions: until `run` handles signals, nothing slow
# may be imported.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

INTERRUPTED = 11
"""The exit code of `InterruptedBuildError`."""
FLUSH_S = 1.0


def run() -> NoReturn:
    """Runs the command line; a signal ends it with exit code 11 from here on, also in imports."""
    _exit_on_early_signals()
    _open_missing_streams()
    from wenlan_data.stop_signals import exit_interrupted, exit_on_signals

    exit_on_signals()
    try:
        from wenlan_data.cli.main import main

        main()
    except KeyboardInterrupt:
        # Raised while `main` handled another exception.
        exit_interrupted()
    except EOFError as error:
        _report_cut_bytecode(error)
    except SystemExit as end:
        if isinstance(end.code, int) and _ends_at_once(end.code):
            _end(end.code)
        raise


def _exit_on_early_signals() -> None:
    """Handles signals until `stop_signals` is imported, which takes most of the time until then."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit_early)


def _exit_early(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 # a signal handler
    import select

    try:
        if select.select([], [2], [], 0)[1]:
            os.write(2, b"wenlan-data: interrupted\n")
    finally:
        os._exit(INTERRUPTED)


def _open_missing_streams() -> None:
    """Opens what is closed of stdin, stdout and stderr on the null device.

    Otherwise the next file that is opened would take its number, and get what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free: this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _report_cut_bytecode(error: EOFError) -> NoReturn:
    from wenlan_data.bytecode import cut_bytecode_message, is_of_cut_bytecode
    from wenlan_data.errors import DamageError
    from wenlan_data.printable import printable

    if not is_of_cut_bytecode(error):
        raise error
    # Without the modules of the command line: one of them may be the one that is cut.
    print(f"wenlan-data: {printable(cut_bytecode_message())}", file=sys.stderr)  # noqa: T201
    sys.exit(DamageError.exit_code)


def _ends_at_once(code: int) -> bool:
    """Whether nothing is waited for: after an interruption no process may be left, and after a
    failure a thread may sit out a host's gap for minutes, and go on with requests for a part that
    will never be committed."""
    import threading

    if code == INTERRUPTED:
        return True
    main = threading.main_thread()
    return code != 0 and any(not one.daemon for one in threading.enumerate() if one is not main)


def _end(code: int) -> NoReturn:
    import threading

    from wenlan_data.stop_signals import exit_now, ignore_signals

    ignore_signals()
    flush = threading.Thread(target=_flush, daemon=True)
    flush.start()
    # After an interruption a reader that has stopped reading is not waited for.
    flush.join(FLUSH_S if code == INTERRUPTED else None)
    exit_now(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


if __name__ == "__main__":
    run()
