"""Texts of a row of images in a table: those in the columns of the images."""

from collections.abc import Iterable, Sequence

from wenlan_data.extract.image_units import ImageUnit
from wenlan_data.extract.page_tree import Box, PageImage, TextBlock
from wenlan_data.extract.usable_text import UsableTexts

_ROW_GROUPS = frozenset({"thead", "tbody", "tfoot"})
_CELLS = frozenset({"td", "th"})


def column_texts(unit: ImageUnit, texts: UsableTexts) -> list[list[TextBlock]] | None:
    """Returns the texts of each image of a unit that is the only row of images of a table: of its
    column, one in the nearest row below and one in the nearest row above.

    The text below comes first; the one above where the first cell of the row is a label (图像), as
    then the first row holds the names. None for another unit, or where a column has no text.
    """
    table = next((box for box in unit.containers if box.tag == "table"), None)
    row = _row_of(unit.images)
    if table is None or row is None or len(unit.images) < 2:
        return None
    cells = _children(row, _CELLS)
    places = [cells.index(cell) for image in unit.images if (cell := _cell_of(image)) is not None]
    rows = [one for one in _rows(table) if len(_children(one, _CELLS)) == len(cells)]
    if len(set(places)) < len(unit.images) or row not in rows:
        return None
    at = rows.index(row)
    sides = [
        _texts_of(rows[at + 1 :], places, texts),
        _texts_of(rows[at - 1 :: -1] if at else [], places, texts),
    ]
    if cells[0].tag == "th" and 0 not in places:
        sides.reverse()
    found = [side for side in sides if side is not None]
    return [list(column) for column in zip(*found, strict=True)] or None


def _cell_of(image: PageImage) -> Box | None:
    box: Box | None = image.parent
    while box is not None and box.tag not in _CELLS:
        box = box.parent
    return box


def _row_of(images: Iterable[PageImage]) -> Box | None:
    """The row in which each of the images has a cell; None if there is none."""
    rows = {id(cell.parent): cell.parent for image in images if (cell := _cell_of(image))}
    row = next(iter(rows.values()), None)
    return row if len(rows) == 1 and row is not None and row.tag == "tr" else None


def _rows(table: Box) -> list[Box]:
    groups = [table, *_children(table, _ROW_GROUPS)]
    return [row for group in groups for row in _children(group, frozenset({"tr"}))]


def _children(box: Box, tags: frozenset[str]) -> list[Box]:
    return [one for one in box.children if isinstance(one, Box) and one.tag in tags]


def _texts_of(
    rows: Sequence[Box], places: Sequence[int], texts: UsableTexts
) -> list[TextBlock] | None:
    """The texts of the nearest row that has one at each place."""
    for row in rows:
        cells = _children(row, _CELLS)
        found = [_first_text(cells[place], texts) for place in places]
        blocks = [block for block in found if block is not None]
        if len(blocks) == len(places):
            return blocks
    return None


def _first_text(cell: Box, texts: UsableTexts) -> TextBlock | None:
    blocks = texts.tree.texts[cell.first_text : cell.last_text]
    return next((block for block in blocks if not texts.problem(block)), None)
