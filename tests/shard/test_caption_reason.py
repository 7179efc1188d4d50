"""Columns of the metadata table about a caption."""

from wenlan_data.records import Remark, Text
from wenlan_data.shard.caption_reason import caption_reason, reason


def _texts(*types: str) -> list[Text]:
    return [Text(kind, f"文{place}") for place, kind in enumerate(types)]


def test_the_reason_names_what_the_caption_came_before() -> None:
    texts = _texts("alt", "title", "alt", "keywords")
    assert reason("alt", texts, []) == "alt before title, keywords"
    assert reason("caption", _texts("caption"), []) == "caption alone"


def test_the_reason_names_what_is_doubtful() -> None:
    doubtful = [Text("figcaption", "别的图", "below", 0.4), Text("alt", "也许", "shared", 0.3)]
    assert reason("alt", [*doubtful, *_texts("alt", "title")], []) == (
        "alt before title; figcaption doubtful: below 0.40; alt doubtful: shared 0.30"
    )
    assert reason("alt", [*doubtful[:1], *_texts("alt")], []) == (
        "alt alone; figcaption doubtful: below 0.40"
    )


def test_the_reason_names_what_was_rejected() -> None:
    remarks = [
        ("figcaption", Remark("rejected", "boilerplate")),
        ("figcaption", Remark("rejected", "boilerplate")),
        ("alt", Remark("repeats", "title")),
        ("surrounding", Remark("script", "hans")),
    ]
    expected = (
        "surrounding before title; figcaption rejected: boilerplate; alt repeats the page's title"
    )
    assert reason("surrounding", _texts("title", "surrounding"), remarks) == expected


def test_script_and_flags_are_those_of_the_caption() -> None:
    remarks = [
        ("alt", Remark("script", "hant")),
        ("alt", Remark("flag", "html")),
        ("title", Remark("script", "hans")),
        ("title", Remark("flag", "injection")),
    ]
    found = caption_reason("alt", _texts("alt", "title"), remarks)
    assert (found["script"], found["flags"]) == ("hant", ["html"])
    assert caption_reason("keywords", _texts("keywords"), remarks)["script"] == ""


def test_an_alt_that_counts_as_a_title_and_a_variant_have_the_script_of_their_origin() -> None:
    remarks = [("alt", Remark("script", "hant")), ("alt", Remark("repeats", "title"))]
    assert caption_reason("title", _texts("title"), remarks)["script"] == "hant"
    assert (
        caption_reason(
            "first", _texts("surrounding", "first"), [("surrounding", Remark("script", "mixed"))]
        )["script"]
        == "mixed"
    )
