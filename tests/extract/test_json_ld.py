"""Images in the JSON-LD of a page."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlan_data.extract.html import parse_html
from wenlan_data.extract.json_ld import MetadataImage, json_ld_images
from wenlan_data.extract.page_elements import page_elements
from wenlan_data.extract.page_metadata import metadata_images

IMAGE = {
    "@type": "ImageObject",
    "contentUrl": "/1.jpg",
    "url": "/photos/1.html",
    "caption": "湖边的石桥",
    "name": "石桥",
    "description": "清晨",
    "license": "/licence",
    "creditText": "赵强",
}
ARTICLE = {"@type": "NewsArticle", "headline": "水乡游记", "author": {"name": "小王"}}


def _images(value: object) -> list[MetadataImage]:
    return list(json_ld_images([json.dumps(value)]))


def _texts(image: MetadataImage) -> list[tuple[str, str]]:
    return [(text.type, text.text) for text in image.texts]


@pytest.mark.parametrize(
    "value",
    [
        IMAGE,
        [IMAGE],
        {"@graph": [{"@type": "WebSite", "name": "水乡网"}, IMAGE]},
        {"@type": "WebPage", "mainEntity": {"@type": "Thing", "subjectOf": [IMAGE]}},
        {**IMAGE, "@type": ["Photograph", "ImageObject"]},
        {**IMAGE, "@type": "https://schema.org/ImageObject"},
        {**IMAGE, "contentUrl": ["/1.jpg", "/2.jpg"]},
        {**IMAGE, "caption": {"@value": "湖边的石桥", "@language": "zh"}},
        {**IMAGE, "license": {"@type": "CreativeWork", "@id": "/licence"}},
        {**IMAGE, "creditText": "", "author": {"@type": "Person", "name": "赵强"}},
        {**IMAGE, "creditText": None, "creator": [{"name": "赵强"}]},
    ],
)
def test_an_image_object_is_read_wherever_it_lies(value: object) -> None:
    [image] = _images(value)
    assert (image.url, image.licence, image.author) == ("/1.jpg", "/licence", "赵强")
    assert _texts(image) == [("figcaption", "湖边的石桥"), ("alt", "清晨"), ("title", "石桥")]
    assert {text.relation for text in image.texts} == {"attribute"}


@pytest.mark.parametrize("kind", ["NewsArticle", "Product", "Recipe", "BlogPosting", "HowToStep"])
@pytest.mark.parametrize("listed", [False, True])
def test_an_item_names_its_image(kind: str, listed: bool) -> None:
    item = {"@type": kind, "name": "水乡游记"}
    for image, texts in (
        ("/1.jpg", [("title", "水乡游记")]),
        ({"url": "/1.jpg"}, [("title", "水乡游记")]),
        (
            {"@type": "ImageObject", "url": "/1.jpg", "caption": "石桥"},
            [("figcaption", "石桥"), ("title", "水乡游记")],
        ),
        ({**IMAGE, "name": "石桥", "description": ""}, [("figcaption", "湖边的石桥"), ("title", "石桥")]),
    ):  # fmt: skip
        [found] = _images({"@graph": [{**item, "image": [image] if listed else image}]})
        assert found.url == "/1.jpg"
        assert _texts(found) == texts
        for text in found.texts:
            own = 0.8 if text.type == "title" else 0.9
            assert text.confidence == (0.6 if text.text == "水乡游记" else own)


def test_rights_of_an_image_come_before_those_of_its_item() -> None:
    licensed = {**ARTICLE, "license": "/article"}
    [own] = _images({**licensed, "image": IMAGE})
    assert (own.licence, own.author) == ("/licence", "赵强")
    [other] = _images({**licensed, "image": "/1.jpg"})
    assert (other.licence, other.author) == ("/article", "小王")
    [page] = _images({"@type": "ImageObject", "url": "/1.jpg", "acquireLicensePage": "/buy"})
    assert page.licence == "/buy"


def test_the_steps_of_a_recipe_name_their_images() -> None:
    steps = [{"@type": "HowToStep", "text": f"第{n}步", "image": f"/{n}.jpg"} for n in (1, 2)]
    found = _images(
        {"@type": "Recipe", "name": "面", "image": "/0.jpg", "recipeInstructions": steps}
    )
    assert [(one.url, _texts(one)) for one in found] == [
        ("/0.jpg", [("title", "面")]),
        ("/1.jpg", [("figcaption", "第1步")]),
        ("/2.jpg", [("figcaption", "第2步")]),
    ]


def test_the_items_of_a_list_name_their_images() -> None:
    products = [
        {"@type": "ListItem", "item": {"@type": "Product", "name": f"茶{n}", "image": f"/{n}.jpg"}}
        for n in (1, 2)
    ]
    found = _images({"@type": "ItemList", "itemListElement": products})
    assert [(one.url, _texts(one)) for one in found] == [
        ("/1.jpg", [("title", "茶1")]),
        ("/2.jpg", [("title", "茶2")]),
    ]


def test_a_headline_of_several_images_is_shared() -> None:
    found = _images({**ARTICLE, "image": ["/1.jpg", {"url": "/2.jpg"}, "/1.jpg"]})
    assert [one.url for one in found] == ["/1.jpg", "/2.jpg"]
    assert {(text.relation, text.confidence) for one in found for text in one.texts} == {
        ("shared", 0.3)
    }


def test_references_are_resolved() -> None:
    # The graph that a widespread plug-in of WordPress writes.
    graph = [
        {**ARTICLE, "image": {"@id": "/p#primaryimage"}, "thumbnailUrl": "/1.jpg",
         "author": {"@id": "#person"}, "publisher": {"@id": "#organization"}},
        {"@type": "WebPage", "name": "水乡", "primaryImageOfPage": {"@id": "/p#primaryimage"}},
        {"@type": "ImageObject", "@id": "/p#primaryimage", "url": "/1.jpg", "caption": "石桥"},
        {"@type": "WebSite", "publisher": {"@id": "#organization"}, "image": "/site.jpg"},
        {"@type": "Organization", "@id": "#organization", "logo": {
            "@type": "ImageObject", "@id": "#logo", "url": "/logo.png", "caption": "水乡网"},
         "image": {"@id": "#logo"}},
        {"@type": "Person", "@id": "#person", "name": "小王", "image": {
            "@type": "ImageObject", "@id": "#avatar", "url": "/me.jpg", "caption": "小王"}},
    ]  # fmt: skip
    found = _images({"@graph": graph})
    assert {one.url for one in found} == {"/1.jpg"}
    assert [_texts(one) for one in found] == [
        [("figcaption", "石桥"), ("title", "水乡游记")],
        [("figcaption", "石桥"), ("title", "水乡")],
    ]
    assert [one.url for one in _images({**ARTICLE, "image": {"@id": "/1.jpg"}})] == ["/1.jpg"]
    assert _images({**ARTICLE, "image": {"@id": "/p#image"}}) == []


@pytest.mark.parametrize(
    "value",
    [
        {**ARTICLE, "publisher": {"@type": "Organization", "logo": IMAGE}},
        {**ARTICLE, "publisher": {"@type": "Organization", "image": "/1.jpg"}},
        {**ARTICLE, "author": {"@type": "Person", "image": IMAGE}},
        {**ARTICLE, "author": [{"@type": "Person", "image": "/1.jpg"}]},
        {**ARTICLE, "logo": IMAGE},
        {"@type": "Organization", "logo": "/1.jpg", "image": "/1.jpg"},
        {"@type": "Product", "brand": {"logo": IMAGE}, "review": [{"author": {"image": IMAGE}}]},
        {"@type": "VideoObject", "name": "短片", "thumbnailUrl": "/1.jpg"},
        {**ARTICLE, "image": "https://a.cn/p/1.html"},
        {**ARTICLE, "image": ""},
        {**ARTICLE, "image": [None, 1, [], {}]},
        {"@type": "ImageObject", "caption": "石桥"},
        {"@type": "ImageObject", "url": 3, "caption": "石桥"},
        [],
    ],
)
def test_logos_and_images_of_people_are_no_content(value: object) -> None:
    assert _images(value) == []


@pytest.mark.parametrize(
    ("item", "urls"),
    [
        ({"contentUrl": "/1.jpg", "thumbnailUrl": "/s.jpg"}, ["/1.jpg", "/s.jpg"]),
        ({"url": "/1.jpg", "thumbnail": {"@type": "ImageObject", "url": "/s.jpg"}}, ["/1.jpg", "/s.jpg"]),
        ({"url": "/p/1.html", "thumbnailUrl": "/s.jpg"}, ["/s.jpg"]),
        ({"url": "/1.jpg", "thumbnailUrl": "/1.jpg"}, ["/1.jpg"]),
    ],
)  # fmt: skip
def test_thumbnails_are_smaller_copies(item: dict[str, object], urls: list[str]) -> None:
    [image] = _images({"@type": "ImageObject", **item})
    assert [image.url, *image.smaller_urls] == urls


def test_a_thumbnail_is_the_image_of_an_item_without_another() -> None:
    assert [one.url for one in _images({**ARTICLE, "thumbnailUrl": "/1.jpg"})] == ["/1.jpg"]


def test_wrapped_and_broken_scripts() -> None:
    text = json.dumps(IMAGE)
    for script in (f"<!-- {text} -->", f"//<![CDATA[\n{text}\n//]]>", f"{text};", text[:-1] + "}}"):
        assert [one.url for one in json_ld_images([script])] == ["/1.jpg"]
    assert list(json_ld_images([text[:-1], "", "{", "{'a': 1}", "null"])) == []
    [one] = json_ld_images(
        ['{"@type":"ImageObject","url":"/1.jpg","caption":"石\n桥\\ud800 &amp; 湖"}']
    )
    assert _texts(one) == [("figcaption", "石桥 & 湖")]


def test_json_ld_of_a_page_comes_after_its_head() -> None:
    page = parse_html(
        "<meta property=og:image content=/0.jpg><meta property=og:title content=水乡>"
        f"<script type=Application/LD+JSON>{json.dumps(IMAGE)}</script>"
    )
    assert page is not None
    found = list(metadata_images(page_elements(page)))
    assert [one.url for one in found] == ["/0.jpg", "/1.jpg"]
    assert [(text.relation, text.text) for text in found[0].texts] == [("page", "水乡")]


_KEYS = st.sampled_from(
    [
        "@type",
        "@id",
        "@graph",
        "image",
        "url",
        "contentUrl",
        "caption",
        "logo",
        "author",
        "name",
        "a",
    ]
)
_LEAVES = st.none() | st.integers() | st.sampled_from(
    ["ImageObject", "Person", "NewsArticle", "/1.jpg", "#a", "石桥", "\ud800", ""]
)  # fmt: skip


@given(
    st.recursive(
        _LEAVES,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=5),
        max_leaves=40,
    )
)
def test_any_json_is_read(value: object) -> None:
    for image in _images(value):
        assert image.url
        "".join(
            [image.url, image.licence, image.author, *(one.text for one in image.texts)]
        ).encode()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "script",
    [
        "[" * 1_000_000,
        '{"a":' * 200_000,
        "[" + "[]," * 300_000 + "0]",
        '{"image":[' + '"/1.jpg",' * 100_000 + "0]}",
        "[" + '{"image":{"@id":"#a"}},' * 40_000 + "0]",
        '{"@graph":[' + '{"@id":"#a","@type":"ImageObject","url":"/1.jpg"},' * 20_000 + "0]}",
        "{" + ",".join(f'"{n}":[]' for n in range(90_000)) + "}",
    ],
    ids=range(7),
)
def test_no_json_ld_takes_long(script: str) -> None:
    started = time.process_time()
    list(json_ld_images([script] * 5))
    assert time.process_time() - started < 5
