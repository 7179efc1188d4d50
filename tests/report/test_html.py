import re
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser

from tests.report.corpora import key, sample_members, write_corpus, write_tar
from tests.shard.make_golden import GOLDEN, GOLDEN_1_0
from wenlan_data.errors import UsageError
from wenlan_data.report.html import MAX_INLINE, write_page
from wenlan_data.report.write_all import read_report_data
from wenlan_data.testing import make_caption, make_image


def _page(paths: list[Path], out: Path) -> LexborHTMLParser:
    return LexborHTMLParser(write_page(read_report_data(paths), out).read_text("utf-8"))


def _texts(document: LexborHTMLParser, selector: str) -> list[str]:
    return [" ".join(node.text().split()) for node in document.css(selector)]


def test_the_page_shows_what_the_corpus_holds(tmp_path: Path) -> None:
    document = _page([GOLDEN], tmp_path)
    assert _texts(document, ".tiles dd")[:3] == ["5", "6", "83%"]
    assert _texts(document, ".funnel .head b") == ["candidates", "after fetch", "samples"]
    assert "小猫趴在窗台上晒太阳🐱" in _texts(document, ".sample .caption")
    assert _texts(document, ".drop .why b") == ["http_status"]
    assert {"example.org", "CC0-1.0"} <= set(_texts(document, ".barlist .name"))
    assert len(document.css(".sample img")) == 5


@pytest.mark.parametrize("place", [GOLDEN, GOLDEN / "shards"], ids=["corpus", "tars"])
def test_the_page_shows_how_texts_were_found_and_how_certain_they_are(
    place: Path, tmp_path: Path
) -> None:
    document = _page([place], tmp_path)
    assert "Confidence" in _texts(document, "nav a")
    assert _texts(document, "#confidence .barlist figcaption") == [
        "How captions were found",
        "How texts were found",
    ]
    assert _texts(document, "#confidence .barlist li:first-child") == [
        "given: by a source of ready pairs360%",
        "given: by a source of ready pairs343%",
    ]
    assert _texts(document, "#confidence .histogram figcaption") == [
        "caption3 texts, 0% below 0.5",
        "alt1 texts, 0% below 0.5",
        "figcaption1 texts, 0% below 0.5",
        "surrounding1 texts, 100% below 0.5",
        "title1 texts, 100% below 0.5",
    ]
    heights = [
        [str(bar.attributes["style"]) for bar in node.css(".bins b")].index("height:100.0%")
        for node in document.css("#confidence .histogram")
    ]
    assert heights == [9, 9, 9, 4, 3]
    examples = zip(
        _texts(document, ".lowest .caption"), _texts(document, ".lowest .distance"), strict=True
    )
    assert list(examples) == [
        ("厨师把面团拉成细细的面条", "attribute 0.90"),
        ("“青花瓷”花瓶,高30厘米", "figcaption 0.95"),
        ("馆藏・明代", "below 0.45"),
    ]
    assert len(document.css(".lowest img")) == 3
    assert _texts(document, ".sample dt small") == [
        "attribute 0.90",
        "page 0.30",
        "figcaption 0.95",
        "below 0.45",
    ]


@pytest.mark.parametrize("place", [GOLDEN_1_0, GOLDEN_1_0 / "shards"], ids=["corpus", "tars"])
def test_a_corpus_of_format_1_0_shows_no_confidence(place: Path, tmp_path: Path) -> None:
    document = _page([place], tmp_path)
    assert document.css("#confidence, .sample dt small") == []
    assert len(document.css(".sample img")) == 5
    assert {"surrounding", "alt"} <= set(_texts(document, ".barlist .name"))


