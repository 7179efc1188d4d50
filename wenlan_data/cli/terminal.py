"""Prints for commands. Nothing else in `cli/` writes to the terminal.

Values come from the web, from files of strangers and from recipes: every line is escaped by
`wenlan_data.printable`, so that a terminal does not act on it.
"""

import math
from typing import Any

import click

from wenlan_data.printable import LINE_BREAKS, escape, printable

MAX_LIST_ITEMS = 12
"""Items of a list that are printed; `--json` prints all."""


def echo(line: str = "", *, err: bool = False, nl: bool = True, **style: Any) -> None:
    """Prints one line, escaped: a line break inside it is printed as `\\n`. `style` is that of
    `click.style`."""
    text = printable(line)
    click.echo(click.style(text, **style) if style else text, err=err, nl=nl)


def echo_lines(text: str, *, err: bool = False) -> None:
    """Prints a text whose line breaks are ours, escaped but for these."""
    click.echo(printable(text.removesuffix("\n"), LINE_BREAKS), err=err)


def echo_styled(text: str, *, nl: bool = True) -> None:
    """Prints a text that holds styles of our own; its values were escaped before."""
    click.echo(text, nl=nl)


def echo_document(document: bytes) -> None:
    """Prints a file, such as a page of HTML, that the user redirects into one."""
    click.echo(document)


def print_progress(words: str) -> None:
    """Replaces the current line of stderr, a terminal, by at most 20 characters."""
    click.echo(f"\r{' ' * 20}\r{printable(words)}", err=True, nl=False)


def dump(value: object, indent: int | None = None) -> str:
    """Returns a value as JSON that no terminal acts on: one line, or many with `indent`.

    NaN and infinite numbers, which JSON has not, become null.
    """
    import json

    try:
        text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, indent=indent, allow_nan=False)
    # JSON leaves DEL, C1 controls and bidirectional marks as they are, and a terminal acts on them.
    # A line break is one between values here: inside a string it is escaped already.
    return escape(text, lambda character: json.dumps(character)[1:-1], LINE_BREAKS)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def print_json(value: object, indent: int | None = None) -> None:
    """Prints a value as JSON."""
    click.echo(dump(value, indent))


def cell(value: object) -> str:
    """Returns a value as text; an object as `name=value` pairs."""
    if isinstance(value, dict):
        return "  ".join(f"{name}={cell(inner)}" for name, inner in value.items())
    return str(value)


def print_field(name: str, value: object, indent: str = "") -> None:
    """Prints a value below its name, indented by its depth; long lists are cut."""
    if isinstance(value, dict):
        echo(f"{indent}{name}:")
        for inner_name, inner in value.items():
            print_field(str(inner_name), inner, indent + "  ")
    elif isinstance(value, list):
        echo(f"{indent}{name}:")
        for item in value[:MAX_LIST_ITEMS]:
            echo(f"{indent}  {cell(item)}")
        if len(value) > MAX_LIST_ITEMS:
            echo(f"{indent}  and {len(value) - MAX_LIST_ITEMS} more (--json shows all)")
    else:
        echo(f"{indent}{name}: {value}")


def print_counts(name: str, value: object) -> None:
    """Prints a number, or one line per entry of an object, with the name on the first line."""
    if not isinstance(value, dict):
        echo(f"{name:14} {value}")
        return
    for index, (inner_name, inner) in enumerate(value.items()):
        title = name if index == 0 else ""
        echo(f"{title:14} {inner_name}: {cell(inner)}")


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, in the plural unless it is one.

    >>> counted(1, "shard"), counted(2, "shard")
    ('1 shard', '2 shards')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"
