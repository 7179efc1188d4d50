import gzip

import pytest

from wenlan_data.extract.links import (
    MAX_LINKS,
    is_sitemap_or_feed,
    page_links,
    sitemap_or_feed_links,
)

PAGE = "http://a.cn/x/p.html"


@pytest.mark.parametrize(
    ("html", "urls"),
    [
        ("<a href=1.html#part>一</a><a href=1.html>又一</a>", ("http://a.cn/x/1.html",)),
        ('<base href="/y/"><area href=1.html><iframe src=2.html></iframe>', ("http://a.cn/y/1.html", "http://a.cn/y/2.html")),
        ("<link rel='prefetch next' href=2.html><link rel=stylesheet href=a.css>", ("http://a.cn/x/2.html",)),
        ("<meta http-equiv=Refresh content=\"0; URL='2.html'\">", ("http://a.cn/x/2.html",)),
        ("<a href='javascript:go()'></a><a href='mailto:a@b.cn'></a><a href='#top'></a><a href=''></a>", ()),
        ("<a href='http://[x/'></a><a href=/1.html rel='ugc nofollow'></a>", ()),
        ("<meta name=robots content='index, nofollow'><a href=1.html></a>", ()),
        ("<meta name=robots content=none><a href=1.html></a>", ()),
        ("<meta name=robots content=noindex><a href=1.html></a>", ("http://a.cn/x/1.html",)),
    ],
)  # fmt: skip
def test_links_are_absolute_each_once_and_only_those_that_may_be_followed(
    html: str, urls: tuple[str, ...]
) -> None:
    assert page_links(html, PAGE).urls == urls


def test_links_beyond_the_limit_are_counted() -> None:
    links = page_links("".join(f"<a href={n}>x</a>" for n in range(MAX_LINKS + 3)), PAGE)
    assert (len(links.urls), links.omitted) == (MAX_LINKS, 3)


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ('<?xml version="1.0"?>\n<urlset xmlns="s"><url><loc> http://a.cn/?a=1&amp;b=2 </loc></url></urlset>', ("http://a.cn/?a=1&b=2",)),
        ("<!-- made by x --><sitemapindex><sitemap><loc><![CDATA[/2.xml]]></loc></sitemap></sitemapindex>", ("http://a.cn/2.xml",)),
        ("<rss><channel><item><link>http://a.cn/1</link></item></channel></rss>", ("http://a.cn/1",)),
        ('<feed xmlns="a"><entry><link rel="alternate" href="/1"/></entry></feed>', ("http://a.cn/1",)),
        ('<!DOCTYPE x [<!ENTITY e "http://b.cn/">]><urlset><loc>&e;1</loc></urlset>', ()),
    ],
)  # fmt: skip
def test_sitemaps_and_feeds_list_pages(text: str, urls: tuple[str, ...]) -> None:
    assert is_sitemap_or_feed(text.encode()) == bool(urls)
    if urls:
        assert sitemap_or_feed_links(text.encode(), PAGE).urls == urls
        assert is_sitemap_or_feed(gzip.compress(text.encode()))
        assert sitemap_or_feed_links(gzip.compress(text.encode()), PAGE).urls == urls


@pytest.mark.parametrize(
    "payload", [b"", b"<html><loc>http://a.cn/</loc>", b"\x1f\x8bbroken", b"<?xml version='1.0'?>"]
)
def test_other_bytes_are_neither_sitemap_nor_feed(payload: bytes) -> None:
    assert not is_sitemap_or_feed(payload)
