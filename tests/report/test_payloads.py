"""Puts hostile texts into every field: a browser must show them, and do nothing else."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from tests.report.browser import CHROMIUM, open_page
from tests.report.corpora import key, sample_members, write_corpus, write_tar
from tests.report.payloads import HOST, MARK, PAYLOADS
from wenlan_data.clean.masking import mask_author
from wenlan_data.report.card import card_text
from wenlan_data.report.html import write_page
from wenlan_data.report.write_all import read_report_data
from wenlan_data.testing import make_image

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"
)
_CSP = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
_ELEMENTS = {
    "-text", "a", "article", "b", "bdi", "body", "code", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption",
    "figure", "footer", "g", "h1", "h2", "h3", "head", "header", "html", "i", "img", "input", "label", "legend", "li",
    "main", "meta", "nav", "ol", "p", "path", "pre", "rect", "section", "small", "span", "strong", "style", "summary",
    "svg", "text", "title", "ul",
}  # fmt: skip


def shown(text: str) -> str:
    """Returns a text as the page shows it: control characters as symbols."""
    return "".join(
        chr(0x2400 + ord(one)) if one < " " and one not in "\n\t" else one for one in text
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus with each payload in every field of a sample, of a drop and of a duplicate."""
    path = tmp_path_factory.mktemp("hostile") / "corpus"
    samples = [
        {
            "caption": text,
            "caption_type": "alt",
            "texts": [{"type": kind, "text": text} for kind in ("alt", "title", "figcaption")],
            "url": text,
            "page_url": text,
            "source": text,
            "licence": text,
            "author": text,
            "opt_out": [text],
        }
        for text in PAYLOADS
    ]
    fields = [{"url": text, "page_url": text, "source": text, "detail": text} for text in PAYLOADS]
    texts = [{"texts": [{"type": text, "text": text}]} for text in PAYLOADS]
    dropped = [
        {**one, **two, "reason": text}
        for one, two, text in zip(fields, texts, PAYLOADS, strict=True)
    ]
    copies = [
        {**one, **two, "step": "dedupe", "reason": "duplicate", "duplicate_of": key(number)}
        for number, (one, two) in enumerate(zip(fields, texts, strict=True))
    ]
    write_corpus(path, samples, [*dropped, *copies[:24]], name=PAYLOADS[3])
    return path


