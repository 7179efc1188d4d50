"""The outcomes of texts are those of a build."""

from wenlan_data.dedupe.captions import choose
from wenlan_data.extract.candidate_tables import CandidateRow
from wenlan_data.extract.cleaner import TextCleaner
from wenlan_data.extract.explain import explain_page
from wenlan_data.recipe import load_recipe
from wenlan_data.report.page_captions import (
    ImageOutcome,
    choose_captions,
    own_texts,
    page_as_json,
    page_texts,
)

URL = "http://site.example/a/1.html"


def _outcomes(html: str, *overrides: str) -> list[ImageOutcome]:
    return choose_captions(explain_page(html, URL), load_recipe("wenlan", overrides).text)


def _of_type(outcome: ImageOutcome, kind: str) -> tuple[str, str]:
    return next((one.outcome, one.reason) for one in outcome.texts if one.text.type == kind)


def test_one_text_is_the_caption_and_the_others_state_why_they_are_not() -> None:
    html = (
        "<title>小城的春天</title><h1>小城的春天来了</h1><figure><img src=1.jpg alt=IMG_0001.JPG>"
        "<figcaption>湖边停着的小船</figcaption></figure><p>沿着湖边走，到处都是盛开的荷花。</p>"
    )
    (one,) = _outcomes(html)
    assert (one.caption, one.caption_type, one.drop) == ("湖边停着的小船", "figcaption", None)
    assert _of_type(one, "figcaption") == ("caption", "")
    assert _of_type(one, "alt") == ("rejected", "file_name")
    assert _of_type(one, "surrounding") == ("not_preferred", "figcaption comes first")
    assert _of_type(one, "page_title") == ("not_preferred", "page_title is not in text.caption")
    assert [text.text.type for text in page_texts([one])] == ["page_title"]
    assert "page_title" not in [text.text.type for text in own_texts(one)]


def test_a_doubtful_text_is_never_the_caption() -> None:
    html = "<p>一段关于湖边小船的话。</p><p><img src=1.jpg></p><p>另一段关于山上小路的话。</p>"
    html += "<p>第三段关于荷花的话。</p><p><img src=2.jpg></p><p>第四段关于灯笼的话。</p>"
    outcomes = [_of_type(one, "surrounding") for one in _outcomes(html)]
    assert outcomes == [("low_confidence", "0.40 is below 0.50")] * 2
    dropped = [one.drop.reason if one.drop else "" for one in _outcomes(html)]
    assert dropped == ["low_confidence"] * 2
    rejected = _outcomes(html, "text.min_confidence=0.45")[0]
    assert _of_type(rejected, "surrounding")[0] == "rejected"


def test_texts_of_an_image_that_is_no_content_are_not_preferred() -> None:
    (one,) = _outcomes('<img src=logo.png class="site-logo" alt="湖边的小城">')
    assert one.drop is not None
    assert one.drop.reason == "logo"
    assert _of_type(one, "alt") == ("not_preferred", "the image is dropped")


def test_an_alt_that_repeats_the_title_counts_as_a_title() -> None:
    html = "<title>小城的春天来了</title>" + "".join(
        f"<img src={number}.jpg alt=小城的春天来了><hr>" for number in range(4)
    )
    for one in _outcomes(html):
        assert (one.caption, one.caption_type) == ("小城的春天来了", "title")
        assert _of_type(one, "alt") == ("caption", "repeats the page's title")


def test_derived_texts_are_shown_where_they_are_the_caption() -> None:
    html = "<div><img src=1.jpg><p>湖边停着一只小船。天气很好，大家都来看荷花。</p></div>"
    (one,) = _outcomes(html, "text.caption=[first, surrounding]", "text.variants=[first]")
    assert (one.caption, one.caption_type) == ("湖边停着一只小船", "first")
    assert [text.text.type for text in own_texts(one)] == ["surrounding", "first"]
    (usual,) = _outcomes(html)
    assert "first" not in [text.text.type for text in own_texts(usual)]


def test_captions_and_drops_are_those_of_the_cleaner() -> None:
    html = "".join(
        f"<div class=card><img src={number}.jpg alt='{alt}'><p>{text}</p></div>"
        for number, (alt, text) in enumerate(
            [("湖边的小船", "荷花开了"), ("", "电话13812345678"), ("x", ""), ("灯笼", "灯笼")]
        )
    )
    rules = load_recipe("wenlan").text
    page = explain_page(html, URL)
    rows = [CandidateRow(0, b"", image.candidate, "") for image in page.images]
    decisions = [decision for _, decision in TextCleaner.of(rules)(rows)]
    for one, decision in zip(choose_captions(page, rules), decisions, strict=True):
        assert one.drop == decision.drop
        expected = ("", "") if decision.drop else choose(decision.candidate.texts, rules.caption)
        assert (one.caption, one.caption_type) == expected
        captions = [text for text in one.texts if text.outcome == "caption"]
        assert len(captions) == bool(expected[0])


def test_json_numbers_images_and_blocks_from_1() -> None:
    html = "<p>湖边停着的小船</p><p><img src=1.jpg></p><p>版权所有</p>"
    page = explain_page(html, URL)
    value = page_as_json(page, choose_captions(page, load_recipe("wenlan").text))
    assert value == {
        "url": URL,
        "soft_error": "",
        "images": [
            {
                "number": 1,
                "url": "http://site.example/a/1.jpg",
                "fallback_urls": [],
                "after_blocks": [1],
                "content": True,
                "reason": "",
                "detail": "",
                "caption": "湖边停着的小船",
                "caption_type": "surrounding",
                "basis": page.images[0].basis,
                "texts": [
                    {
                        "type": "surrounding",
                        "relation": page.images[0].candidate.texts[0].relation,
                        "confidence": page.images[0].candidate.texts[0].confidence,
                        "read": "湖边停着的小船",
                        "text": "湖边停着的小船",
                        "outcome": "caption",
                        "reason": "",
                        "block": 1,
                    },
                    *value["images"][0]["texts"][1:],  # type: ignore[index]
                ],
                "nearby": [
                    {"block": 2, "side": "below", "text": "版权所有", "reason": "boilerplate"}
                ],
            }
        ],
        "blocks": [
            {"number": 1, "text": "湖边停着的小船", "heading": 0, "problem": ""},
            {"number": 2, "text": "版权所有", "heading": 0, "problem": "boilerplate"},
        ],
        "ignored": [],
        "drops": [],
    }
