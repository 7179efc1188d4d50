"""`wenlan-data extract`: shows what is extracted from one page, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wenlan_data.cli.plugin_option import plugins_option
from wenlan_data.cli.terminal import echo, echo_document, echo_styled, print_json
from wenlan_data.printable import LINE_BREAKS, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text as RichText

    from wenlan_data.extract.explain import PageExplanation
    from wenlan_data.report.page_captions import ImageOutcome, TextOutcome
    from wenlan_data.run.page_input import PageInput

PIPED_WIDTH = 160
"""Columns of the tables where the output is no terminal."""
MAX_TEXT_CHARACTERS = 300
"""Of one text on the terminal; `--json` prints all."""
OUTCOMES = {
    "caption": ("caption", "bold green"),
    "rejected": ("rejected", "red"),
    "low_confidence": ("low confidence", "yellow"),
    "not_preferred": ("not preferred", ""),
}
"""Word and colour of each outcome of a text."""


@click.command()
@click.argument("page", metavar="URL|FILE")
@click.option(
    "--recipe", default="wenlan", show_default=True, metavar="NAME|FILE", help="Recipe to apply."
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the recipe; the value is YAML.",
)
@plugins_option
@click.option(
    "--url",
    default="",
    help="URL of the page of FILE. Default: its rel=canonical or og:url.",
)
@click.option(
    "--contact", default="", help="Your e-mail address or web page, for the User-Agent header."
)
@click.option(
    "--allow",
    multiple=True,
    metavar="HOST:PORT",
    help="A server of your own that may be requested: network.allow of a sources file; repeatable.",
)
@click.option("--html", "as_html", is_flag=True, help="Print a self-contained HTML page.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File for the page of --html; an earlier page of this command is replaced.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def extract(
    page: str,
    recipe: str,
    overrides: tuple[str, ...],
    url: str,
    contact: str,
    allow: tuple[str, ...],
    as_html: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show the images of one page with their texts: which becomes the caption, and why the others
    do not.

    FILE is an HTML file; "-" is standard input. A URL is fetched by the rules of a build
    (robots.txt, limits, address policy); its images are not.
    """
    from wenlan_data.errors import DamageError, UsageError
    from wenlan_data.reasons import Reason
    from wenlan_data.recipe import load_recipe
    from wenlan_data.records import Drop
    from wenlan_data.report.page_captions import choose_captions, page_as_json
    from wenlan_data.sandbox.pages import read_explanation

    if as_html and as_json:
        raise UsageError("--html and --json print two different things: leave one out")
    if out is not None and not as_html:
        raise UsageError("--out is the file of an HTML page: add --html")
    if out is not None and not out.parent.is_dir():
        raise UsageError(f"{out.parent}: no such folder: create it, or name another file for --out")
    rules = load_recipe(recipe, overrides)
    found = _page_input(page, url, contact=contact, allow=allow)
    explained = read_explanation(
        found.payload,
        content_type=found.content_type,
        url=found.url,
        fallback_url=found.fallback_url,
        signals=found.signals,
    )
    if isinstance(explained, Drop) and explained.reason == Reason.BAD_ENCODING:
        raise UsageError(f"{page}: not an HTML page ({Reason.BAD_ENCODING.meaning})")
    if isinstance(explained, Drop):
        detail = f" ({explained.detail})" if explained.detail else ""
        raise DamageError(f"{page}: this page cannot be read: {explained.reason}{detail}")
    outcomes = choose_captions(explained, rules.text)
    if as_json:
        print_json(page_as_json(explained, outcomes))
    elif as_html:
        _write_html(found, explained, outcomes, recipe, out)
    else:
        _print_page(explained, outcomes, is_site_known=_is_site_known(explained))


def _page_input(page: str, url: str, *, contact: str, allow: Sequence[str]) -> PageInput:
    import sys

    from wenlan_data.errors import UsageError
    from wenlan_data.run.page_input import (
        STANDARD_INPUT,
        fetch_page,
        is_url,
        read_page_file,
        read_page_stream,
    )

    if not is_url(page):
        if page == STANDARD_INPUT:
            return read_page_stream(sys.stdin.buffer, url)
        return read_page_file(page, url)
    if url:
        raise UsageError("--url is for a file: leave it out, or name the file of the page")
    return fetch_page(page, contact=contact, allow=allow)


