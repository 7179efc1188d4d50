"""The command line. Commands import the package in their bodies, so that `--help` starts fast."""

import os
import sys
from gc import freeze
from typing import NoReturn

import click

from wenlan_data import __version__
from wenlan_data.bytecode import is_of_cut_bytecode
from wenlan_data.cli.build import build
from wenlan_data.cli.demo import demo
from wenlan_data.cli.detect import detect
from wenlan_data.cli.evaluate import evaluate
from wenlan_data.cli.extract import extract
from wenlan_data.cli.failures import escape_stderr, report, report_unexpected
from wenlan_data.cli.gc import gc
from wenlan_data.cli.load import load
from wenlan_data.cli.near import near
from wenlan_data.cli.recipes import recipes
from wenlan_data.cli.shards import shards
from wenlan_data.cli.terminal import echo, echo_lines
from wenlan_data.cli.text import text
from wenlan_data.cli.train import train
from wenlan_data.errors import InterruptedBuildError, OtherRankError, WenlanError, from_os_error
from wenlan_data.stop_signals import MESSAGE, exit_on_signals, interrupt_on_signals, is_main_rank


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wenlan-data")
def cli() -> None:
    """Build Chinese image-text corpora, inspect and verify them, and train on them.

    An unexpected error ends in one line that names a log file in the temporary folder (TMPDIR).
    With WENLAN_DATA_DEBUG=1, every error prints its traceback.
    """


for command in (build, demo, detect, evaluate, extract, gc, load, recipes, shards, text, train):
    cli.add_command(command)
shards.add_command(near)


def main() -> NoReturn:
    """Runs the command line. An error becomes one line on stderr and an exit code.

    `wenlan_data.errors` lists the exit codes; `wenlan_data.cli.failures` writes the line.
    """
    escape_stderr()
    stdout = sys.stdout
    try:
        interrupt_on_signals()
        code = _run_command()
    except click.ClickException as error:
        _show_usage(error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail(InterruptedBuildError(MESSAGE))
    except WenlanError as error:
        _fail(error)
    except BrokenPipeError:
        _reader_left()
    except SystemExit:
        # click replaces stdout if its reader has gone, and exits with 1, our code for corruption.
        if sys.stdout is not stdout:
            _reader_left()
        raise
    except OSError as error:
        # Libraries derive errors of their own from it, which no system call gave.
        if error.errno is None:
            _fail_unexpectedly(error)
        _fail(from_os_error(error))
    except Exception as error:  # noqa: BLE001 - the last place that can turn it into one line
        _fail_unexpectedly(error)
    finally:
        # The interpreter may wait for threads, and nothing is written any more.
        exit_on_signals()
        # At exit the garbage collector would visit every loaded object: 0.3 s after a build.
        freeze()
    sys.exit(code if isinstance(code, int) else 0)


def _run_command() -> object:
    try:
        # Without standalone mode click returns the code of ctx.exit(), such as 0 for --help.
        return cli.main(standalone_mode=False)
    except click.Abort as error:
        # click makes an abort of two exceptions: of the one for Ctrl-C, and of the one that
        # libraries raise where a file ends too early.
        if isinstance(error.__cause__, EOFError):
            raise error.__cause__ from None
        raise


def _reader_left() -> NoReturn:
    """Exits quietly after the reader of stdout has gone, as in `| head`.

    The redirection keeps the flush at interpreter exit from failing as well.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(0)


def _fail(error: WenlanError) -> NoReturn:
    # An interruption here would be reported as an error of the report.
    exit_on_signals()
    if is_main_rank() or not isinstance(error, InterruptedBuildError | OtherRankError):
        report(error)
    sys.exit(error.exit_code)


def _fail_unexpectedly(error: BaseException) -> NoReturn:
    if isinstance(error, EOFError) and is_of_cut_bytecode(error):
        # For `__main__`, which reports it also where a module of the command line is cut.
        raise error
    exit_on_signals()
    report_unexpected(error)
    sys.exit(WenlanError.exit_code)


def _show_usage(error: click.ClickException) -> None:
    """Prints what `ClickException.show` prints, with the words of the command line escaped."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        echo_lines(error.format_message(), err=True)
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        echo_lines(context.get_usage(), err=True)
        echo(f"Try '{context.command_path} --help' for help.", err=True)
        echo(err=True)
    echo(f"Error: {' '.join(error.format_message().split())}", err=True)
