"""Selects the captions and surrounding texts of the lowest confidence, for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wenlan_data.records import Text
from wenlan_data.report.data import ReportItem, TextExample

MAX_EXAMPLES = 10
"""Examples of each kind."""


@dataclass(slots=True)
class LowestTexts:
    """The examples so far: by confidence, then by key, which is a digest and so a random draw."""

    captions: list[TextExample] = field(default_factory=list)
    surrounding: list[TextExample] = field(default_factory=list)

    def add(self, item: ReportItem) -> None:
        """Adds the caption and the surrounding texts of a sample, if they are among the lowest.

        Of several surrounding texts the one of the lowest confidence counts.
        """
        _insert(self.captions, item, [text for text in item.texts if is_caption_of(text, item)])
        surrounding = [text for text in item.texts if text.type == "surrounding"]
        _insert(self.surrounding, item, surrounding)


def is_caption_of(text: Text, item: ReportItem) -> bool:
    """Whether the text is the caption of the sample."""
    return text.type == item.caption_type and text.text == item.caption


def _insert(examples: list[TextExample], item: ReportItem, texts: Sequence[Text]) -> None:
    lowest = min(texts, key=lambda text: text.confidence, default=None)
    if lowest is None or lowest.confidence == 1:
        return
    if len(examples) == MAX_EXAMPLES and lowest.confidence > examples[-1].text.confidence:
        return
    examples.append(TextExample(lowest, item))
    examples.sort(key=lambda one: (one.text.confidence, one.item.key))
    del examples[MAX_EXAMPLES:]


def lowest_rows(rows: pa.RecordBatch) -> pa.Array:
    """Returns the numbers of the rows of a metadata table that hold its lowest captions and
    surrounding texts; none for a table before format 1.1.

    So only these rows become Python objects, and `LowestTexts` chooses among them.
    """
    texts = flat_texts(rows)
    if "confidence" not in texts.column_names:
        return pa.array([], pa.int64())
    doubted = pc.less(texts["confidence"], 1.0)
    masks = (is_caption(rows, texts), pc.equal(texts["type"], "surrounding"))
    lowest = [_lowest(texts.filter(pc.and_(mask, doubted))) for mask in masks]
    return pc.unique(pa.concat_arrays(lowest))


def flat_texts(rows: pa.RecordBatch) -> pa.Table:
    """Returns the texts of all rows with their fields, and the number of the `row` of each."""
    flat = pc.list_flatten(rows["texts"])
    fields = {name: pc.struct_field(flat, name) for name in flat.type.names}
    return pa.table({"row": pc.list_parent_indices(rows["texts"]), **fields})


def is_caption(rows: pa.RecordBatch, texts: pa.Table) -> pa.ChunkedArray:
    """Returns which of the texts, with the column `row`, are the caption of their row."""
    return pc.and_(
        equals_in_row(texts["type"], rows["caption_type"], texts["row"]),
        equals_in_row(texts["text"], rows["caption"], texts["row"]),
    )


def equals_in_row(values: Any, column: pa.Array, row: Any) -> Any:
    """Returns which of the values, each with the number of its `row`, are that of the column."""
    # By codes: a copy of a long caption for each text of its row may take gigabytes.
    distinct = pc.unique(column)
    codes = pc.index_in(column, value_set=distinct)
    return pc.equal(pc.fill_null(pc.index_in(values, value_set=distinct), -1), pc.take(codes, row))


def _lowest(texts: pa.Table) -> pa.Array:
    by_row = texts.group_by("row").aggregate([("confidence", "min")])
    # A shard is sorted by key, so that this is the order of `LowestTexts`.
    ordered = by_row.sort_by([("confidence_min", "ascending"), ("row", "ascending")])
    return ordered["row"].slice(0, MAX_EXAMPLES).combine_chunks()
