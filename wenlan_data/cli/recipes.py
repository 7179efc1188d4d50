"""`wenlan-data recipes`: the recipes that `--recipe` accepts by name."""

import re
from itertools import takewhile
from pathlib import Path

import click

from wenlan_data.cli.plugin_option import plugins_option
from wenlan_data.cli.terminal import echo, echo_lines, print_json


@click.group()
def recipes() -> None:
    """List and show recipes and plug-ins, and print the JSON Schema for editors."""


@recipes.command("list")
@plugins_option
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_recipes(as_json: bool) -> None:
    """List the recipes that come with wenlan-data, and the plug-ins that do not."""
    from wenlan_data.recipe import load_recipe, recipe_names
    from wenlan_data.settings import pipelines_folder

    rows = []
    for name in recipe_names():
        path = pipelines_folder() / f"{name}.yaml"
        rows.append(
            {
                "name": name,
                "digest": load_recipe(name).digest(),
                "path": str(path),
                "about": _describe(path),
            }
        )
    if as_json:
        print_json(rows)
        return
    for row in rows:
        echo(f"{row['name']:8} {row['digest'][:12]}  {row['about']}")
    for one in _plugin_rows():
        if one["origin"] != "wenlan-data":
            echo(f"{one['role']} {one['name']}  of {one['origin']}")


@recipes.command("plugins")
@plugins_option
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_plugins(as_json: bool) -> None:
    """List the text rules, detectors and sources that recipes and sources files may name.

    Those of installed packages are listed without importing them.
    """
    rows = _plugin_rows()
    if as_json:
        print_json(rows)
        return
    for row in rows:
        echo(f"{row['role']:10} {row['name']:14} {row['origin']}")


def _plugin_rows() -> list[dict[str, str]]:
    from wenlan_data.plugins import ROLES, plug_ins

    return [
        {"role": role.noun, "name": name, "origin": one.origin}
        for role in ROLES
        for name, one in sorted(plug_ins(role).items())
    ]


def _describe(path: Path) -> str:
    """Returns the first sentence of the comment at the head of a file."""
    lines = path.read_text("utf-8").splitlines()
    head = " ".join(
        line[1:].strip() for line in takewhile(lambda line: line.startswith("#"), lines)
    )
    return re.split(r"[.:](?= |$)", head, maxsplit=1)[0]


@recipes.command()
@plugins_option
@click.argument("name")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key; the value is YAML.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(name: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print a recipe with all its values, defaults included, and the plan that follows from it."""
    import yaml

    from wenlan_data.plan import describe
    from wenlan_data.recipe import load_recipe

    recipe = load_recipe(name, overrides)
    if as_json:
        print_json({"digest": recipe.digest(), "recipe": recipe.resolved()})
        return
    echo(f"# digest {recipe.digest()}")
    echo_lines(yaml.safe_dump(recipe.resolved(), allow_unicode=True, sort_keys=False))
    echo_lines("\n# " + describe(recipe).replace("\n", "\n# "))


@recipes.command()
@plugins_option
def schema() -> None:
    """Print the JSON Schema of a recipe."""
    from wenlan_data.schema import recipe_schema

    print_json(recipe_schema(), indent=2)
