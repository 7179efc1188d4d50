"""Columns of the metadata table about a caption."""

from wenlan_data.records import Remark
from wenlan_data.shard.caption_reason import caption_reason, reason


def test_the_reason_names_what_the_caption_came_before() -> None:
    assert reason("alt", ["alt", "title", "alt", "keywords"], []) == "alt before title, keywords"
    assert reason("caption", ["caption"], []) == "caption alone"


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
    assert reason("surrounding", ["title", "surrounding"], remarks) == expected


def test_script_and_flags_are_those_of_the_caption() -> None:
    remarks = [
        ("alt", Remark("script", "hant")),
        ("alt", Remark("flag", "html")),
        ("title", Remark("script", "hans")),
        ("title", Remark("flag", "injection")),
    ]
    found = caption_reason("alt", ["alt", "title"], remarks)
    assert (found["script"], found["flags"]) == ("hant", ["html"])
    assert caption_reason("keywords", ["keywords"], remarks)["script"] == ""


def test_an_alt_that_counts_as_a_title_and_a_variant_have_the_script_of_their_origin() -> None:
    remarks = [("alt", Remark("script", "hant")), ("alt", Remark("repeats", "title"))]
    assert caption_reason("title", ["title"], remarks)["script"] == "hant"
    assert (
        caption_reason(
            "first", ["surrounding", "first"], [("surrounding", Remark("script", "mixed"))]
        )["script"]
        == "mixed"
    )
