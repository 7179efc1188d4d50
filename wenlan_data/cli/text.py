"""`wenlan-data text`: applies the text rules of a recipe to texts of the user."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from wenlan_data.cli.plugin_option import plugins_option
from wenlan_data.cli.terminal import echo, echo_styled, print_json
from wenlan_data.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wenlan_data.clean.rule_trace import RuleChange, RuleTrace, RuleTracer
    from wenlan_data.recipe import Recipe
    from wenlan_data.records import Text

MAX_COMPARED_CHARACTERS = 400
"""Longer texts are printed without marked changes: the comparison takes quadratic time."""


@click.group()
def text() -> None:
    """Apply the text rules of a recipe to texts, and explain why a text was dropped."""


@text.command("try")
@click.argument("recipe", required=False)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key; the value is YAML.",
)
@plugins_option
@click.option(
    "--jsonl",
    is_flag=True,
    help="Read each line as a JSON string, or as an object with `text`.",
)
@click.option(
    "--explain", metavar="CORPUS", help="Explain a row of CORPUS/drops instead of reading lines."
)
@click.option("--drop", metavar="URL|KEY", help="URL or key of the row, for --explain.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one record per line, with `text` or `reason`."
)
def try_rules(
    recipe: str | None,
    overrides: tuple[str, ...],
    jsonl: bool,
    explain: str | None,
    drop: str | None,
    as_json: bool,
) -> None:
    """Apply the rules of RECIPE to each line of the standard input, and print every change.

    With --explain, RECIPE defaults to the recipe that the corpus was built with.
    """
    from wenlan_data.errors import UsageError

    if explain is not None:
        _explain(explain, drop, recipe, overrides, as_json=as_json)
        return
    if drop is not None:
        raise UsageError("--drop names a row of a corpus: add --explain CORPUS")
    if recipe is None:
        raise UsageError("name a recipe, such as: wenlan-data text try wenlan < lines.txt")
    from wenlan_data.recipe import load_recipe

    _try_lines(load_recipe(recipe, overrides), jsonl=jsonl, as_json=as_json)


def _try_lines(recipe: Recipe, *, jsonl: bool, as_json: bool) -> None:
    from wenlan_data.clean.rule_trace import count_changes

    tracer = _tracer(recipe)
    traces = (_shown(tracer(line), as_json=as_json) for line in _lines(jsonl=jsonl))
    counts = count_changes(traces)
    for spec in () if as_json else recipe.text.rules:
        if spec.rule in counts:
            count = counts[spec.rule]
            echo(
                f"{spec.rule:14} changed {count['changed']:>6}  rejected {count['rejected']:>6}",
                err=True,
            )


def _tracer(recipe: Recipe) -> RuleTracer:
    from wenlan_data.clean.rule_trace import RuleTracer

    specs = recipe.text.rules
    return RuleTracer([spec.rule for spec in specs], [spec.load() for spec in specs])


def _shown(trace: RuleTrace, *, as_json: bool) -> RuleTrace:
    if as_json:
        print_json(trace.as_json())
    else:
        _print(trace)
    return trace


def _lines(*, jsonl: bool) -> Iterator[str]:
    """Yields the lines of stdin. Only a line feed ends a line: rules must see other separators."""
    number, not_utf8 = 0, []
    for number, raw in enumerate(sys.stdin.buffer, start=1):
        line = raw.decode("utf-8", "replace").removesuffix("\n")
        if "\ufffd" in line and not _is_utf8(raw):
            not_utf8.append(number)
        yield _from_json(line, number) if jsonl else line
    if not_utf8:
        advice = "convert GBK with iconv -f gb18030 -t utf-8"
        echo(
            f"{len(not_utf8)} lines are not UTF-8, the first is line {not_utf8[0]}: {advice}",
            err=True,
        )
    if not number:
        echo("the standard input is empty: give one text per line", err=True)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _from_json(line: str, number: int) -> str:
    import json

    from wenlan_data.errors import UsageError

    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"line {number} of the input is not valid JSON ({error}): "
            "correct it, or leave out --jsonl"
        ) from error
    found = value.get("text") if isinstance(value, dict) else value
    if not isinstance(found, str):
        raise UsageError(
            f"line {number} of the input has no text: write a JSON string, or an object with `text`"
        )
    return found


def _print(trace: RuleTrace, title: str = "") -> None:
    from wenlan_data.records import Drop

    echo(f"{title}{trace.text}")
    for change in trace.changes:
        if not isinstance(change.after, Drop):
            name = printable(f"{change.rule:14}")
            echo_styled(f"  {name} {_difference(change.before, change.after)}")
    notes = " ".join(f"{one.kind}:{one.value}" for one in trace.remarks if one.value != "hans")
    if isinstance(trace.result, Drop):
        detail = f" ({trace.result.detail})" if trace.result.detail else ""
        echo(f"  {trace.changes[-1].rule:14} {trace.result.reason}{detail}", fg="red", bold=True)
    else:
        echo(f"  = {trace.result}", fg="green", nl=not notes)
        if notes:
            echo(f"   [{notes}]", fg="cyan")


def _difference(before: str, after: str) -> str:
    """Returns both texts in one: deletions in red brackets, insertions in green braces."""
    from difflib import SequenceMatcher

    if max(len(before), len(after)) > MAX_COMPARED_CHARACTERS:
        return printable(after)
    parts = []
    for kind, start, stop, new_start, new_stop in SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        deleted, inserted = printable(before[start:stop]), printable(after[new_start:new_stop])
        if kind == "equal":
            parts.append(deleted)
            continue
        parts.append(click.style(f"[{deleted}]", fg="red") if deleted else "")
        parts.append(click.style(f"{{{inserted}}}", fg="green") if inserted else "")
    return "".join(parts)


def _explain(
    corpus: str, drop: str | None, recipe: str | None, overrides: tuple[str, ...], *, as_json: bool
) -> None:
    from pathlib import Path

    from wenlan_data.clean.rule_trace import low_confidence_trace
    from wenlan_data.errors import UsageError
    from wenlan_data.recipe import load_recipe, parse_recipe
    from wenlan_data.records import parse_text
    from wenlan_data.shard.drops import find_drop
    from wenlan_data.shard.manifest import load_manifest

    if drop is None:
        raise UsageError("name the row of drops/ to explain: add --drop with its url or key")
    manifest = load_manifest(Path(corpus))
    row = find_drop(Path(corpus), manifest, drop)
    recorded = parse_recipe(manifest.recipe, f"{corpus}/manifest.json")
    applied = load_recipe(recipe, overrides) if recipe else recorded
    tracer, lowest = _tracer(applied), applied.text.min_confidence
    texts = [
        (text, low_confidence_trace(text) if text.confidence < lowest else tracer(text.text))
        for text in map(parse_text, row.pop("texts"))
    ]
    if as_json:
        print_json({"drop": row, "texts": [_record(text, trace) for text, trace in texts]})
        return
    for name, value in row.items():
        if value not in ("", -1, False):
            echo(f"{name:16} {value}")
    for text, trace in texts:
        _print(trace, f"{text.type} ({text.relation} {text.confidence:.2f}): ")


def _record(text: Text, trace: RuleTrace) -> dict[str, object]:
    return {
        "type": text.type,
        "relation": text.relation,
        "confidence": text.confidence,
        "read": trace.text,
        **trace.as_json(),
        "changes": [_change(one) for one in trace.changes],
    }


def _change(change: RuleChange) -> dict[str, object]:
    from wenlan_data.records import Drop

    after = change.after
    return {
        "rule": change.rule,
        **({"reason": after.reason} if isinstance(after, Drop) else {"text": after}),
    }
