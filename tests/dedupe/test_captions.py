"""Which text is the caption."""

import pyarrow as pa

from wenlan_data.dedupe.captions import choose, choose_all, merge, ranks
from wenlan_data.records import Text
from wenlan_data.tables import TEXTS

ORDER = ("caption", "alt", "title")


def test_the_first_text_of_the_best_type_is_the_caption() -> None:
    texts = [Text("title", "题"), Text("alt", "一"), Text("alt", "二")]
    assert choose(texts, ORDER) == ("一", "alt")
    assert choose([Text("keywords", "猫")], ORDER) == ("", "")
    assert choose([], ORDER) == ("", "")


def test_merged_texts_come_once_by_type_and_text_in_order() -> None:
    own = [Text("alt", "一"), Text("title", "一")]
    others = [Text("alt", "二"), Text("title", "一"), Text("alt", "二")]
    assert merge(own, others) == (Text("alt", "一"), Text("title", "一"), Text("alt", "二"))


def test_the_choice_by_column_is_that_by_row() -> None:
    rows = [
        [Text("title", "题"), Text("alt", "一"), Text("alt", "二")],
        [],
        [Text("keywords", "猫")],
        [Text("alt", "二"), Text("caption", "狗")],
    ]
    whole = pa.array([[{"type": one.type, "text": one.text} for one in row] for row in rows], TEXTS)
    for start in range(len(rows)):
        column = whole.slice(start)
        captions, kinds = choose_all(column, ORDER)
        assert list(zip(captions.to_pylist(), kinds.to_pylist(), strict=True)) == [
            choose(row, ORDER) for row in rows[start:]
        ]
    assert ranks(whole, ORDER).tolist() == [1, 3, 3, 0]
