"""Images and texts in the JSON state of scripts."""

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlan_data.extract.html import parse_html
from wenlan_data.extract.page_elements import page_elements
from wenlan_data.extract.script_json import page_scripts, script_values
from wenlan_data.extract.script_state import MAX_IMAGES, MAX_NODES, ScriptImage, script_images

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def _images(state: object) -> tuple[ScriptImage, ...]:
    return script_images([f"window.state = {json.dumps(state)};"])


def _pairs(state: object) -> list[tuple[str, list[tuple[str, str]]]]:
    return [(one.url, [(text.type, text.text) for text in one.texts]) for one in _images(state)]


def _captions(state: object) -> list[tuple[str, str]]:
    return [(url, text) for url, texts in _pairs(state) for _, text in texts]


@pytest.mark.parametrize(
    ("script", "pair"),
    [
        ('window.slides = [{"img":"/a/1.jpg","title":"石桥"}];', ("/a/1.jpg", "石桥")),
        (
            'var slide_data = {"slide":{"title":"图集"},"images":[{"title":"","intro":"石桥",'
            '"width":"900","thumb_50":"/a/1_50.jpg","thumb_160":"/a/1_160.jpg","image_url":"/a/1.jpg"}]}',
            ("/a/1.jpg", "石桥"),
        ),
        (
            '{"props":{"pageProps":{"images":[{"src":"https:\\/\\/a.cn\\/1.jpg","caption":"\\u77f3\\u6865"}]}}}',
            ("https://a.cn/1.jpg", "石桥"),
        ),
        (
            'window.__INITIAL_STATE__={"a":{"pic":"//a.cn/1.jpg","note":"石桥"}};(function(){var s;}());',
            ("//a.cn/1.jpg", "石桥"),
        ),
        (
            'window.__NUXT__ = {"data":[{"imgUrl":"http:\\u002F\\u002Fa.cn\\u002F1","desc":"石桥"}]}',
            ("http://a.cn/1", "石桥"),
        ),
        (
            'x = function(a){return {a:1}}; y=[{"pic":"/a/1.png","alt":"石桥"}]',
            ("/a/1.png", "石桥"),
        ),
        ('g = [{"big":"/a/1.jpg","summary":"湖\n石桥"}]', ("/a/1.jpg", "湖石桥")),
        (
            r'a({b: JSON.parse("{\"pic\":\"\\/a\\/1.jpg\",\"note\":\"石桥\"}")})',
            ("/a/1.jpg", "石桥"),
        ),
        (
            r"""a(JSON.parse('[{"pic":"/a/1.jpg","note":"it\'s 石桥"}]'))""",
            ("/a/1.jpg", "it's 石桥"),
        ),
        (r"""a(JSON.parse('{\"pic\":\"/a/1.jpg\",\"note\":\"石桥\"}'))""", ("/a/1.jpg", "石桥")),
        ('g = {"url":"/a/1.jpg?x=1&amp;y=2","name":"石桥"}', ("/a/1.jpg?x=1&y=2", "石桥")),
    ],
)
def test_state_is_found_in_a_script(script: str, pair: tuple[str, str]) -> None:
    assert [(one.url, one.texts[0].text) for one in script_images([script])] == [pair]


@pytest.mark.parametrize(
    "script",
    [
        'slides = [{img:"/a/1.jpg",title:"石桥"}]',
        "slides = [{'img':'/a/1.jpg','title':'石桥'}]",
        'slides = [{"img":"/a/1.jpg","title":"石桥"}',
        'slides = [{"img":"/a/1.jpg","title":"石桥"+x}]',
        'push([{"img":"/a/1.jpg","title":"石桥"}])',
        '// "img":"/a/1.jpg","title":"石桥"',
        "",
        "= [",
    ],
)
def test_what_is_no_json_is_left_out(script: str) -> None:
    assert script_images([script]) == ()


