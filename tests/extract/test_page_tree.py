"""How the markup of images and texts is read: lazy copies, backgrounds, indents, line breaks."""

from collections.abc import Iterator

import pytest

from tests.extract.page_texts import candidates, captions, reasons, texts
from wenlan_data.extract.html import parse_html
from wenlan_data.extract.page_tree import (
    MAX_BOX_DEPTH,
    MAX_INLINE_DEPTH,
    Box,
    PageTree,
    TextBlock,
    page_tree,
)

A, B, C = "湖边停着一条旧木船", "山上有一座白色的塔", "镇口长着一棵大榕树"
OWN = {"1": A, "2": B, "3": C}
BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


def _tree(html: str) -> PageTree:
    page = parse_html(html)
    assert page is not None
    return page_tree(page)


def _blocks(html: str) -> list[str]:
    """The blocks of text of a page with an image."""
    return [block.text for block in _tree(html + "<img src=9.jpg>").texts]


@pytest.mark.parametrize(
    "image",
    [
        f'<img src="{BLANK}" data-src="{{0}}.jpg"><noscript><img src="{{0}}.jpg"></noscript>',
        '<img src="/blank.gif" data-original="{0}.jpg"><noscript><img src="{0}.jpg"></noscript>',
        '<img src="/blank.gif" data-original="{0}.jpg">',
        '<noscript><img src="{0}.jpg"></noscript>',
        '<picture><source srcset="{0}.jpg 1200w"><img src="{0}.jpg?w=200"></picture>',
    ],
)
def test_an_image_that_loads_later_stands_where_it_stands(image: str) -> None:
    html = "".join(f"<p>{image.format(n)}</p><p>{text}</p>" for n, text in OWN.items())
    found = captions(html)
    assert {name.partition("?")[0]: text for name, text in found.items()} == OWN


def test_the_copy_in_noscript_is_no_second_image_and_its_alt_counts() -> None:
    html = '<p><img src="/b.gif" data-src="1.jpg"><noscript><img src="1.jpg" alt="湖边"></noscript></p>'
    assert len(_tree(html).images) == 1
    assert [text.text for text in texts(html)] == ["湖边"]


@pytest.mark.parametrize(
    ("html", "count"),
    [
        ("<p><noscript><img src=1.jpg></noscript><img src=/b.gif data-src=1.jpg></p>", 1),
        ("<div class=lazy><a><img src=1.jpg></a></div><noscript><img src=1.jpg></noscript>", 1),
        ("<div><noscript><p><a><img src=1.jpg></a></p></noscript><img src=1.jpg></div>", 1),
        ("<p><a href=1.jpg><img src=1.jpg></a><img src=1.jpg></p>", 1),
        ("<div><img src=1.jpg></div><p><img src=1.jpg></p>", 2),
        ("<div><noscript><img src=1.jpg></noscript></div><p><img src=1.jpg></p>", 2),
        ("<div><img src=1.jpg></div><p><noscript><img src=1.jpg></noscript></p>", 2),
        ("<img src=1.jpg>湖边<img src=1.jpg>", 2),
    ],
)
def test_a_copy_stands_in_noscript_or_in_the_same_block(html: str, count: int) -> None:
    assert len(_tree(html).images) == count


def test_an_image_of_the_sidebar_that_the_article_shows_too_is_content() -> None:
    article = f"<p>{'湖边的小船停在岸边。' * 20}</p>"
    html = f"{article}<div class=sidebar><img src=1.jpg></div><p><img src=1.jpg></p><p>{A}</p>{article}"
    assert reasons(html) == {"1": ""}


def test_elements_alike_with_different_backgrounds_are_images_and_one_alone_is_decoration() -> None:
    tile = '<li class=tile><div class=bg style="background-image:url({}.jpg)"></div><p>{}</p></li>'
    html = "<ul>" + "".join(tile.format(n, text) for n, text in OWN.items()) + "</ul>"
    assert captions(html) == OWN
    assert candidates('<div style="background:url(1.jpg)"><p>' + A + "</p></div>") == {}


def test_the_background_of_a_drawing_is_an_image_in_its_place() -> None:
    drawing = (
        '<section><svg style="background-image:url({0}.jpg)" viewBox="0 0 9 6"></svg></section>'
    )
    inside = (
        f"<section><svg viewBox='0 0 9 6'><foreignObject>{drawing}</foreignObject></svg></section>"
    )
    lines = {n: f"<section><p align=center>{text}</p></section>" for n, text in OWN.items()}
    for image in (drawing, inside):
        assert captions("".join(image.format(n) + line for n, line in lines.items())) == OWN


