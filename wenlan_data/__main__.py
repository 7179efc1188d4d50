"""`python -m wenlan_data` is `wenlan-data`."""

from typing import NoReturn

from wenlan_data.stop_signals import exit_on_signals


def run() -> NoReturn:
    """Runs the command line; a signal ends it with exit code 11 from here on."""
    exit_on_signals()
    # Imported after: it takes longer than all before.
    from wenlan_data.cli.main import main

    main()


if __name__ == "__main__":
    run()
