import pytest

from wenlan_data.web.urls import host_of, sendable, url_key, url_problem


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("http://A.cn:80/a/../b.jpg#x", "http://a.cn/b.jpg"),
        ("https://a.cn:443", "https://a.cn/"),
        ("http://a.cn/中.jpg", "http://a.cn/%e4%b8%ad.jpg"),
        ("http://例子.cn/a", "http://xn--fsqu00a.cn/a"),
        ("http://例子。cn/a", "http://xn--fsqu00a.cn/a"),
        ("http://a.cn./a?y=2&x=1", "http://a.cn/a?x=1&y=2"),
        (" http://a.cn/a ", "http://a.cn/a"),
    ],
)
def test_spellings_of_one_url_have_one_key(first: str, second: str) -> None:
    assert url_key(first) == url_key(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("http://a.cn/?id=中", "http://a.cn/?id=%D6%D0"),
        ("http://a.cn/?id=%D6%D0", "http://a.cn/?id=%D6%D1"),
        ("http://a.cn/A.jpg", "http://a.cn/a.jpg"),
        ("http://a.cn/a", "https://a.cn/a"),
        ("http://a.cn:8080/a", "http://a.cn/a"),
    ],
)
def test_different_urls_have_different_keys(first: str, second: str) -> None:
    assert url_key(first) != url_key(second)


@pytest.mark.parametrize(
    "url", ["photos/一.jpg", "http://[::1", "ftp://a.cn/x", "", "http://a.cn:99999/"]
)
def test_what_is_no_web_url_is_its_own_key(url: str) -> None:
    assert url_key(url) == url


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.cn/x", "a.cn:80"),
        ("https://A.CN", "a.cn:443"),
        ("http://a.cn:8080?x", "a.cn:8080"),
        ("http://例子.cn/x", "xn--fsqu00a.cn:80"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("http://a.cn@b.cn/", "b.cn:80"),
        ("http:///x", ""),
        ("http://a b.cn/", ""),
        ("http://a.cn:x/", ""),
        ("file:///etc/passwd", ""),
    ],
)
def test_the_host_is_the_one_that_would_be_requested(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://a.cn/x.jpg", ""),
        ("http://a.cn/" + "x" * 2036, ""),
        ("http://a.cn/" + "x" * 2037, "url_too_long"),
        ("javascript:alert(1)", "scheme"),
        ("data:image/png;base64,AAAA", "scheme"),
        ("gopher://a.cn/", "scheme"),
        ("//a.cn/x.jpg", "bad_url"),
        ("a.jpg", "bad_url"),
        ("http://user:password@a.cn/", "bad_url"),
        ("http://[::1", "bad_url"),
        ("http://", "bad_url"),
    ],
)
def test_what_cannot_be_requested_has_a_reason(url: str, reason: str) -> None:
    drop = url_problem(url)
    assert (drop.reason if drop else "") == reason


def test_escapes_go_out_as_they_came() -> None:
    assert sendable("http://a.cn/%d6%D0?q=a+b#f") == "http://a.cn/%d6%D0?q=a+b"
    assert sendable("http://例子.cn/中 文") == "http://xn--fsqu00a.cn/%E4%B8%AD%20%E6%96%87"