def test_an_image_in_an_element_as_narrow_as_a_symbol_is_one() -> None:
    html = '<p>湖边</p><div style="display:inline-block; {}"><img src=1.jpg></div>'
    is_symbol = {
        style: [image.is_symbol for image in _tree(html.format(style)).images]
        for style in ("width:36px", "WIDTH : 36.5px", "width:300px", "max-width:36px", "width:36%")
    }
    assert is_symbol == {
        "width:36px": [True],
        "WIDTH : 36.5px": [True],
        "width:300px": [False],
        "max-width:36px": [False],
        "width:36%": [False],
    }


@pytest.mark.parametrize("name", ["", "class=nav"])
def test_rules_with_different_backgrounds_are_images(name: str) -> None:
    rule = f'<hr {name} style="background:url(/{{}}.jpg)">'
    html = "<p>湖边" + rule.format(1) + rule.format(2)
    assert list(candidates(html)) == ["1", "2"]
    tree = _tree(html)
    boxes = [box for box in _boxes(tree.root) if box.tag == "hr"]
    assert [(box.first_image, box.last_image) for box in boxes] == [(0, 1), (1, 2)]


def test_a_background_that_several_elements_share_is_decoration() -> None:
    html = "".join(
        f'<div class=row style="background:url(/line.png)"><p>{one}</p></div>' for one in OWN
    )
    assert candidates(html) == {}


@pytest.mark.parametrize("indent", ["　　", "\u200b", "&nbsp;&nbsp;&nbsp;&nbsp;", "&emsp;&emsp;"])
def test_an_indent_changes_neither_the_text_nor_its_side(indent: str) -> None:
    html = "".join(
        f"<p>{indent}<img src={n}.jpg></p><p>{indent}{text}</p>" for n, text in OWN.items()
    )
    assert {name: text.strip("\u200b") for name, text in captions(html).items()} == OWN


@pytest.mark.parametrize(
    ("html", "blocks"),
    [
        ("<p>湖边<b>的</b>船</p>", ["湖边的船"]),
        ("<div>湖边<p>山上</p>镇口</div>", ["湖边", "山上", "镇口"]),
        ("<p>湖边的<br>旧船</p>", ["湖边的 旧船"]),
        ("<p>湖边的旧船<br><br>山上的白塔</p>", ["湖边的旧船", "山上的白塔"]),
        ("<p>湖边的旧船<br>\n<br/>\n山上的白塔</p>", ["湖边的旧船", "山上的白塔"]),
        ("<ul><li>湖边<li>山上</ul>", ["湖边", "山上"]),
        ("<table><tr><td>湖边<td>山上</table>", ["湖边", "山上"]),
        ("<p>  \n </p><p>……</p><p>湖边</p>", ["湖边"]),
        ("<p>湖边<script>1</script>的船</p>", ["湖边的船"]),
        ("<p>湖边<!-- x -->的船</p>", ["湖边的船"]),
    ],
)
def test_a_block_ends_at_a_border_and_not_at_an_inline_element(
    html: str, blocks: list[str]
) -> None:
    assert _blocks(html) == blocks


def test_beside_an_image_every_line_break_ends_a_block() -> None:
    tree = _tree(
        "<div>湖边的旧船<br>山上的白塔<br><img src=1.jpg><br>镇口的榕树<br>街上的灯笼</div>"
    )
    assert [block.text for block in tree.texts] == [
        "湖边的旧船",
        "山上的白塔",
        "镇口的榕树",
        "街上的灯笼",
    ]
    assert tree.images[0].text_number == 2


def test_an_image_between_the_words_of_a_line_splits_the_line_and_a_line_break_ends_it() -> None:
    html = "<p>左边是桥<img src=1.jpg>右边是船</p>"
    assert captions(html) == {"1": "左边是桥右边是船"}
    left, right = _tree(html).texts
    assert (left.ends_line, right.begins_line) == (False, False)
    left, right = _tree(html.replace("<img src=1.jpg>", "<br><img src=1.jpg><br>")).texts
    assert (left.ends_line, right.begins_line) == (True, True)