def _is_site_known(page: PageExplanation) -> bool:
    from wenlan_data.run.page_input import UNKNOWN_SITE

    return not page.url.startswith(UNKNOWN_SITE)


def _write_html(
    found: PageInput,
    page: PageExplanation,
    outcomes: Sequence[ImageOutcome],
    recipe: str,
    out: Path | None,
) -> None:
    from wenlan_data.report.page_html import render_page, write_html
    from wenlan_data.report.page_images import page_thumbnails

    thumbnails = page_thumbnails(page, found.payload, found.content_type, found.file)
    html = render_page(
        page, outcomes, thumbnails, recipe=recipe, is_site_known=_is_site_known(page)
    )
    # The page may be printed on a terminal, and its texts are of the web.
    html = printable(html, LINE_BREAKS | {"\xa0"})
    if out is None:
        echo_document(html.encode())
    else:
        write_html(out, html)
        echo(f"{out}: {len(outcomes)} images, {len(page.blocks)} blocks of text")


def _print_page(
    page: PageExplanation, outcomes: Sequence[ImageOutcome], *, is_site_known: bool
) -> None:
    from wenlan_data.report.page_captions import page_texts

    captions = sum(one.drop is None for one in outcomes)
    echo(page.url, bold=True)
    echo(f"{len(outcomes)} images, {captions} with a caption, {len(page.blocks)} blocks")
    if not is_site_known:
        echo("the URL of this page is unknown: give it with --url", err=True)
    if page.soft_error:
        echo(f"an error page that a build does not use: {page.soft_error}", fg="red")
    for drop in page.drops:
        echo(f"{drop.reason} {drop.detail}", fg="red")
    if shared := page_texts(outcomes):
        echo()
        echo("of the page, shared by all its images")
        _print_table(_text_table(shared))
    for number, outcome in enumerate(outcomes, start=1):
        _print_image(number, outcome, page)


def _print_image(number: int, outcome: ImageOutcome, page: PageExplanation) -> None:
    from wenlan_data.report.page_captions import own_texts

    image, drop = outcome.image, outcome.drop
    echo()
    echo(f"image {number}", bold=True, nl=False)
    echo(f"  {image.candidate.url}")
    for address in image.candidate.fallback_urls:
        echo(f"  or {address}", dim=True)
    if drop is not None:
        detail = f": {drop.detail}" if drop.detail else ""
        kind = "no content" if image.candidate.no_content else "no caption"
        echo(f"  {kind}, {drop.reason}{detail}", fg="red")
    if image.basis:
        echo(f"  {image.basis}")
    if texts := own_texts(outcome):
        _print_table(_text_table(texts))
    if image.nearby:
        echo("  not its texts", dim=True)
        table = _table()
        for near in image.nearby:
            text = _cut(page.blocks[near.block].text)
            table.add_row("", near.side, *_cells((near.reason, text), ""), style="dim")
        _print_table(table)


def _text_table(texts: Sequence[TextOutcome]) -> Table:
    table = _table()
    for one in texts:
        word, colour = OUTCOMES[one.outcome]
        found = f"{one.text.type} {one.text.relation} {one.text.confidence:.2f}"
        reason = f"{word}: {one.reason}" if one.reason else word
        words = _cut(one.cleaned or one.text.text)
        table.add_row("", *_cells((found, reason, words), colour))
    return table


def _table() -> Table:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", max_width=52)
    table.add_column(overflow="fold")
    return table


def _cells(values: Sequence[str], colour: str) -> list[RichText]:
    from rich.text import Text as RichText

    # Rich reads a `str` as markup.
    return [RichText(printable(value), style=colour) for value in values]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[:MAX_TEXT_CHARACTERS]} ..."


def _print_table(table: Table) -> None:
    import sys

    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPED_WIDTH
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(table)
    # Rich fills each line up with spaces.
    for line in captured.get().splitlines():
        echo_styled(line.rstrip())
