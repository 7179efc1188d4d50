"""The entry point: `wenlan-data`, and `python -m wenlan_data`."""

from typing import NoReturn

from wenlan_data.stop_signals import exit_interrupted, exit_on_signals


def run() -> NoReturn:
    """Runs the command line; a signal ends it with exit code 11 from here on, also in imports."""
    exit_on_signals()
    # Imported after: it takes longer than all before.
    from wenlan_data.cli.main import main

    try:
        main()
    except KeyboardInterrupt:
        # Raised while `main` handled another exception.
        exit_interrupted()


if __name__ == "__main__":
    run()