@pytest.mark.parametrize(
    ("members", "texts"),
    [
        ({"title": "石桥", "desc": "湖边的石桥"}, [("title", "石桥"), ("figcaption", "湖边的石桥")]),
        ({"alt": "石桥"}, [("alt", "石桥")]),
        ({"text": "湖边的石桥"}, [("figcaption", "湖边的石桥")]),
        ({"content": "湖边的石桥。" * 30}, [("surrounding", "湖边的石桥。" * 30)]),
        ({"desc": "<p>湖边&nbsp;的<b>石桥</b><script>x</script></p>"}, [("figcaption", "湖边 的石桥")]),
        ({"desc": "&lt;p&gt;石桥&lt;/p&gt;"}, [("figcaption", "石桥")]),
        ({"desc": "石桥 a<b"}, [("figcaption", "石桥 a<b")]),
        ({"desc": "石\ud800桥"}, [("figcaption", "石桥")]),
        ({"picDesc": "石桥"}, [("figcaption", "石桥")]),
        ({"image_title": "石桥"}, [("title", "石桥")]),
        # No text of the image.
        ({"desc": "<p>石桥<img src=2.jpg>茶馆</p>"}, []),
        ({"title": "stone bridge"}, []),
        ({"author_name": "小王", "shopName": "茶馆", "tagName": "旅行"}, []),
        ({"source_name": "晚报", "fileName": "石桥", "categoryName": "旅行", "share_desc": "石桥"}, []),
        ({"city": "苏州"}, []),
        ({"title": ["石桥"]}, []),
    ],
)  # fmt: skip
def test_texts_have_the_type_of_their_key(
    members: dict[str, object], texts: list[tuple[str, str]]
) -> None:
    found = _pairs([{"img": "/a/1.jpg", **members}])
    assert found == ([("/a/1.jpg", texts)] if texts else [])


def test_texts_say_how_they_were_found() -> None:
    own, inner = _images([
        {"img": "/a/1.jpg", "title": "石桥", "alt": "桥"},
        {"title": "茶馆", "photo": {"url": "/a/2.jpg"}},
    ])  # fmt: skip
    assert [(one.relation, one.confidence) for one in own.texts] == [
        ("container", 0.8),
        ("attribute", 0.8),
    ]
    assert [(one.relation, one.confidence) for one in inner.texts] == [("container", 0.7)]


@pytest.mark.parametrize(
    ("sizes", "urls"),
    [
        ({"thumb": "/a/t.jpg", "img": "/a/1.jpg"}, ["/a/1.jpg", "/a/t.jpg"]),
        (
            {"small": "/s.jpg", "original": "/o.jpg", "large": "/l.jpg"},
            ["/o.jpg", "/l.jpg", "/s.jpg"],
        ),
        (
            {"pic_240": "/2.jpg", "pic_1080": "/1.jpg", "pic": "/3.jpg"},
            ["/1.jpg", "/2.jpg", "/3.jpg"],
        ),
        (
            {"sizes": [{"url": "/s.jpg", "width": 300}, {"url": "/l.jpg", "width": 900}]},
            ["/l.jpg", "/s.jpg"],
        ),
        (
            {"url": "/1.jpg", "url_list": [{"url": "//a.cn/1.jpg"}, {"url": "//b.cn/1.jpg"}]},
            ["/1.jpg", "//a.cn/1.jpg", "//b.cn/1.jpg"],
        ),
        ({"url": "/1.jpg", "urls": ["//a.cn/1.jpg"]}, ["/1.jpg", "//a.cn/1.jpg"]),
        (
            {"thumbnail": {"url": "/t.jpg"}, "large": {"url": "/l.jpg"}, "bmiddle": {"url": "/m.jpg"}},
            ["/l.jpg", "/m.jpg", "/t.jpg"],
        ),
        ({"url": "/x/1.jpg", "src": "//b.cn/1.jpg?x"}, ["/x/1.jpg", "//b.cn/1.jpg?x"]),
        ({"images": ["/a/1.jpg"]}, ["/a/1.jpg"]),
        ({"img": "/a/1.jpg", "url": "https://a.cn/p/1.html"}, ["/a/1.jpg"]),
        ({"url": "https://a.cn/1", "width": 9, "height": 9, "type": "image"}, ["https://a.cn/1"]),
        ({"img": "/a/1.jpg", "avatar_small": "/u.jpg", "icon": "/i.png", "qrcode": "/q.png"}, ["/a/1.jpg"]),
        ({"img": "/a/1.jpg", "lazy": "/blank.gif"}, ["/a/1.jpg"]),
    ],
)  # fmt: skip
def test_sizes_of_one_image_are_one_image(sizes: dict[str, object], urls: list[str]) -> None:
    [one] = _images([{"title": "石桥", **sizes}])
    assert [one.url, *one.smaller_urls] == urls


def test_the_text_of_a_post_is_shared_by_its_array_of_images() -> None:
    sizes = [
        [{"scene": "small", "url": f"/{n}_120.jpg"}, {"scene": "all", "url": f"/{n}.jpg"}]
        for n in (1, 2)
    ]
    images = [
        {"urlDefault": f"/{n}.jpg", "infoList": own} for n, own in zip((1, 2), sizes, strict=True)
    ]
    found = _images({"desc": "江南的石桥", "imageList": images, "user": {"name": "小王"}})
    assert [one.url for one in found] == ["/1.jpg", "/2.jpg"]
    assert [(text.text, text.relation) for one in found for text in one.texts] == [
        ("江南的石桥", "shared")
    ] * 2


