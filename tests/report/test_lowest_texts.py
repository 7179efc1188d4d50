"""Examples of the texts of the lowest confidence."""

import random
from dataclasses import asdict

import pyarrow as pa

from wenlan_data.records import Text
from wenlan_data.report.data import ReportItem
from wenlan_data.report.lowest_texts import MAX_EXAMPLES, LowestTexts, lowest_rows
from wenlan_data.tables import TEXTS


def _items(seed: int, count: int) -> list[ReportItem]:
    chance = random.Random(seed)
    items = []
    for number in range(count):
        texts = [
            Text(
                chance.choice(["alt", "surrounding", "title"]),
                f"文{chance.randrange(40)}",
                "below",
                chance.choice([0.1, 0.2, 0.5, 0.8, 1.0]),
            )
            for _ in range(chance.randint(1, 4))
        ]
        caption = chance.choice(texts)
        items.append(
            ReportItem(
                key=f"{number:032x}",
                caption=caption.text,
                caption_type=caption.type,
                texts=tuple(texts),
            )
        )
    return items


def _batch(items: list[ReportItem]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "key": [item.key for item in items],
            "caption": [item.caption for item in items],
            "caption_type": [item.caption_type for item in items],
            "texts": pa.array([list(map(asdict, item.texts)) for item in items], TEXTS),
        }
    )


def test_they_are_the_first_of_all_texts_by_confidence_and_key() -> None:
    items = _items(1, 300)
    lowest = LowestTexts()
    for item in random.Random(2).sample(items, len(items)):
        lowest.add(item)
    found = [(one.text.confidence, one.item.key) for one in lowest.surrounding]
    expected = sorted(
        (min(text.confidence for text in item.texts if text.type == "surrounding"), item.key)
        for item in items
        if any(text.type == "surrounding" for text in item.texts)
    )
    assert found == expected[:MAX_EXAMPLES]
    assert all(
        (one.text.type, one.text.text) == (one.item.caption_type, one.item.caption)
        for one in lowest.captions
    )
    assert len(lowest.captions) == MAX_EXAMPLES


def test_the_rows_chosen_by_column_give_the_same_examples() -> None:
    for seed in range(20):
        items = _items(seed, 200)
        every, some = LowestTexts(), LowestTexts()
        for start in range(0, 200, 50):
            part = items[start : start + 50]
            chosen = lowest_rows(_batch(part)).to_pylist()
            assert len(chosen) <= 2 * MAX_EXAMPLES
            for item in part:
                every.add(item)
            for number in chosen:
                some.add(part[number])
        assert some == every


def test_certain_texts_and_tables_before_format_1_1_give_none() -> None:
    text = Text("surrounding", "一只猫", "container", 1.0)
    item = ReportItem(key="a", caption=text.text, caption_type=text.type, texts=(text,))
    lowest = LowestTexts()
    lowest.add(item)
    assert lowest == LowestTexts()
    assert lowest_rows(_batch([item])).to_pylist() == []
    old = pa.array([[{"type": text.type, "text": text.text}]])
    assert lowest_rows(_batch([item]).set_column(3, "texts", old)).to_pylist() == []
