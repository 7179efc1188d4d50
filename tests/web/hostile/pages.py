"""Cases 95 to 102 and 112 to 116: pages that declare a wrong encoding, and pages made to slow a
parser down."""

from tests.web.hostile.cases import Case, Run
from tests.web.hostile.web import html, ok
from wenlan_data.records import Candidate

TEXT = "清晨的大桥上，一位老人慢慢走过，远处是山和湖水。这里的人们都说，春天来了就要到桥边看花。"
HONG_KONG = "香港嘅街市有好多嘢食，佢哋話呢度啲魚好新鮮，我哋今日去咗睇吓。這裡的人們說要去看看，我們也去了。"
RARE = "𠮷野家的𠀀字很少见，" + TEXT


def page(text: str, charset: str, label: str = "", *, meta: str = "") -> bytes:
    """Returns a page encoded as `charset`, which its header declares as `label` and its meta
    element as `meta`."""
    declared = f"<meta charset={meta}>" if meta else ""
    head = f"<html><head>{declared}<title>页</title></head>"
    body = f"{head}<body><p>{text}</p><img src=/1.jpg alt='{text}'></body></html>"
    content_type = (
        f"Content-Type: text/html; charset={label}" if label else "Content-Type: text/html"
    )
    return ok(body.encode(charset), content_type)


def encoded(number: int, does: str, text: str, *answers: bytes) -> Case:
    """Returns a case of pages whose text must be decoded correctly."""

    def check(run: Run) -> None:
        found = [one for one in run.candidates() if isinstance(one, Candidate)]
        assert len(found) == len(answers)
        for one in found:
            assert [part.text for part in one.texts if part.type == "alt"] == [text]

    listed = {f"/{n}": answer for n, answer in enumerate(answers)}
    return Case(
        number=number,
        does=does,
        outcome="ok",
        answers=listed,
        paths=tuple(listed),
        pages=True,
        check=check,
    )


def _mixed(run: Run) -> None:
    """Checks that at most one character in a thousand is undecodable, or that the page is
    dropped."""
    for one in run.candidates():
        if isinstance(one, Candidate):
            words = "".join(part.text for part in one.texts)
            assert words.count("\ufffd") <= len(words) / 1000
        else:
            assert one.reason == "bad_encoding"


def stress(
    number: int, does: str, *bodies: str | bytes, outcome: str = "ok", found: bool = True
) -> Case:
    """Returns a case of pages whose image must be found as a browser finds it.

    The time limit is that of the test itself.
    """

    def check(run: Run) -> None:
        urls = [one.url for one in run.candidates() if isinstance(one, Candidate)]
        assert urls == [run.host.url("/1.jpg")] * (len(bodies) if found else 0), urls

    listed = {f"/{n}": html(body) for n, body in enumerate(bodies)}
    return Case(
        number=number,
        does=does,
        outcome=outcome,
        answers=listed,
        paths=tuple(listed),
        pages=True,
        check=check if outcome == "ok" else None,
    )


IMAGE = "<img src=/1.jpg alt=桥>"
ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "'
    + "x" * 1000
    + '">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)


CASES = [
    encoded(
        95,
        "labels GBK as UTF-8",
        TEXT,
        page(TEXT, "gbk", "utf-8", meta="utf-8"),
        page(TEXT, "gbk", "utf-8"),
    ),
    encoded(
        96,
        "labels UTF-8 as GB2312",
        TEXT,
        page(TEXT, "utf-8", "gb2312", meta="gb2312"),
        page(TEXT, "utf-8", "gbk"),
    ),
    encoded(
        97,
        "uses GB18030's four bytes",
        RARE,
        page(RARE, "gb18030", "gb2312"),
        page(RARE, "gb18030", "gb18030"),
    ),
    encoded(
        98,
        "uses Big5 with Hong Kong's characters",
        HONG_KONG,
        page(HONG_KONG, "big5hkscs", "big5"),
        page(HONG_KONG, "big5hkscs"),
    ),
    encoded(
        99,
        "uses UTF-16 without a mark",
        TEXT,
        page(TEXT, "utf-16-le"),
        page(TEXT, "utf-16-be", "utf-16"),
    ),
    encoded(
        100,
        "has no label",
        TEXT,
        page(TEXT, "utf-8"),
        page(TEXT, "gbk"),
        page(TEXT, "gb18030", "x-unknown"),
    ),
    encoded(
        101,
        "states one encoding in the header, another in the page",
        TEXT,
        page(TEXT, "gbk", "utf-8", meta="gbk"),
        page(TEXT, "utf-8", "gbk", meta="utf-8"),
        page(TEXT, "gbk", "big5", meta="gb2312"),
    ),
    Case(
        number=102,
        does="mixes encodings in one page",
        outcome="ok",
        answers={
            "/0": html(page(TEXT, "utf-8").partition(b"\r\n\r\n")[2] * 20 + TEXT.encode("gbk")),
            "/1": html(
                b"<html><img src=/1.jpg alt='" + TEXT.encode("gbk") + b"'>" + TEXT.encode() * 3
            ),
            "/2": html(b"<html><img src=/1.jpg alt=x>" + bytes(range(128, 255)) * 50),
        },
        paths=("/0", "/1", "/2"),
        pages=True,
        check=_mixed,
    ),
    stress(
        112,
        "nests 200,000 tags",
        "<div>" * 200_000 + IMAGE,
        "<b><i>" * 100_000 + IMAGE,
        "<html>" + "<div>" * 5000 + IMAGE,
    ),
    stress(
        113,
        "has 20,000 attributes in a tag",
        "<html " + " ".join(f"a{n}=1" for n in range(20_000)) + ">" + IMAGE,
        IMAGE.replace(">", " " + " ".join(f"data-{n}=1" for n in range(20_000)) + ">"),
    ),
    stress(114, "is one line of 50 MB", "<html>" + IMAGE + "x" * (50 << 20), outcome="too_large"),
    stress(
        115,
        "never closes a comment",
        "<html>" + IMAGE + "<!--" + "-" * 1_000_000,
        "<html>" + IMAGE + "<!-- <a " * 100_000,
    ),
    Case(
        number=116,
        does="lists pages behind a bomb of entities: a list with definitions of its own is not read",
        outcome="not_html",
        answers={
            "/sitemap.xml": ok(
                f"{ENTITIES}<urlset><url><loc>/good</loc></url><url><loc>/&j;</loc></url></urlset>".encode()
            ),
            "/rss.xml": ok(
                f"{ENTITIES}<rss><channel><item><link>/feed</link></item></channel></rss>".encode()
            ),
        },
        paths=("/sitemap.xml", "/rss.xml"),
        pages=True,
    ),
    Case(
        number=116,
        does="sends an SVG with a bomb of entities as an image",
        outcome="not_image",
        answers={
            "/a.jpg": ok(
                f"{ENTITIES}<svg xmlns='http://www.w3.org/2000/svg'><text>&j;</text></svg>".encode()
                + b" " * 3000
            )
        },
    ),
]