@pytest.mark.parametrize(
    "state",
    [
        # Several images share the text.
        {"title": "石桥", "img1": "/1.jpg", "img2": "/2.jpg"},
        {"title": "石桥", "before": "/1.jpg", "after": "/2.jpg"},
        {"title": "石桥", "images": ["/1.jpg", "/2.jpg"]},
        {"title": "石桥", "a": [{"img": "/1.jpg"}], "b": [{"img": "/2.jpg"}]},
        {"title": "石桥", "cover": "/1.jpg", "images": [{"url": "/1.jpg"}, {"url": "/2.jpg"}]},
        {"title": "石桥", "cover": {"url": "/1.jpg"}, "list": [{"a": {"img": "/2.jpg"}}]},
        # The text is not in the object of the image, nor in that around it.
        {"title": "石桥", "a": {"b": {"img": "/1.jpg"}}},
        {"title": "石桥", "a": [{"b": [{"img": "/1.jpg"}]}]},
        [{"title": "石桥"}, {"img": "/1.jpg"}],
        {"a": {"title": "石桥"}, "b": {"img": "/1.jpg"}},
        # No content.
        {"uid": 1, "nick": "小王", "intro": "爱旅行", "pic": "/1.jpg"},
        {"name": "小王", "avatar": "/1.jpg"},
        {"name": "小王", "headimgurl": "http://a.cn/1"},
        {"title": "石桥", "user": {"name": "小王", "img": "/1.jpg"}},
        {"author": {"desc": "爱旅行", "photo": "/1.jpg"}},
        {"tags": [{"name": "旅行", "pic": "/1.jpg"}]},
        {"ads": [{"title": "大减价", "img": "/1.jpg"}]},
        {"is_ad": True, "title": "大减价", "img": "/1.jpg"},
        {"shop": {"name": "茶馆", "pic": "/1.jpg"}},
        {"site": {"description": "水乡网", "image": "/1.jpg"}},
        {"share": {"title": "石桥", "img": "/1.jpg"}},
        {"title": "水乡网", "logo": "/1.jpg"},
        {"title": "扫码", "qr_img": "/1.jpg"},
        {"title": "石桥", "url": "https://a.cn/p/1"},
        {"title": "石桥", "image": "https://a.cn/"},
        {"title": "石桥", "img": "1.jpg"},
        {"title": "石桥", "img": "data:image/png;base64,x"},
        {"title": "石桥", "img": "/blank.gif"},
        {"title": "石桥", "img": "/\ud800.jpg"},
        {"title": "石桥", "img": None, "topic": "http://a.cn/t/1"},
    ],
)
def test_no_pair_is_made_up(state: object) -> None:
    assert _images([state, {"img": "/x/ok.jpg", "title": "茶馆"}])[1:] == ()
    assert _captions({"a": [state]}) == []


def test_an_array_of_texts_beside_the_array_of_images_is_dealt_out() -> None:
    images = [{"url": f"/a/{n}.jpg", "width": 640, "height": 427} for n in range(3)]
    own = ["湖边的小船", "山上的白塔", "镇口的榕树"]
    state = {"gallery": {"sub_images": images, "sub_abstracts": own, "labels": ["一", "二", "三"]}}
    assert _captions(state) == [(f"/a/{n}.jpg", text) for n, text in enumerate(own)]
    state["gallery"]["sub_abstracts"] = own[:2]
    assert _captions(state) == []
    state["gallery"]["sub_abstracts"] = [own[0], "", own[2]]
    assert _captions(state) == [("/a/0.jpg", own[0]), ("/a/2.jpg", own[2])]


def test_a_post_is_no_user() -> None:
    state = {"text": "湖边的石桥", "pic": "/1.jpg", "user": {"name": "小王", "avatar": "/u.jpg"}}
    assert _captions(state) == [("/1.jpg", "湖边的石桥")]


def test_an_object_with_own_text_is_no_second_image_of_its_parent() -> None:
    state = {"title": "石桥", "img": "/1.jpg", "goods": [{"title": "茶", "img": "/2.jpg"}]}
    assert _captions(state) == [("/1.jpg", "石桥"), ("/2.jpg", "茶")]


def test_an_image_in_many_objects_is_a_default() -> None:
    state = [{"img": "/default_pic.jpg", "title": f"石桥{number}"} for number in range(5)]
    assert _images([*state, {"img": "/1.jpg", "title": "茶馆"}])[0].url == "/1.jpg"
    assert _captions([{"img": "/1.jpg", "title": "石桥"}] * 9) == [("/1.jpg", "石桥")]


def test_the_last_of_two_equal_keys_counts() -> None:
    [one] = script_images(['a = [{"img":"/1.jpg","title":"茶馆","img":"/2.jpg","title":"石桥"}]'])
    assert (one.url, [text.text for text in one.texts]) == ("/2.jpg", ["石桥"])


