"""The same image on many pages of a site, against the rule written naively and case by case."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.dedupe.naive import Corpus, dedupe
from tests.dedupe.rows import Row, Run, run
from tests.dedupe.test_step import assert_same, random_rows
from wenlan_data.dedupe.furniture import PageLimit
from wenlan_data.errors import DamageError
from wenlan_data.index.page_sets import PAGE_KEYS
from wenlan_data.layout import INDEX_FOLDER
from wenlan_data.npy import load_any
from wenlan_data.recipe import DedupeRules

RULES = DedupeRules(max_site_pages=5, min_site_share=0.5)
COUNT_ALONE = DedupeRules(max_site_pages=5)
HOSTS = ("www.a.com", "img.a.com", "b.com", "m.b.com", "10.0.0.1:81", "10.0.0.1:82")


def on_pages(
    url: str,
    pages: Sequence[int],
    host: str = "www.a.com",
    text: str = "关注我们",
    **fields: object,
) -> list[Row]:
    """One image on pages of a host, each with its own text."""
    return [
        Row(
            url=url,
            page=f"http://{host}/{page}.html",
            texts=(("alt", f"{text}{page}"),),
            **fields,  # type: ignore[arg-type]
        )
        for page in pages
    ]


def articles(pages: Sequence[int], host: str = "www.a.com") -> list[Row]:
    """An image of its own on each page of a host."""
    chance = random.Random(f"{host} {pages}")
    return [
        Row(
            url=f"http://{host}/{page}.jpg",
            page=f"http://{host}/{page}.html",
            texts=(("caption", f"第{page}张"),),
            phash=chance.getrandbits(64),
            pdq=chance.getrandbits(256),
        )
        for page in pages
    ]


def furniture(found: Run) -> set[str]:
    return {str(row["url"]) for row in found.drops if row["reason"] == "furniture"}


def site_rows(seed: int, known: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Candidates with all reasons and rows without a candidate, on few pages of few sites."""
    chance = random.Random(seed)
    placed = [(row, chance.choice(HOSTS)) for row in random_rows(seed, 200, known)]
    for number in range(120):
        logo = chance.randrange(6)
        name = f"logo{logo}" if chance.random() < 0.5 else f"{seed}/logo-{number}"
        row = Row(url=f"http://h/{name}", content=f"logo{logo}", texts=(("alt", f"标志{number}"),))
        placed.append((row, HOSTS[logo] if chance.random() < 0.8 else chance.choice(HOSTS)))
    rows = [replace(row, page=f"http://{host}/{chance.randrange(12)}.html") for row, host in placed]
    chance.shuffle(rows)
    others = [replace(row, page=chance.choice(rows).page) for row in chance.sample(rows, 60)]
    return rows, others + [replace(row, url=f"{row.url}?unknown") for row in others[:20]]


@pytest.mark.parametrize("seed", range(8))
def test_three_generations_have_the_decisions_of_the_naive_rule(seed: int, tmp_path: Path) -> None:
    rules = [
        DedupeRules(max_site_pages=1),
        DedupeRules(max_site_pages=2),
        DedupeRules(max_site_pages=4),
        DedupeRules(max_site_pages=1, min_site_share=0.1),
        DedupeRules(max_site_pages=2, min_site_share=0.3),
        DedupeRules(max_site_pages=2, min_site_share=0.3, merge_texts=False),
        DedupeRules(max_site_pages=1, min_site_share=1),
        DedupeRules(max_site_pages=3, min_site_share=1e-300),
    ][seed]
    corpus, known, folders, dropped = Corpus(), list[Row](), list[Path](), 0
    for generation in range(3):
        rows, others = site_rows(100 * seed + generation, known)
        found = run(
            tmp_path / f"g{generation}",
            rows,
            folders,
            part_rows=70,
            others=others,
            rules=rules,
            max_same_text=30,
        )
        expected = dedupe(
            rows,
            corpus,
            max_same_text=30,
            merge=rules.merge_texts,
            max_site_pages=rules.max_site_pages,
            min_site_share=rules.min_site_share,
            others=others,
        )
        assert_same(found, expected, rows)
        dropped += len(furniture(found))
        known += rows
        folders.append(tmp_path / f"g{generation}")
    assert dropped or rules.min_site_share == 1


def test_an_image_on_six_pages_of_a_site_is_dropped_and_one_on_five_is_kept(
    tmp_path: Path,
) -> None:
    logo = on_pages("http://www.a.com/logo.png", range(6), phash=2**63)
    hero = on_pages("http://www.a.com/hero.jpg", range(5), text="雪山")
    found = run(tmp_path / "a", [*logo, *hero], rules=RULES)
    assert furniture(found) == {"http://www.a.com/logo.png"}
    assert found.receipt.drops == {"furniture": 6, "duplicate": 4}
    assert {row["detail"] for row in found.drops} == {"on 6 of 6 pages of a.com", ""}
    assert found.kept_urls() == ["http://www.a.com/hero.jpg"]


