"""The entry point: `wenlan-data`, and `python -m wenlan_data`."""

import sys
import threading
from contextlib import suppress
from typing import NoReturn

from wenlan_data.bytecode import cut_bytecode_message, is_of_cut_bytecode
from wenlan_data.errors import DamageError, InterruptedBuildError
from wenlan_data.printable import printable
from wenlan_data.stop_signals import exit_interrupted, exit_now, exit_on_signals, ignore_signals


def run() -> NoReturn:
    """Runs the command line; a signal ends it with exit code 11 from here on, also in imports."""
    exit_on_signals()
    try:
        # Imported after: it takes longer than all before.
        from wenlan_data.cli.main import main

        main()
    except KeyboardInterrupt:
        # Raised while `main` handled another exception.
        exit_interrupted()
    except EOFError as error:
        if not is_of_cut_bytecode(error):
            raise
        # Without the modules of the command line: one of them may be the one that is cut.
        print(f"wenlan-data: {printable(cut_bytecode_message())}", file=sys.stderr)  # noqa: T201
        sys.exit(DamageError.exit_code)
    except SystemExit as end:
        if isinstance(end.code, int) and _ends_at_once(end.code):
            ignore_signals()
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            exit_now(end.code)
        raise


def _ends_at_once(code: int) -> bool:
    """Whether nothing is waited for: after an interruption no process may be left, and after a
    failure a thread may sit out a host's gap for minutes, and go on with requests for a part that
    will never be committed."""
    if code == InterruptedBuildError.exit_code:
        return True
    main = threading.main_thread()
    return code != 0 and any(not one.daemon for one in threading.enumerate() if one is not main)


if __name__ == "__main__":
    run()
