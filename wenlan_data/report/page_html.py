"""Writes one page as `wenlan-data extract` explains it: one HTML file without scripts, which needs
no network.

The blocks of the page stand in one column, with lines from the images to their texts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from wenlan_data.errors import UsageError, os_errors
from wenlan_data.extract.explain import ExplainedBlock, PageExplanation
from wenlan_data.files import open_regular, write_atomic
from wenlan_data.report.html import template_environment
from wenlan_data.report.page_captions import ImageOutcome, TextOutcome, own_texts, page_texts

_GENERATOR_TAG = '<meta name="generator" content="wenlan-data extract">'
_TAG_BYTES = 1024
"""Bytes from the start of a page that hold the generator tag."""
MAX_LINES = 6
"""Lines between images and texts that stand side by side; further ones are left out."""
MIN_FOLDED = 4
"""Blocks in a row that are far from all images, from which on they are folded."""
MAX_FOLDED_TEXTS = 40
"""Of a fold that are shown when it is opened."""
MAX_TAGS = 5
"""Images of one block that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A text of an image, seen from its block."""

    image: int
    """Number of the image, from 1."""
    outcome: TextOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRow:
    """A row of the page; one of its fields is set."""

    image: int = 0
    """Number of the image that first occurs here, from 1."""
    repeated: int = 0
    """Number of an image that has occurred before."""
    ignored: str = ""
    """Address of an image that is no candidate."""
    block: int = 0
    """Number of a block, from 1."""
    folded: tuple[int, ...] = ()
    """Numbers of blocks far from all images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectingLine:
    """A line from an image to a text, in the grid of the page."""

    first_row: int
    last_row: int
    track: int
    """Column, from 1."""
    relation: str
    confidence: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockView:
    """A block of text with what it is to the images near it."""

    number: int
    block: ExplainedBlock
    connections: tuple[Connection, ...]
    more: int
    """Further images that are not named."""
    reasons: tuple[tuple[int, str], ...]
    """Images that did not get it, and why; 0 for all."""


def render_page(
    page: PageExplanation,
    outcomes: Sequence[ImageOutcome],
    thumbnails: Mapping[int, str],
    *,
    recipe: str,
    is_site_known: bool,
) -> str:
    """Returns the text of the page; the template engine escapes every value.

    `thumbnails` holds a `data:` URI for some of the images, by their places.
    """
    connections = _connections(outcomes)
    rows = list(_rows(page, connections))
    lines = _lines(rows, connections)
    return (
        template_environment()
        .get_template("page.html.j2")
        .render(
            generator_tag=Markup(_GENERATOR_TAG),
            page=page,
            recipe=recipe,
            is_site_known=is_site_known,
            outcomes=outcomes,
            own_texts=list(map(own_texts, outcomes)),
            page_texts=page_texts(outcomes),
            kept=sum(outcome.drop is None for outcome in outcomes),
            thumbnails=thumbnails,
            rows=rows,
            lines=lines,
            tracks=max((line.track for line in lines), default=0),
            views=_views(page, outcomes, rows, connections),
            elsewhere=[
                number
                for number, outcome in enumerate(outcomes, start=1)
                if not outcome.image.places
            ],
            max_folded=MAX_FOLDED_TEXTS,
        )
    )


def write_html(path: Path, html: str) -> None:
    """Writes a page of `render_page`.

    Raises `UsageError` if another file is there, or the folder is missing.
    """
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder: create it, or name another file")
    with os_errors(path):
        if path.exists() and not (path.is_file() and _is_ours(path)):
            raise UsageError(
                f"{path}: exists, and this command did not write it: name another file"
            )
        write_atomic(path, html.encode("utf-8", "replace"))


def _is_ours(path: Path) -> bool:
    with open_regular(path) as file:
        return _GENERATOR_TAG.encode() in file.read(_TAG_BYTES)