@pytest.fixture(scope="module")
def pages(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The page of the corpus, and that of a tar with payloads in its member names and its own
    name."""
    folder = tmp_path_factory.mktemp("pages")
    members: dict[str, bytes] = {}
    jpeg = make_image(1)
    for number, text in enumerate(PAYLOADS):
        safe = re.sub(r"[./\x00]", "_", text)[:80]
        region = {"box": [0, 0, 50, 50], "label": text, "score": 1}
        named = (
            "url",
            "page_url",
            "source",
            "license",
            "author",
            "opt_out",
            "caption_type",
            "tokens",
        )
        fields = {
            **dict.fromkeys(named, text),
            "regions": [region],
            "texts": [{"type": text, "text": text}],
        }
        members |= sample_members(f"{number}{safe}", jpeg, text, fields)
    tar = write_tar(folder / f"{PAYLOADS[2].replace('/', '_')}.tar", members)
    return {
        "corpus": write_page(read_report_data([corpus]), folder / "corpus"),
        "tars": write_page(read_report_data([tar]), folder / "tars"),
    }


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("name", ["corpus", "tars"])
@pytest.mark.parametrize("guarded", [True, False], ids=["with its policy", "without its policy"])
def test_no_payload_runs_or_sends_a_request(
    pages: Mapping[str, Path], name: str, guarded: bool, tmp_path: Path
) -> None:
    text = pages[name].read_text("utf-8")
    page = tmp_path / "index.html"
    page.write_text(text if guarded else _CSP.sub("", text), "utf-8")
    opened = open_page(page, tmp_path / "profile")
    document = LexborHTMLParser(opened.dom)
    html = document.css_first("html")
    assert html is not None
    assert MARK not in html.attributes
    assert [address for address in opened.requested if MARK in address or HOST in address] == []
    assert foreign(document) == set()
    cards = document.css("article.sample")
    assert len(cards) == len(PAYLOADS)
    captions = {card.css_first(".caption").text() for card in cards}  # type: ignore[union-attr]
    assert captions == {shown(text.strip() if name == "tars" else text) for text in PAYLOADS}


@pytest.mark.slow
@needs_chromium
def test_the_browser_detects_payloads_that_run(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text(f"<!doctype html><p>{PAYLOADS[0]}<p>{PAYLOADS[20]}", "utf-8")
    opened = open_page(page, tmp_path / "profile")
    assert f'{MARK}="1"' in opened.dom
    assert any(HOST in address for address in opened.requested)


@pytest.mark.parametrize("name", ["corpus", "tars"])
def test_the_source_holds_no_element_or_attribute_of_a_payload(
    pages: Mapping[str, Path], name: str
) -> None:
    assert foreign(LexborHTMLParser(pages[name].read_text("utf-8"))) == set()


def test_every_field_of_a_sample_is_shown_verbatim(pages: Mapping[str, Path]) -> None:
    document = LexborHTMLParser(pages["corpus"].read_text("utf-8"))
    for text, card in zip(PAYLOADS, document.css("article.sample"), strict=True):
        terms = [node.text() for node in card.css("dt")]
        values = [node.text().strip("\n ") for node in card.css("dd")]
        fields = {"alt", "title", "figcaption", "image", "page", "source", "opt-out"}
        assert fields <= set(terms)
        shown_fields = list(zip(terms, values, strict=True))
        assert {value for term, value in shown_fields if term in fields} == {
            shown(text).strip("\n ")
        }
        # Author and licence were published without control characters.
        credits = {value for term, value in shown_fields if term in {"author", "licence"}}
        assert credits == {shown(mask_author(text)).strip("\n ")}


def test_every_field_of_a_drop_is_shown_verbatim(pages: Mapping[str, Path]) -> None:
    document = LexborHTMLParser(pages["corpus"].read_text("utf-8"))
    panels = {node.css_first(".why b").text(): node for node in document.css(".drop")}  # type: ignore[union-attr]
    for text in PAYLOADS:
        shown_texts = [
            node.text().strip() for node in panels[shown(text)].css(".quote, .detail, .from")
        ]
        assert [one.removeprefix("on").strip() for one in shown_texts[3:]] == [
            shown(text).removeprefix("on").strip()
        ]
        assert shown_texts[:3] == [shown(text).strip()] * 3


@pytest.mark.parametrize("name", ["corpus", "tars"])
def test_a_relation_is_shown_verbatim(name: str, tmp_path: Path) -> None:
    texts = [
        [{"type": "surrounding", "text": text, "relation": text, "confidence": 0.4}]
        for text in PAYLOADS
    ]
    if name == "corpus":
        place = tmp_path / "corpus"
        write_corpus(place, [{"texts": one} for one in texts], [{"texts": one} for one in texts])
    else:
        members: dict[str, bytes] = {}
        for number, one in enumerate(texts):
            members |= sample_members(str(number), make_image(1), "猫", {"texts": one})
        place = write_tar(tmp_path / "a.tar", members)
    page = write_page(read_report_data([place]), tmp_path / "out").read_text("utf-8")
    document = LexborHTMLParser(page)
    assert foreign(document) == set()
    found = {node.text() for node in document.css(".sample dt small bdi")}
    assert found == {shown(f"{text} 0.40") for text in PAYLOADS}
    assert {node.text() for node in document.css(".lowest .distance bdi")} <= found
    assert len(document.css(".lowest")) == 10
    if name == "corpus":
        assert "surrounding, " in document.css(".drop .found")[0].text()
        card = card_text(read_report_data([place]))
        assert "Relations of captions" not in card  # the caption of a row is not among its texts


def test_the_card_holds_no_markup_of_a_payload(corpus: Path) -> None:
    text = card_text(read_report_data([corpus]))
    for line in re.sub(r"`[^`]*`", "", text.split("-->", 1)[1]).splitlines():
        assert not re.search(r"(?<!\\)[<>]", line.replace("{key}", "")), line


def foreign(document: LexborHTMLParser) -> set[str]:
    """Returns elements, attributes and URLs that the template never writes."""
    found: set[str] = set()
    root = document.root
    for node in root.traverse(include_text=False) if root else ():
        if node.tag not in _ELEMENTS:
            found.add(str(node.tag))
        found |= {f"{node.tag} {attribute}" for attribute in _foreign_attributes(node)}
    return found


def _foreign_attributes(node: LexborNode) -> set[str]:
    attributes = {name: value or "" for name, value in node.attributes.items()}
    found = {
        name
        for name in attributes
        if name.startswith("on") or name in {"srcset", "srcdoc", "formaction"}
    }
    href, src = attributes.get("href", "#"), attributes.get("src", "data:image/jpeg")
    if not href.startswith(("#", "http://", "https://")):
        found.add(f"href={href}")
    if not re.match(r"data:image/jpeg|thumbs/[0-9a-f]{24}\.jpg$", src):
        found.add(f"src={src}")
    if node.tag in {"i", "b"} and not re.fullmatch(
        r"(?:width|height):[\d.]+%", attributes.get("style", "width:1%")
    ):
        found.add(f"style={attributes['style']}")
    return found | ({"style"} if "style" in attributes and node.tag not in {"i", "b"} else set())