def test_scripts_of_a_page() -> None:
    page = parse_html(
        "<script src=x.js></script><script>a=1</script><script type=application/json>{}</script>"
        "<script type=application/ld+json>[]</script><script type=text/template><b></script>"
    )
    assert page is not None
    assert list(page_scripts(page_elements(page))) == ["", "a=1", "{}"]


_NAMES = st.sampled_from(
    ["img", "title", "desc", "pic", "url", "items", "a", "user", "nick", "large", "thumb", "sizes"]
)
_STRINGS = st.sampled_from(
    ["石桥", "茶馆", "/1.jpg", "/2.jpg", "http://a.cn/3", "<p>湖", "\ud800", "x", ""]
)
_STATES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 999) | st.floats(allow_nan=False) | _STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=30,
)


def _all_objects(value: object) -> Iterator[tuple[dict[str, object], list[dict[str, object]]]]:
    """Every object, with the objects inside it that no third lies between."""
    if isinstance(value, dict):
        yield value, [one for own in value.values() for one in _nearest(own)]
    for own in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _all_objects(own)


def _nearest(value: object) -> list[dict[str, object]]:
    if isinstance(value, dict):
        return [value]
    return [one for own in value for one in _nearest(own)] if isinstance(value, list) else []


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for own in value for text in _strings(own)] if isinstance(value, list) else []


@settings(max_examples=400)
@given(_STATES)
def test_a_text_lies_in_the_object_of_its_image_or_in_the_one_around_it(state: object) -> None:
    near: set[tuple[str, str]] = set()
    for one, inner in _all_objects(state):
        texts = [value.replace("<p>", "") for value in one.values() if isinstance(value, str)]
        holders = [
            one,
            *inner,
            *(deep for own in inner for _, some in _all_objects(own) for deep in some),
        ]
        urls = [url for own in holders for value in own.values() for url in _strings(value)]
        near |= {(url, text) for url in urls for text in texts}
    found = _captions(state)
    assert set(found) <= near
    assert found == _captions(state)


_WRAPPERS = st.lists(st.sampled_from(["data", "props", "list", "0", "detail", ""]), max_size=6)


@given(_WRAPPERS, st.integers(1, 12), st.sampled_from(["img", "picurl", "image_url", "src", "big"]),
       st.sampled_from(["title", "note", "alt", "desc", "caption", "text"]))  # fmt: skip
def test_every_slide_has_its_own_text(path: list[str], count: int, image: str, text: str) -> None:
    state: object = [
        {"id": number, image: f"/p/{number}.jpg", text: f"石桥{number}号", "w": 900}
        for number in range(count)
    ]
    for name in path:
        state = {name: state, "version": 3} if name else [state]
    assert _captions(state) == [(f"/p/{number}.jpg", f"石桥{number}号") for number in range(count)]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "script",
    [
        "a=" + "[" * 5_000_000,
        "a=" + '{"a":' * 2_000_000 + ".jpg石",
        'a=[{"img":"/1.jpg","title":"石桥"},' + '{"a":1},' * 1_200_000 + "0]",
        "a=[" + "[]," * 3_000_000 + '{"img":"/1.jpg","title":"石桥"}]',
        '.jpg石="' + "=[[" * 3_000_000,
        '.jpg石=["' + '=["' * 3_000_000,
        '.jpg石=["' + '=["\\"' * 2_000_000,
        '.jpg石=["=[",' * 700_000,
        "= " * 5_000_000,
        'a={"img":"/1.jpg","title":"' + "石" * 3_900_000 + '"}',
        'a={"img":"/1.jpg","desc":"' + "<b>石&" * 600_000 + '"}',
        'a={"img":"/1.jpg","title":"石",' + ",".join(f'"k{n}":"/{n}.jpg"' for n in range(150_000)) + "}",
        'a={"img":"/1.jpg","title":"石","n":' + "9" * 1_000_000 + "}",
    ],
    ids=range(13),
)  # fmt: skip
def test_no_script_takes_long(script: str) -> None:
    started = time.process_time()
    script_images([script])
    assert time.process_time() - started < 6


def test_what_is_read_is_bounded() -> None:
    state = [{"img": f"/{number}.jpg", "title": f"石桥{number}"} for number in range(1000)]
    assert len(_images(state)) == MAX_IMAGES
    deep: object = {"img": "/1.jpg", "title": "石桥"}
    for _ in range(60):
        deep = {"a": deep}
    assert _images(deep) == ()
    many = [*([0] * MAX_NODES), {"img": "/1.jpg", "title": "石桥"}]
    assert _images(many) == ()
    assert len(list(script_values(['{"a":"石.jpg"}'] * 3))) == 3
