"""Formats what commands print: tables and JSON, escaped so that a terminal does not act on them."""

import click

MAX_LIST_ITEMS = 12
"""Items of a list that are printed; `--json` prints all."""


def printable(text: str) -> str:
    """Escapes everything that a terminal acts on: control and bidirectional characters."""
    return "".join(
        character
        if character.isprintable() or character == "\u3000"
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def dump(value: object) -> str:
    """Returns one line of JSON that no terminal acts on."""
    import json

    text = json.dumps(value, ensure_ascii=False)
    # JSON leaves C1 controls and bidirectional marks as they are, and a terminal acts on both.
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )


def cell(value: object) -> str:
    """Returns a value as text; an object as `name=value` pairs."""
    if isinstance(value, dict):
        return "  ".join(f"{name}={cell(inner)}" for name, inner in value.items())
    return str(value)


def print_field(name: str, value: object, indent: str = "") -> None:
    """Prints a value below its name, indented by its depth; long lists are cut."""
    if isinstance(value, dict):
        click.echo(f"{indent}{printable(name)}:")
        for inner_name, inner in value.items():
            print_field(str(inner_name), inner, indent + "  ")
    elif isinstance(value, list):
        click.echo(f"{indent}{printable(name)}:")
        for item in value[:MAX_LIST_ITEMS]:
            click.echo(f"{indent}  {printable(cell(item))}")
        if len(value) > MAX_LIST_ITEMS:
            click.echo(f"{indent}  and {len(value) - MAX_LIST_ITEMS} more (--json shows all)")
    else:
        click.echo(f"{indent}{printable(name)}: {printable(str(value))}")


def print_counts(name: str, value: object) -> None:
    """Prints a number, or one line per entry of an object, with the name on the first line."""
    if not isinstance(value, dict):
        click.echo(f"{name:14} {value}")
        return
    for index, (inner_name, inner) in enumerate(value.items()):
        title = name if index == 0 else ""
        click.echo(f"{title:14} {printable(f'{inner_name}: {cell(inner)}')}")
