"""Which text is the caption."""

from dataclasses import asdict

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


def test_a_doubtful_text_is_not_the_caption_and_the_first_sure_one_of_a_type_wins() -> None:
    doubtful, sure, surer = (
        Text("alt", word, "below", c) for word, c in zip("一二三", (0.49, 0.5, 1), strict=True)
    )
    assert choose([doubtful, sure, surer], ORDER) == ("二", "alt")
    assert choose([doubtful, Text("title", "题")], ORDER) == ("题", "title")
    assert choose([doubtful], ORDER) == ("", "")


def test_merged_texts_have_the_highest_confidence_and_its_relation() -> None:
    own = [Text("alt", "一", "shared", 0.3), Text("title", "题", "attribute", 0.8)]
    others = [Text("alt", "一", "attribute", 0.9), Text("title", "题", "page", 0.2)]
    found = [(one.text, one.relation, one.confidence) for one in merge(own, others)]
    assert found == [("一", "attribute", 0.9), ("题", "attribute", 0.8)]


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
        [Text("caption", "疑", "below", 0.49), Text("alt", "疑", "below", 0.2), Text("alt", "四")],
        [Text("caption", "疑", "shared", 0.2)],
        [
            Text("title", "题"),
            Text("title", "二", "page", 0.9),
            Text("caption", "够", "above", 0.5),
        ],
    ]
    whole = pa.array([list(map(asdict, row)) for row in rows], TEXTS)
    for start in range(len(rows)):
        column = whole.slice(start)
        captions, kinds = choose_all(column, ORDER)
        assert list(zip(captions.to_pylist(), kinds.to_pylist(), strict=True)) == [
            choose(row, ORDER) for row in rows[start:]
        ]
    assert ranks(whole, ORDER).tolist() == [1, 3, 3, 0, 1, 3, 0]
