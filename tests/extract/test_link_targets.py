"""Where links around images lead, with their queries."""

import pytest

from wenlan_data.extract.link_targets import Target, link_target, page_target


def _page(url: str) -> Target:
    target = page_target(url)
    assert target is not None
    return target


@pytest.mark.parametrize(
    "href", ["/", "/index.html", "http://a.cn", "/?from=weixin", "/?utm_source=x"]
)
def test_the_home_page(href: str) -> None:
    target = link_target("http://a.cn/x/1.html", href)
    assert target is not None
    assert target.is_home


@pytest.mark.parametrize(
    "href", ["/?p=12", "/index.php?m=content&id=33", "/?page=about", "/x/", "/x/index.html"]
)
def test_a_query_chooses_another_page_than_the_home_page(href: str) -> None:
    target = link_target("http://a.cn/x/1.html", href)
    assert target is not None
    assert not target.is_home


@pytest.mark.parametrize(
    "href", ["", "#top", "javascript:void(0)", "/1.jpg", "mailto:a@b.cn", "http://[/"]
)
def test_a_link_to_no_page(href: str) -> None:
    assert link_target("http://a.cn/x/1.html", href) is None


@pytest.mark.parametrize(
    ("page", "link", "is_same"),
    [
        ("/view.php?id=1", "/view.php?id=1", True),
        ("/view.php?id=1", "/view.php?id=2", False),
        ("/view.php?id=1&a=2", "/view.php?a=2&id=1", True),
        ("/view.php?id=1", "/view.php?id=1&page=2", True),
        ("/x/1.html", "/x/1.html?v=3", True),
        ("/", "/?p=12", False),
        ("/x/18872345.html", "/x/18872345_2.html", True),
        ("/x/18872345_2.html", "/x/18872345_3.html", True),
        ("/x/t20240101_5512.html", "/x/t20240101_5513.html", False),
        ("/x/1.html", "/x/2.html", False),
    ],
)
def test_pages_are_told_apart_by_their_queries(page: str, link: str, is_same: bool) -> None:
    assert _page(f"http://a.cn{link}").is_same(_page(f"http://a.cn{page}")) == is_same


def test_pages_of_one_kind_share_a_shape() -> None:
    assert _page("http://a.cn/v?id=1").shape == _page("http://a.cn/v?id=27").shape
    assert _page("http://a.cn/v?id=1").shape != _page("http://a.cn/v?list=1").shape
    assert _page("http://a.cn/2019/1.html").shape == _page("http://a.cn/2024/33.html").shape


@pytest.mark.parametrize(
    ("page", "link", "is_listed"),
    [
        ("/product/index_3.html", "/product/51.html", True),
        ("/product/", "/product/51.html", True),
        ("/events.html", "/events/3-title.html", True),
        ("/list.php?cat=3", "/view.php?id=5", True),
        ("/product/50.html", "/product/51.html", False),
        ("/product/index.html", "/news/51.html", False),
        ("/2020/river/", "/2020/lake/", False),
    ],
)
def test_the_page_of_a_folder_lists_the_pages_in_it(page: str, link: str, is_listed: bool) -> None:
    assert _page(f"http://a.cn{link}").is_listed_by(_page(f"http://a.cn{page}")) == is_listed