def test_ready_pairs_alone_show_no_confidence(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus", [{"caption": make_caption(1)}])
    assert _page([tmp_path / "corpus"], tmp_path / "out").css("#confidence") == []


def test_a_dropped_text_is_shown_with_its_relation(tmp_path: Path) -> None:
    text = {"type": "alt", "text": "别的图的字", "relation": "below", "confidence": 0.2}
    row = {"step": "clean", "reason": "low_confidence", "detail": "below 0.20", "texts": [text]}
    write_corpus(tmp_path / "corpus", [{}], [row])
    document = _page([tmp_path / "corpus"], tmp_path / "out")
    assert _texts(document, ".drop .found") == ["alt, below 0.20"]
    assert "the text may belong to another image" in _texts(document, ".drop .meaning")


def test_what_a_tar_states_of_confidence_is_used_where_it_fits(tmp_path: Path) -> None:
    stated = [0.2, 7, "much", None, True, [1], float("nan")]
    texts = [
        {"type": "alt", "text": f"第{place}段", "relation": "below", "confidence": value}
        for place, value in enumerate(stated)
    ]
    members = sample_members("a", make_image(1), "第0段", {"texts": texts, "caption_type": "alt"})
    document = _page([write_tar(tmp_path / "a.tar", members)], tmp_path / "out")
    assert _texts(document, ".sample dt small") == ["below 0.20", *["below 1.00"] * 6]
    assert _texts(document, ".lowest .distance") == ["below 0.20"]


def test_the_page_needs_neither_script_nor_network(tmp_path: Path) -> None:
    text = write_page(read_report_data([GOLDEN]), tmp_path).read_text("utf-8")
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert not re.search(r'(?:src|srcset)="(?!data:image/jpeg)', text)
    assert "url(" not in text


def test_the_same_corpus_gives_the_same_page(tmp_path: Path) -> None:
    one, two = (
        write_page(read_report_data([GOLDEN]), tmp_path / name).read_bytes()
        for name in ("one", "two")
    )
    assert one == two


def test_tars_alone_have_figures_and_a_gallery_but_no_funnel(tmp_path: Path) -> None:
    document = _page([GOLDEN / "shards"], tmp_path)
    assert _texts(document, ".tiles dd")[:2] == ["5", "2"]
    assert document.css(".funnel") == []
    assert sorted(_texts(document, ".sample .caption")) == sorted(
        _texts(_page([GOLDEN], tmp_path / "b"), ".sample .caption")
    )


def test_fields_of_tars_of_other_origin_are_used_where_they_fit(tmp_path: Path) -> None:
    members = sample_members(
        "a/0001",
        make_image(1),
        "一只猫",
        {"url": "http://a.test/1.jpg", "width": "no", "license": 7},
    )
    members |= {
        "a/0002.png": make_image(2, kind="PNG"),
        "a/0002.json": b"[1]",
        "b.cls": b"3",
        "c.jpg": b"not an image",
    }
    document = _page([write_tar(tmp_path / "a.tar", members)], tmp_path / "out")
    assert _texts(document, ".tiles dd")[0] == "4"
    assert len(document.css(".sample img")) == 2
    assert "320 × 240" in " ".join(_texts(document, "summary"))
    assert "a.test" in _texts(document, ".barlist .name")


def test_filters_hide_the_cards_of_other_choices(tmp_path: Path) -> None:
    sources = ["table:a.csv"] * 2 + ["folder:b/"]
    samples = [
        {"caption": make_caption(number), "source": source} for number, source in enumerate(sources)
    ]
    write_corpus(tmp_path / "corpus", samples)
    document = _page([tmp_path / "corpus"], tmp_path / "out")
    assert _texts(document, "fieldset legend") == ["Source", "Regions"]
    assert _texts(document, "fieldset label") == ["all", "table:a.csv 2", "folder:b/ 1", "drawn"]
    assert [str(node.attributes["class"]).split()[-1] for node in document.css(".sample")] == [
        "f0-0",
        "f0-0",
        "f0-1",
    ]
    assert "body:has(#f0-1:checked) .sample:not(.f0-1)" in (
        tmp_path / "out" / "index.html"
    ).read_text("utf-8")


def test_duplicates_are_shown_beside_the_kept_sample_with_their_distances(tmp_path: Path) -> None:
    copies = [
        {
            "step": "dedupe",
            "reason": "near_duplicate",
            "duplicate_of": key(0),
            "phash_distance": 3,
            "pdq_distance": 30,
        },
        {
            "step": "dedupe",
            "reason": "duplicate",
            "duplicate_of": key(0),
            "phash_distance": 0,
            "pdq_distance": 0,
        },
        {
            "step": "dedupe",
            "reason": "near_duplicate",
            "duplicate_of": "f" * 32,
            "phash_distance": 1,
            "pdq_distance": 4,
        },
    ]
    write_corpus(tmp_path / "corpus", [{"caption": make_caption(1)}], copies)
    document = _page([tmp_path / "corpus"], tmp_path / "out")
    groups = document.css(".group")
    assert [len(group.css(".card")) for group in groups] == [3, 2]
    assert _texts(document, ".distance") == [
        "pHash 3",
        "PDQ 30",
        "pHash 0",
        "PDQ 0",
        "pHash 1",
        "PDQ 4",
    ]
    assert make_caption(1) in groups[0].text()
    assert "not in this corpus" in groups[1].text()


def test_telephone_numbers_and_addresses_are_masked(tmp_path: Path) -> None:
    text = "联系电话13800138000，邮箱wangxiaoming@example.com"
    row = {
        "step": "clean",
        "reason": "contact_info",
        "texts": [{"type": "alt", "text": text}],
        "url": "http://a.test/",
    }
    write_corpus(tmp_path / "corpus", [{}], [row])
    page = write_page(read_report_data([tmp_path / "corpus"]), tmp_path / "out").read_text("utf-8")
    assert "13800138000" not in page
    assert "wangxiaoming" not in page
    assert "联系电话13•••••••00" in page


def test_more_than_200_thumbnails_lie_beside_the_page(tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for number in range(230):
        members |= sample_members(
            f"{number:04d}", make_image(number, width=60, height=40), make_caption(number), {}
        )
    out = tmp_path / "out"
    document = _page([write_tar(tmp_path / "a.tar", members)], out)
    srcs = [str(node.attributes["src"]) for node in document.css(".sample img")]
    inside = [src for src in srcs if src.startswith("data:")]
    assert (len(inside), len(srcs)) == (MAX_INLINE, 230)
    assert sorted(set(srcs) - set(inside)) == sorted(
        f"thumbs/{path.name}" for path in (out / "thumbs").iterdir()
    )
    write_page(read_report_data([GOLDEN]), out)
    assert not (out / "thumbs").exists()


def test_the_page_stays_below_5_mb_whatever_the_texts(tmp_path: Path) -> None:
    long = [{"type": "alt", "text": '"' * 2_000}] * 20
    members: dict[str, bytes] = {}
    for number in range(240):
        fields = {"texts": long, "url": "http://a.test/" + "<" * 2000, "tokens": "猫 " * 2000}
        members |= sample_members(f"{number:04d}", make_image(number % 7), "&" * 2_000, fields)
    page = write_page(read_report_data([write_tar(tmp_path / "a.tar", members)]), tmp_path / "out")
    assert page.stat().st_size < 5_000_000


def test_a_page_of_other_origin_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine", "utf-8")
    with pytest.raises(UsageError, match="wenlan-data did not write it"):
        write_page(read_report_data([GOLDEN]), tmp_path)
    assert (tmp_path / "index.html").read_text("utf-8") == "mine"


def test_files_of_other_origin_in_thumbs_stay(tmp_path: Path) -> None:
    (tmp_path / "thumbs").mkdir()
    (tmp_path / "thumbs" / "mine.jpg").write_bytes(b"mine")
    write_page(read_report_data([GOLDEN]), tmp_path)
    assert (tmp_path / "thumbs" / "mine.jpg").read_bytes() == b"mine"


def test_a_corpus_without_a_sample_has_a_page(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus", [], [{}])
    assert _texts(_page([tmp_path / "corpus"], tmp_path / "out"), ".tiles dd")[0] == "0"


def test_a_rare_source_is_in_the_gallery_too(tmp_path: Path) -> None:
    sources = ["table:a.csv"] * 300 + ["folder:b/"] * 3
    write_corpus(tmp_path / "corpus", [{"source": source} for source in sources])
    shown = read_report_data([tmp_path / "corpus"]).samples
    assert len(shown) == 240
    assert sum(one.source == "folder:b/" for one in shown) == 3