def test_pages_count_over_urls_of_the_same_bytes_and_over_hosts_of_a_domain(
    tmp_path: Path,
) -> None:
    rows = [
        row
        for n, host in enumerate(["www.a.com.cn", "m.a.com.cn", "a.com.cn"] * 2)
        for row in on_pages(f"http://cdn.net/logo.png?{n}", [n], host, content="logo")
    ]
    assert len(furniture(run(tmp_path / "a", rows, rules=RULES))) == 6
    # The same number of pages, on sites of others.
    apart = [replace(row, page=f"http://own{n}.github.io/") for n, row in enumerate(rows)]
    assert run(tmp_path / "b", apart, rules=RULES).receipt.drops == {"duplicate": 5}


def test_addresses_with_different_ports_are_different_sites(tmp_path: Path) -> None:
    rows = [
        row
        for port in range(8101, 8109)
        for row in on_pages("http://127.0.0.1:9/x.png", range(5), f"127.0.0.1:{port}")
    ]
    assert furniture(run(tmp_path / "a", rows, rules=COUNT_ALONE)) == set()
    more = on_pages("http://127.0.0.1:9/x.png", [5], "127.0.0.1:8101")
    assert furniture(run(tmp_path / "b", [*rows, *more], rules=COUNT_ALONE)) != set()


def test_a_page_counts_once_however_often_the_image_stands_on_it(tmp_path: Path) -> None:
    rows = [
        replace(row, url=f"http://www.a.com/x.png?{n}", content="x")
        for n in range(9)
        for row in on_pages("", [n % 5], text=f"第{n}")
    ]
    assert furniture(run(tmp_path / "a", rows, rules=COUNT_ALONE)) == set()


def test_rows_that_are_no_candidates_count(tmp_path: Path) -> None:
    logo = on_pages("http://www.a.com/logo.png", range(7))
    found = run(tmp_path / "a", logo[:1], others=logo[1:], rules=RULES)
    assert furniture(found) == {"http://www.a.com/logo.png"}
    assert found.receipt.rows_in == 1


def test_a_content_image_in_the_lists_of_a_large_site_is_kept_and_its_logo_is_not(
    tmp_path: Path,
) -> None:
    pages = articles(range(200))
    hero = on_pages("http://www.a.com/3.jpg", range(100, 150))
    logo = on_pages("http://www.a.com/logo.png", range(101), phash=2**63)
    author = on_pages("http://www.a.com/author.png", range(51), phash=2**62)
    # On 50 pages, and the image of its article on 51: more than ten times the limit.
    found = run(tmp_path / "a", [*pages, *hero[:-1], *logo, *author], rules=RULES)
    assert furniture(found) == {"http://www.a.com/logo.png", "http://www.a.com/author.png"}
    assert "http://www.a.com/3.jpg" in found.kept_urls()
    found = run(tmp_path / "b", [*pages, *hero], rules=RULES)
    assert furniture(found) == {"http://www.a.com/3.jpg"}
    assert {row["detail"] for row in found.drops} == {"on more than 50 pages of a.com"}


def test_furniture_of_one_site_is_dropped_on_every_site_and_in_later_generations(
    tmp_path: Path,
) -> None:
    logo = on_pages("http://www.a.com/logo.png", range(6), content="logo")
    elsewhere = on_pages("http://b.com/logo.png", [1], "b.com", content="logo")
    first = run(tmp_path / "a", [*logo, *elsewhere], rules=RULES)
    assert first.receipt.drops == {"furniture": 7}
    later = on_pages("http://c.com/1.png", [1], "c.com", content="logo")
    # A URL that led to no sample comes again with a new text, on a site that has grown.
    again = on_pages("http://www.a.com/logo.png", [99], content="logo")
    rows = [*later, *again, *articles(range(100, 150))]
    second = run(tmp_path / "b", rows, [tmp_path / "a"], rules=RULES)
    assert second.receipt.drops == {"furniture": 2}
    merged = run(tmp_path / "c", later, [tmp_path / "a", tmp_path / "b"], rules=RULES)
    assert merged.receipt.drops == {"furniture": 1}