def test_an_empty_line_before_a_text_or_an_image_is_seen() -> None:
    tree = _tree("<div>湖边<br><br>山上<br><img src=1.jpg><br><br><img src=2.jpg><br>镇口</div>")
    assert [block.blank_before for block in tree.texts] == [False, True, False]
    assert [image.blank_before for image in tree.images] == [False, True]


@pytest.mark.parametrize(
    ("attributes", "is_symbol"),
    [
        ("width=20 height=20", True),
        ("width=40px", True),
        ("width=41", False),
        ("width=600 height=20", False),
        ("alt=[微笑]", True),
        ("alt=:smile:", True),
        ("alt=[爱心] width=60", True),
        ("alt=/呲牙", True),
        ("alt=[提示]", True),
        ("smilieid=12", True),
        ("class=smile_ac", True),
        ("alt=湖边的船", False),
        ("alt=[图片]", False),
        ("alt=（局部）", False),
        ("alt=[清明上河图]", False),
        ("alt=[微笑] width=800 height=600", False),
        ("class=emoji-museum", False),
        ("class=smile-gallery", False),
        ("alt='[图]湖边的船'", False),
        ("class=emoji", True),
        ("class=wp-smiley", True),
        ("", False),
    ],
)
def test_a_small_image_and_an_emoticon_are_symbols_in_a_line(
    attributes: str, is_symbol: bool
) -> None:
    assert [
        image.is_symbol for image in _tree(f"<p>湖边<img src=1.jpg {attributes}>的船</p>").images
    ] == [is_symbol]


def test_a_placeholder_that_several_images_name_first_is_none_of_their_addresses() -> None:
    image = '<img src="/loading.jpg" data-src="{}.jpg">'.format
    assert set(candidates("".join(f"<p>{image(n)}</p>" for n in "1234"))) == set("1234")


def test_a_heading_and_what_stands_in_it_have_its_level() -> None:
    tree = _tree("<h2><span>湖边</span></h2><div><h3>山上</h3></div><p>镇口</p><img src=1.jpg>")
    assert [block.heading for block in tree.texts] == [2, 3, 0]


def test_the_ranges_of_boxes_hold_their_texts_and_images() -> None:
    tree = _tree("<div id=a><p>湖边</p><img src=1.jpg></div><div id=b><p>山上</p><p>镇口</p></div>")

    def boxes(box: Box) -> list[Box]:
        inner = [one for one in box.children if isinstance(one, Box)]
        return inner + [one for outer in inner for one in boxes(outer)]

    by_id = {box.classes.strip(): box for box in boxes(tree.root)}
    assert [block.text for block in tree.texts_of(by_id["a"])] == ["湖边"]
    assert [block.text for block in tree.texts_of(by_id["b"])] == ["山上", "镇口"]
    assert all(isinstance(one, TextBlock) for one in tree.texts_of(by_id["b"]))
    assert (by_id["a"].last_image, by_id["b"].first_image, by_id["b"].last_image) == (1, 1, 1)


def test_a_page_without_images_has_no_blocks_to_read() -> None:
    assert _tree("<p>湖边</p>").texts == []


def test_han_characters_are_counted_by_box_and_by_link() -> None:
    tree = _tree("<main><p>湖边的船abc</p><p><a href=/a>山上的塔</a></p><img src=1.jpg></main>")
    assert (tree.han(tree.root), tree.linked_han(tree.root), tree.running_han(tree.root)) == (
        8,
        4,
        4,
    )


def test_boxes_and_inline_elements_beyond_a_depth_are_part_of_those_around_them() -> None:
    tree = _tree("<div>" * 1_000 + f"<p>{A}</p><ul><li>{B}<hr><li><img src=1.jpg>{C}")
    assert max(box.depth for box in _boxes(tree.root)) == MAX_BOX_DEPTH
    assert [block.text for block in tree.texts] == [A, B, C]
    assert len(tree.images) == 1
    deep = _tree("<p>" + "<b>" * 100 + f"<a href=/2.html>{A}</a></p><img src=1.jpg>").texts[0]
    assert len(deep.wrappers) == MAX_INLINE_DEPTH
    assert [link.attributes["href"] for link in deep.links] == ["/2.html"]


def _boxes(box: Box) -> Iterator[Box]:
    yield box
    for child in box.children:
        if isinstance(child, Box):
            yield from _boxes(child)
