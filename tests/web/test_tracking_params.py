import pytest

from wenlan_data.web.tracking_params import page_key, page_url


@pytest.mark.parametrize(
    "url",
    [
        "http://a.cn/p?id=1&utm_source=x&utm_medium=y",
        "http://a.cn/p?gclid=z&id=1#part",
        "http://a.cn/p?spm=a.b.c&id=1&from=timeline",
        "HTTP://A.cn:80/x/../p?id=1",
        "http://a.cn/p;jsessionid=AB12?id=1",
        "http://a.cn/p?id=1&PHPSESSID=1",
    ],
)
def test_one_page_has_one_key_however_the_visit_is_marked(url: str) -> None:
    assert page_key(url) == "http://a.cn/p?id=1"


def test_escapes_of_two_encodings_are_two_pages_and_stay_as_they_are() -> None:
    assert page_url("http://a.cn/?q=%D6%D0&utm_x=1") == "http://a.cn/?q=%D6%D0"
    assert page_key("http://a.cn/?q=%D6%D0") != page_key("http://a.cn/?q=%E4%B8%AD")


def test_a_chinese_path_and_its_escaped_form_are_one_page() -> None:
    assert page_key("http://a.cn/水产/虾.html") == page_key(
        "http://a.cn/%E6%B0%B4%E4%BA%A7/%E8%99%BE.html"
    )


def test_a_place_in_a_list_is_no_tracking() -> None:
    assert page_url("http://a.cn/p?from=20&to=40") == "http://a.cn/p?from=20&to=40"
    assert page_url("http://a.cn/p?from=singlemessage&to=40") == "http://a.cn/p?to=40"


def test_a_query_of_tracking_alone_is_no_query() -> None:
    assert page_url("http://a.cn/p?utm_source=x") == "http://a.cn/p"