def test_pages_add_up_over_generations_and_what_is_published_stays(tmp_path: Path) -> None:
    def rows(pages: Sequence[int]) -> list[Row]:
        urls = [f"http://www.a.com/logo.png?{n}" for n in pages]
        return [
            replace(row, url=url, content="logo")
            for row, url in zip(on_pages("", pages), urls, strict=True)
        ]

    folders = [tmp_path / name for name in "abcd"]
    first = run(folders[0], rows([0, 1, 2]), rules=RULES)
    assert (len(first.kept), furniture(first)) == (1, set())
    # Five pages in all: one of them was read before.
    second = run(folders[1], rows([2, 3, 4]), folders[:1], rules=RULES)
    assert second.receipt.drops == {"duplicate": 3}
    third = run(folders[2], rows([5]), folders[:2], rules=RULES)
    assert third.receipt.drops == {"furniture": 1}
    assert third.drops[0]["detail"] == "on 6 of 6 pages of a.com"
    # The URL that gave the sample leads to it for ever.
    known = replace(rows([0])[0], requested=False, page="http://www.a.com/9.html")
    fourth = run(folders[3], [known], folders[:3], rules=RULES)
    assert fourth.drops[0]["duplicate_of"] == first.kept[0]["key"]


def test_one_reason_for_each_row_and_placeholders_come_first(tmp_path: Path) -> None:
    rows = on_pages("http://www.a.com/x.png", range(6), content="x")
    rows += [replace(row, url=f"{row.url}?{n}") for n, row in enumerate(rows)]
    no_caption = replace(rows[0], texts=(("keywords", "标志"),))
    rules = DedupeRules(max_site_pages=5, placeholder_urls=7)
    found = run(tmp_path / "a", [*rows, no_caption], rules=rules)
    assert found.receipt.drops == {"placeholder": 13}
    assert {row["detail"] for row in found.drops} == {""}
    found = run(tmp_path / "b", [*rows, no_caption], rules=COUNT_ALONE)
    assert found.receipt.drops == {"furniture": 13}


def test_pages_without_a_host_do_not_count(tmp_path: Path) -> None:
    pages = ["", "a.html", "file:///a.html", "http://", "//www.a.com/x", "http:///a", "http://[/"]
    rows = [
        Row(url="http://www.a.com/x.png", page=page or " ", texts=(("alt", f"标志{n}"),))
        for n, page in enumerate([*pages, *(f"{n}.html" for n in range(9))])
    ]
    assert run(tmp_path / "a", rows, rules=COUNT_ALONE).receipt.drops == {"duplicate": 15}


def test_without_a_limit_raw_rows_are_not_read_and_nothing_is_stored(tmp_path: Path) -> None:
    rows = on_pages("http://www.a.com/logo.png", range(30))
    found = run(tmp_path / "a", rows, raw=("missing.parquet",))
    assert found.receipt.drops == {"duplicate": 29}
    assert load_any(tmp_path / "a" / INDEX_FOLDER / PAGE_KEYS).size == 0
    with pytest.raises(DamageError, match=r"missing\.parquet"):
        run(tmp_path / "b", rows, raw=("missing.parquet",), rules=RULES)


def test_no_rows_and_no_raw_rows(tmp_path: Path) -> None:
    run(tmp_path / "a", [], rules=RULES)
    run(tmp_path / "b", [], [tmp_path / "a"], rules=RULES, raw=())
    logo = on_pages("http://www.a.com/logo.png", range(6))
    assert run(tmp_path / "c", [], [tmp_path / "a"], others=logo, rules=RULES).drops == []
    found = run(tmp_path / "d", logo[:1], [tmp_path / "a", tmp_path / "c"], rules=RULES)
    assert found.kept_urls() == ["http://www.a.com/logo.png"]


def test_two_runs_give_the_same_bytes_and_parts_do_not_matter(tmp_path: Path) -> None:
    rows, others = site_rows(7, [])
    rules = DedupeRules(max_site_pages=2, min_site_share=0.1)
    files = []
    for name, size in [("a", 60), ("b", 60), ("c", 500)]:
        run(tmp_path / name, rows, part_rows=size, others=others, rules=rules)
        files.append(
            {
                str(path.relative_to(tmp_path / name)): path.read_bytes()
                for path in (tmp_path / name).rglob("*.*")
            }
        )
    assert files[0] == files[1]
    assert [name for name in files[0] if files[0][name] != files[2][name]] == [
        name for name in files[0] if "parquet" in name or "without-sample-parts" in name
    ]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_sizes_beyond_the_counted_ones_change_no_decision(share: float) -> None:
    limit = PageLimit(pages=3, share=share)
    pages, of = (side.ravel() for side in np.mgrid[1:80, 1:400])
    pages, of = pages[pages <= of], of[pages <= of]
    cut = np.minimum(pages, limit.counted), np.minimum(of, limit.counted)
    assert limit.exceeded(*cut).tolist() == limit.exceeded(pages, of).tolist()