def _connections(outcomes: Sequence[ImageOutcome]) -> dict[int, list[Connection]]:
    """The texts that each block gave, by its number; of one image and block the caption, or else
    the most certain."""
    found: dict[int, list[Connection]] = defaultdict(list)
    for number, outcome in enumerate(outcomes, start=1):
        best: dict[int, TextOutcome] = {}
        for one in sorted(
            outcome.texts, key=lambda one: (one.outcome != "caption", -one.text.confidence)
        ):
            if one.block >= 0:
                best.setdefault(one.block + 1, one)
        for block, one in best.items():
            found[block].append(Connection(image=number, outcome=one))
    return found


def _rows(page: PageExplanation, connections: Mapping[int, object]) -> Iterator[PageRow]:
    images: dict[int, list[PageRow]] = defaultdict(list)
    for number, image in enumerate(page.images, start=1):
        for occurrence, place in enumerate(image.places):
            row = PageRow(repeated=number) if occurrence else PageRow(image=number)
            images[place].append(row)
    for one in page.ignored:
        images[one.place].append(PageRow(ignored=one.address))
    near = {one.block + 1 for image in page.images for one in image.nearby} | connections.keys()
    folded: list[int] = []
    for place in range(len(page.blocks) + 1):
        if images[place] or place + 1 in near:
            yield from _folded(folded)
            folded = []
        yield from images[place]
        if place + 1 in near:
            yield PageRow(block=place + 1)
        elif place < len(page.blocks):
            folded.append(place + 1)
    yield from _folded(folded)


def _folded(blocks: Sequence[int]) -> Iterator[PageRow]:
    if len(blocks) >= MIN_FOLDED:
        yield PageRow(folded=tuple(blocks))
    else:
        yield from (PageRow(block=number) for number in blocks)


def _lines(
    rows: Sequence[PageRow], connections: Mapping[int, Sequence[Connection]]
) -> list[ConnectingLine]:
    """The lines between images and their texts, each in the innermost column that is free. A
    heading, which many images share, has none."""
    image_rows = {row.image: place for place, row in enumerate(rows, start=1) if row.image}
    block_rows = {row.block: place for place, row in enumerate(rows, start=1) if row.block}
    lines = [
        ConnectingLine(
            first_row=min(image_rows[one.image], block_rows[block]),
            last_row=max(image_rows[one.image], block_rows[block]),
            track=0,
            relation=one.outcome.text.relation,
            confidence=one.outcome.text.confidence,
            outcome=one.outcome.outcome,
        )
        for block, some in connections.items()
        for one in some
        if one.outcome.text.type != "heading" and one.image in image_rows and block in block_rows
    ]
    taken: list[list[ConnectingLine]] = [[] for _ in range(MAX_LINES)]
    for line in sorted(lines, key=lambda one: (one.last_row - one.first_row, one.first_row)):
        free = next((track for track in taken if not _overlaps(line, track)), None)
        if free is not None:
            free.append(line)
    tracks = sum(map(bool, taken))
    # The first track is the innermost, which is the last column.
    return [
        replace(line, track=tracks - place) for place, track in enumerate(taken) for line in track
    ]


def _overlaps(line: ConnectingLine, track: Iterable[ConnectingLine]) -> bool:
    return any(
        line.first_row <= other.last_row and other.first_row <= line.last_row for other in track
    )


def _views(
    page: PageExplanation,
    outcomes: Sequence[ImageOutcome],
    rows: Sequence[PageRow],
    connections: Mapping[int, Sequence[Connection]],
) -> dict[int, BlockView]:
    reasons: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for number, outcome in enumerate(outcomes, start=1):
        for near in outcome.image.nearby:
            if not near.reason.startswith("belongs to"):
                reasons[near.block + 1].append((number, near.reason))
    views: dict[int, BlockView] = {}
    for number in (row.block for row in rows if row.block):
        block, some = page.blocks[number - 1], connections.get(number, ())
        stated = [(0, block.problem)] if block.problem and not some else reasons[number]
        views[number] = BlockView(
            number=number,
            block=block,
            connections=tuple(some[:MAX_TAGS]),
            more=max(0, len(some) - MAX_TAGS),
            reasons=() if some else tuple(stated[:MAX_TAGS]),
        )
    return views
