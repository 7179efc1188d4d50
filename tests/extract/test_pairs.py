import pytest

from wenlan_data.extract.pairs import MAX_TAGS, page_pairs
from wenlan_data.records import Candidate, Drop


def _pairs(html: str, page_url: str = "http://a.cn/x/p.html") -> list[tuple[str, str]]:
    rows = page_pairs(html, page_url, "warc:a.warc")
    return [(row.url, row.texts[0].text) if isinstance(row, Candidate) else (row.reason, row.detail) for row in rows]


@pytest.mark.parametrize(
    ("src", "url"),
    [
        ("1.jpg", "http://a.cn/x/1.jpg"),
        ("/1.jpg?a=1&amp;b=2", "http://a.cn/1.jpg?a=1&b=2"),
        (" //b.cn/1.jpg\n", "http://b.cn/1.jpg"),
        ("https://b.cn/图.jpg", "https://b.cn/图.jpg"),
    ],
)
def test_addresses_become_absolute(src: str, url: str) -> None:
    assert _pairs(f'<img src="{src}" alt=" 石桥 ">') == [(url, "石桥")]


def test_the_base_of_the_page_counts() -> None:
    assert _pairs('<base href="/img/"><img src=1.jpg alt=桥>') == [("http://a.cn/img/1.jpg", "桥")]
    assert _pairs('<base href="http://[x/"><img src=1.jpg alt=桥>') == [("http://a.cn/x/1.jpg", "桥")]


def test_pictures_without_text_or_address_or_of_another_scheme_are_left() -> None:
    html = """<img src=1.jpg><img alt=a><img src="" alt=a><img src=1.jpg alt=" "><img src alt>
    <img src="data:image/png;base64,AA" alt=a><img src="ftp://a/1.jpg" alt=a><img src="javascript:1" alt=a>"""
    assert _pairs(html) == []


def test_an_address_that_cannot_be_read_is_a_drop() -> None:
    assert list(page_pairs('<img src="http://[x/1.jpg" alt=桥>', "http://a.cn/")) == [
        Drop("bad_url", "'http://[x/1.jpg'")
    ]


def test_hostile_pages_are_read_to_their_end() -> None:
    deep = "<div>" * 20_000 + '<img src="1.jpg" alt="桥\0&#xD800;&#0;">'
    [(url, alt)] = _pairs(deep)
    assert url == "http://a.cn/x/1.jpg"
    assert alt.encode().decode().startswith("桥")


def test_a_page_of_endless_tags_is_read_in_part_and_said_to_be() -> None:
    rows = _pairs("<img src=1.jpg alt=桥>" * (MAX_TAGS + 5))
    assert rows[0] == ("page_too_large", f"more than {MAX_TAGS} tags: the rest is left")
    assert len(rows) == MAX_TAGS + 1
