import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bounds import bounded
from wenlan_data.web.urls import (
    as_sent,
    host_of,
    sendable,
    url_key,
    url_problem,
    without_user_information,
)


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


SPELLINGS = [
    *("127.1", "127.0.1", "127.0.0.1.", "0x7f.1", "0x7F.0.0.0x1", "0177.0.0.1", "017700000001"),
    *("2130706433", "0x7f000001", "0X7F000001", "127.0x1", "１２７.０.０.１", "①②⑦.⓪.⓪.①"),
    *("127。0。0。1", "127．1", "0000177.0.0.1", "127.0.0.0x1"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_hostile_spellings_of_an_address_are_one_host(spelling: str) -> None:
    plain, odd = "http://127.0.0.1:8080/a.jpg", f"http://{spelling}:8080/a.jpg"
    assert host_of(odd) == "127.0.0.1:8080"
    assert url_key(odd) == url_key(plain)
    assert sendable(odd) == plain


@pytest.mark.parametrize(
    ("spelling", "host"),
    [
        ("[2400:3200:0:0:0:0:0:1]", "[2400:3200::1]:80"),
        ("[2400:3200::0001]", "[2400:3200::1]:80"),
        ("[2400:3200::A]", "[2400:3200::a]:80"),
        ("[::FFFF:7f00:1]", host_of("http://[::ffff:127.0.0.1]/")),
        ("[fe80::1%25eth0]", ""),
        ("[::1%lo]", ""),
        ("1.2.3.4.5", ""),
        ("256.1.1.1", ""),
        ("1.2.3.256", ""),
        ("4294967296", ""),
        ("0x100000000", ""),
        ("08.1.1.1", ""),
        ("1..1", ""),
        ("a.cn.5", ""),
        ("a..cn", ""),
        ("a.cn..", ""),
        (".a.cn", ""),
        ("9" * 5000, ""),
        ("a.5g", "a.5g:80"),
        ("163.com", "163.com:80"),
        ("0x7f.com", "0x7f.com:80"),
    ],
)
def test_hostile_numbers_as_hosts_are_an_address_or_nothing(spelling: str, host: str) -> None:
    assert host_of(f"http://{spelling}/") == host


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("http://me:s3cret@a.cn/x", "http://a.cn/x"),
        ("https://me@a.cn:8443/x?q=1", "https://a.cn:8443/x?q=1"),
        ("//me:s3cret@a.cn/x", "//a.cn/x"),
        ("http:me:s3cret@a.cn/x", "http:a.cn/x"),
        ("http:\\\\me:s3cret@a.cn/x", "http:\\\\a.cn/x"),
        ("HTTP://me:s3cret@a.cn/x", "HTTP://a.cn/x"),
        ("ftp://me:s3cret@a.cn/x", "ftp://a.cn/x"),
        ("http://me:s3c/ret@a.cn/x", "http://a.cn/x"),
        ("http://me:s3c?ret@a.cn/x", "http://a.cn/x"),
        ("http://me:s3c#ret@a.cn/x", "http://a.cn/x"),
        ("http://me:s3cret%40a.cn/x", "http://a.cn/x"),
        ("http://a@b:s3cret@a.cn/x", "http://a.cn/x"),
        ("http://me:s3cret@/x", "http:///x"),
        ("  http://me:s3cret@a.cn/", "  http://a.cn/"),
        ("http://a.cn/@me/x@2.jpg", "http://a.cn/@me/x@2.jpg"),
        ("http://a.cn/?to=http://me:x@b.cn/", "http://a.cn/?to=http://me:x@b.cn/"),
        ("photos/x@2.jpg", "photos/x@2.jpg"),
    ],
)
def test_hostile_user_information_is_removed_and_nothing_else(url: str, public: str) -> None:
    assert without_user_information(url) == public
    assert "s3c" not in without_user_information(url)
    assert "@" not in url_key(url) or host_of(url) in {"a.cn:80", ""}


HOSTILE_HOSTS = [
    *("0.-1.1 1_0.1.1.1 -1 0x 0x-1 ٣.1 1.+1.1.1 1e3 ² ⒈⒈⒈ ％ [::1 ::1] \ud800 a\tb".split(" ")),
    "é" * 300,
    "a" * 64,
    ".".join(["a" * 63] * 4),
    "xn--" + "9" * 2000,
]


@settings(max_examples=300)
@given(
    st.one_of(
        st.text(max_size=40), st.from_regex(r"[0-9xX._+e⒈-]{1,30}"), st.sampled_from(HOSTILE_HOSTS)
    )
)
def test_any_text_has_a_host_or_none(name: str) -> None:
    for url in (
        f"http://{name}/1.jpg",
        name,
        f"//{name}",
        f"http://a.cn/{name}",
        f"http://u@{name}:1/",
    ):
        host = host_of(url)
        assert host == "" or re.fullmatch(r"[a-z0-9._:\[\]-]+:[0-9]{1,5}", host)
        url_key(url), url_problem(url), without_user_information(url)
        sent = as_sent(url)
        # What is sent goes to the host that the rules saw.
        assert not host or sent == url or host_of(sent) == host


@pytest.mark.parametrize("characters", [2_000, 40_000, 1_000_000])
def test_a_long_host_costs_no_time(characters: int) -> None:
    with bounded(seconds=2):
        for name in (
            "é" * characters,
            "é." * (characters // 2),
            "a" * characters,
            "1" * characters,
        ):
            assert host_of(f"http://{name}.cn/{characters}") == ""


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://a.cn/x/../private/0.jpg", "http://a.cn/private/0.jpg"),
        ("http://a.cn/./private/1.jpg", "http://a.cn/private/1.jpg"),
        ("http://a.cn/%2e/private/2.jpg", "http://a.cn/private/2.jpg"),
        ("http://a.cn/x/.%2E/private/4.jpg", "http://a.cn/private/4.jpg"),
        ("http://a.cn/../../..", "http://a.cn/"),
        ("http://a.cn/a/..", "http://a.cn/"),
        ("http://a.cn/a/.", "http://a.cn/a/"),
        ("http://a.cn/.../x..y/.z", "http://a.cn/.../x..y/.z"),
        ("http://a.cn/x?from=/../y", "http://a.cn/x?from=/../y"),
    ],
)
def test_dot_segments_are_resolved_before_a_url_is_sent(url: str, sent: str) -> None:
    assert sendable(url) == as_sent(url) == sent


@pytest.mark.parametrize("at", ["@", "%40", "＠", "﹫", "\\@"])
@pytest.mark.parametrize(
    "scheme", ["http://", "ht\ttp://", "HTTP:\\\\", "http:/", "//", "ftp://", " https://"]
)
def test_no_spelling_of_user_information_stays(scheme: str, at: str) -> None:
    assert "pw" not in without_user_information(f"{scheme}me:pw{at}h.cn/1.jpg")


def test_a_digit_with_a_dot_is_one_host_for_all() -> None:
    assert host_of("http://中⒈victim.cn/1") == host_of(sendable("http://中⒈victim.cn/1"))
    assert host_of("http://中⒈victim.cn/1") == "xn--1-kq6a.victim.cn:80"
