"""The option `--plugins` of every command that loads a recipe or sources."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def _use(_context: click.Context, _parameter: click.Parameter, modules: tuple[str, ...]) -> None:
    from wenlan_data.plugins import use_modules

    use_modules(modules)


def plugins_option(command: CommandT) -> CommandT:
    """Adds `--plugins` to a command; the modules are imported before the command runs."""
    return click.option(
        "--plugins",
        multiple=True,
        metavar="MODULE",
        expose_value=False,
        callback=_use,
        help="Python module with rules, detectors or sources of your own; repeatable.",
    )(command)
