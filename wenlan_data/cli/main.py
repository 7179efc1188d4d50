"""The command line. Workers are imported inside the callbacks, so that `--help` answers at once."""

import os
import signal
import sys
import threading
from contextlib import suppress
from gc import freeze
from typing import NoReturn

import click

from wenlan_data import __version__
from wenlan_data.cli.build import build
from wenlan_data.cli.demo import demo
from wenlan_data.cli.detect import detect
from wenlan_data.cli.evaluate import evaluate
from wenlan_data.cli.gc import gc
from wenlan_data.cli.load import load
from wenlan_data.cli.near import near
from wenlan_data.cli.recipes import recipes
from wenlan_data.cli.shards import shards
from wenlan_data.cli.text import text
from wenlan_data.cli.train import train
from wenlan_data.errors import InterruptedBuildError, WenlanError, from_os_error


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wenlan-data")
def cli() -> None:
    """Build Chinese image-text corpora, look into them, trust them, and train on them."""


for command in (build, demo, detect, evaluate, gc, load, recipes, shards, text, train):
    cli.add_command(command)
shards.add_command(near)


def main() -> NoReturn:
    """Run the command line: an error is one line on stderr and an exit code (see `wenlan_data.errors`)."""
    stdout = sys.stdout
    try:
        # Without standalone mode click gives back the code of ctx.exit(), such as 0 of --help.
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _leave(InterruptedBuildError("interrupted: run the same command to go on"))
    except WenlanError as error:
        _fail(error)
    except BrokenPipeError:
        _reader_left()
    except SystemExit:
        # click puts another stdout in place where the reader went away, and exits with 1, our code for damage.
        if sys.stdout is not stdout:
            _reader_left()
        raise
    except OSError as error:
        _fail(from_os_error(error))
    finally:
        # At the interpreter's end the collector would walk over all that was loaded: a third of a second after a build.
        freeze()
    sys.exit(code if isinstance(code, int) else 0)


def _reader_left() -> NoReturn:
    """Nothing more can be said to `| head`, also not at interpreter exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(0)


def _leave(error: InterruptedBuildError) -> NoReturn:
    """As `_fail`, without waiting for threads whose parts will never be committed."""
    # The interpreter's own end gives a handler back to the system, and a second Ctrl-C would then change the exit code.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        _fail(error)
    finally:
        if any(
            not one.daemon for one in threading.enumerate() if one is not threading.main_thread()
        ):
            sys.stdout.flush()
            os._exit(error.exit_code)


def _fail(error: WenlanError) -> NoReturn:
    line = "".join(
        one if one.isprintable() else f"\\x{ord(one):02x}" for one in " ".join(str(error).split())
    )
    # The exit code tells as much to whoever does not listen any more.
    with suppress(BrokenPipeError):
        print(f"wenlan-data: {line}", file=sys.stderr, flush=True)
    sys.exit(error.exit_code)
