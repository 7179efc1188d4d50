"""`wenlan-data text`: what a recipe's text rules do, shown on texts of the user's own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from wenlan_data.cli.terminal import dump, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wenlan_data.clean.rule_trace import RuleChange, RuleTrace, RuleTracer
    from wenlan_data.recipe import Recipe

MAX_COMPARED_CHARACTERS = 400
"""Longer texts are shown whole before and after: to find what changed takes time with the square of the length."""


@click.group()
def text() -> None:
    """Try a recipe's text rules on texts, and see why a text was dropped."""


@text.command("try")
@click.argument("recipe", required=False)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key; the value is YAML.",
)
@click.option(
    "--jsonl",
    is_flag=True,
    help="Each line of the input is a JSON string, or an object with `text`.",
)
@click.option(
    "--explain", metavar="CORPUS", help="Show a row of CORPUS/drops instead of reading lines."
)
@click.option("--drop", metavar="URL|KEY", help="With --explain: which row.")
@click.option("--json", "as_json", is_flag=True, help="One record a line: `text`, or `reason`.")
def try_rules(
    recipe: str | None,
    overrides: tuple[str, ...],
    jsonl: bool,
    explain: str | None,
    drop: str | None,
    as_json: bool,
) -> None:
    """Run RECIPE's rules on each line of the standard input, and show what each rule did to it.

    With --explain, RECIPE may be left out: it is then the one that the corpus was built with.
    """
    from wenlan_data.errors import UsageError

    if explain is not None:
        _explain(explain, drop, recipe, overrides, as_json=as_json)
        return
    if drop is not None:
        raise UsageError("--drop says which row of a corpus: give the corpus with --explain CORPUS")
    if recipe is None:
        raise UsageError("say which recipe, such as: wenlan-data text try wenlan < lines.txt")
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
            click.echo(
                f"{spec.rule:14} changed {count['changed']:>6}  rejected {count['rejected']:>6}",
                err=True,
            )


def _tracer(recipe: Recipe) -> RuleTracer:
    from wenlan_data.clean.rule_trace import RuleTracer

    specs = recipe.text.rules
    return RuleTracer([spec.rule for spec in specs], [spec.load() for spec in specs])


def _shown(trace: RuleTrace, *, as_json: bool) -> RuleTrace:
    if as_json:
        click.echo(dump(trace.as_json()))
    else:
        _print(trace)
    return trace


def _lines(*, jsonl: bool) -> Iterator[str]:
    """Lines end with a line feed alone: other separators are part of a text, and rules have to see them."""
    number, broken = 0, []
    for number, raw in enumerate(sys.stdin.buffer, start=1):
        line = raw.decode("utf-8", "replace").removesuffix("\n")
        if "\ufffd" in line and not _is_utf8(raw):
            broken.append(number)
        yield _from_json(line, number) if jsonl else line
    if broken:
        advice = "iconv -f gb18030 -t utf-8 converts GBK"
        click.echo(
            f"{len(broken)} lines are not UTF-8, the first is line {broken[0]}: {advice}", err=True
        )
    if not number:
        click.echo("no line came in: give texts on the standard input, one a line", err=True)


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
            f"line {number} of the input is not valid JSON ({error}): leave out --jsonl?"
        ) from error
    found = value.get("text") if isinstance(value, dict) else value
    if not isinstance(found, str):
        raise UsageError(
            f"line {number} of the input holds no text: write a JSON string, or an object with `text`"
        )
    return found


def _print(trace: RuleTrace, title: str = "") -> None:
    from wenlan_data.records import Drop

    click.echo(f"{title}{printable(trace.text)}")
    for change in trace.changes:
        if not isinstance(change.after, Drop):
            click.echo(f"  {change.rule:14} {_difference(change.before, change.after)}")
    notes = " ".join(f"{one.kind}:{one.value}" for one in trace.remarks if one.value != "hans")
    if isinstance(trace.result, Drop):
        detail = f" ({printable(trace.result.detail)})" if trace.result.detail else ""
        click.secho(
            f"  {trace.changes[-1].rule:14} {trace.result.reason}{detail}", fg="red", bold=True
        )
    else:
        click.secho(f"  = {printable(trace.result)}", fg="green", nl=not notes)
        if notes:
            click.secho(f"   [{printable(notes)}]", fg="cyan")


def _difference(before: str, after: str) -> str:
    """Both in one line: what went in red between brackets, what came in green between braces."""
    from difflib import SequenceMatcher

    if max(len(before), len(after)) > MAX_COMPARED_CHARACTERS:
        return printable(after)
    parts = []
    for kind, start, stop, new_start, new_stop in SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        gone, come = printable(before[start:stop]), printable(after[new_start:new_stop])
        if kind == "equal":
            parts.append(gone)
            continue
        parts.append(click.style(f"[{gone}]", fg="red") if gone else "")
        parts.append(click.style(f"{{{come}}}", fg="green") if come else "")
    return "".join(parts)


def _explain(
    corpus: str, drop: str | None, recipe: str | None, overrides: tuple[str, ...], *, as_json: bool
) -> None:
    from pathlib import Path

    from wenlan_data.errors import UsageError
    from wenlan_data.recipe import load_recipe, parse_recipe
    from wenlan_data.shard.drops import find_drop
    from wenlan_data.shard.manifest import load_manifest

    if drop is None:
        raise UsageError("say which row of drops/ to explain: --drop with its url or key")
    manifest = load_manifest(Path(corpus))
    row = find_drop(Path(corpus), manifest, drop)
    own = parse_recipe(manifest.recipe, f"{corpus}/manifest.json")
    tracer = _tracer(load_recipe(recipe, overrides) if recipe else own)
    texts = [(one["type"], tracer(one["text"])) for one in row.pop("texts")]
    if as_json:
        click.echo(
            dump({"drop": row, "texts": [_record(text_type, trace) for text_type, trace in texts]})
        )
        return
    for name, value in row.items():
        if value not in ("", -1, False):
            click.echo(f"{name:16} {printable(str(value))}")
    for text_type, trace in texts:
        _print(trace, f"{text_type}: ")


def _record(text_type: str, trace: RuleTrace) -> dict[str, object]:
    return {
        "type": text_type,
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
