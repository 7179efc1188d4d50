"""Placeholders, near captions, the share of a domain, and collisions: whole runs of the dedupe
step."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.dedupe.rows import Row, run
from tests.dedupe.test_selection import one_ball, selected, spread
from tests.dedupe.test_step import flipped
from wenlan_data.dedupe import selection as selection_module
from wenlan_data.dedupe import similarity as similarity_module
from wenlan_data.dedupe.domain_share import DomainShare
from wenlan_data.dedupe.minhash import band_rows, near_captions, shingles, similarity
from wenlan_data.dedupe.selection import Constraints
from wenlan_data.dedupe.similarity import SortedHashes, Thresholds, edges_among
from wenlan_data.npy import Codes
from wenlan_data.recipe import DedupeRules
from wenlan_data.web.domains import site_of


def far_apart(count: int, url: str = "http://a.example/{}.jpg", seed: int = 1) -> list[Row]:
    chance = random.Random(seed)
    return [
        Row(
            url=url.format(n),
            phash=chance.getrandbits(64),
            pdq=chance.getrandbits(256),
            texts=(("caption", f"第{n}张"),),
        )
        for n in range(count)
    ]


def test_one_image_at_a_hundred_urls_is_one_sample_with_a_hundred_rows_of_provenance(
    tmp_path: Path,
) -> None:
    rows = [
        Row(url=f"http://h{n}.example/x.jpg", content="one", texts=(("alt", f"第{n}"),))
        for n in range(100)
    ]
    found = run(tmp_path / "a", rows)
    assert len(found.kept) == 1
    assert found.receipt.drops == {"duplicate": 99}
    assert {row["url"] for row in found.kept + found.drops} == {row.url for row in rows}
    assert {row["duplicate_of"] for row in found.drops} == {found.kept[0]["key"]}


def test_an_image_that_hundreds_of_urls_serve_is_a_placeholder_and_goes_whole_now_and_later(
    tmp_path: Path,
) -> None:
    forbidden = [
        Row(url=f"http://p.example/{n}", content="hotlink forbidden", phash=5) for n in range(500)
    ]
    own = Row(url="http://p.example/own", phash=5, pdq=2**40 - 1)
    found = run(tmp_path / "a", [*forbidden, own])
    assert found.kept_urls() == [own.url]
    assert found.receipt.drops == {"placeholder": 500}
    later = run(
        tmp_path / "b",
        [Row(url="http://q.example/0", content="hotlink forbidden")],
        [tmp_path / "a"],
    )
    assert later.reasons() == {"http://q.example/0": "placeholder"}
    off = run(tmp_path / "c", forbidden, rules=DedupeRules(placeholder_urls=0))
    assert off.receipt.drops == {"duplicate": 499}
    few = run(tmp_path / "d", forbidden[:199])
    assert few.receipt.drops == {"duplicate": 198}


def test_twenty_crafted_collisions_delete_nobody(tmp_path: Path) -> None:
    chance = random.Random(20)
    victims = far_apart(20)
    # Larger, so first in keep order; the same pHash to the bit, and another image.
    attacks = [
        replace(
            one,
            url=f"http://evil.example/{n}",
            width=4000,
            pdq=chance.getrandbits(256),
            texts=(("caption", "攻"),),
        )
        for n, one in enumerate(victims)
    ]
    found = run(tmp_path / "a", [*attacks, *victims])
    assert {one.url for one in victims} <= set(found.kept_urls())
    published = run(tmp_path / "b", attacks)
    later = run(tmp_path / "c", victims, [tmp_path / "b"])
    assert published.receipt.drops == later.receipt.drops == {}


def test_near_captions_leave_the_first_in_keep_order_and_texts_stay_apart(tmp_path: Path) -> None:
    captions = [
        "一只橘色的猫趴在阳光照着的窗台上睡觉",
        "一只橘色的猫趴在阳光照着的窗台上睡觉。",
        "山里下了一场很大的雪",
    ]
    rows = [
        replace(row, texts=(("caption", text),), width=width)
        for row, text, width in zip(far_apart(3), captions, [300, 900, 300], strict=True)
    ]
    rules = DedupeRules(text_similarity=0.8)
    found = run(tmp_path / "a", rows, rules=rules)
    assert found.kept_urls() == [rows[1].url, rows[2].url]
    drop = found.drops[0]
    assert (drop["reason"], drop["duplicate_of"]) == ("near_text", next(
        row["key"] for row in found.kept if row["url"] == rows[1].url
    ))  # fmt: skip
    assert all(len(row["texts"]) == 1 for row in found.kept)  # type: ignore[arg-type]
    later = [replace(row, url=f"{row.url}?2", phash=row.phash ^ (2**64 - 1)) for row in rows[:1]]
    again = run(tmp_path / "b", later, [tmp_path / "a"], rules=rules)
    assert (again.drops[0]["reason"], again.drops[0]["duplicate_of"]) == (
        "near_text",
        drop["duplicate_of"],
    )
    assert len(run(tmp_path / "c", rows).kept) == 3


def test_near_captions_are_those_of_all_pairs() -> None:
    chance = random.Random(4)
    words = [[chance.choice("春夏秋冬山水花鸟人家") for _ in range(20)] for _ in range(40)]
    texts = []
    for number in range(400):
        word = words[number % 40].copy()
        for _ in range(chance.randint(0, 4)):
            word[chance.randrange(20)] = chance.choice("春夏秋冬山水花鸟人家风雨")
        texts.append("".join(word))
    sets = [shingles(text) for text in texts]
    expected = {(i, j) for j in range(400) for i in range(j) if similarity(sets[i], sets[j]) >= 0.7}
    found = {(min(i, j), max(i, j)) for i, j in near_captions(texts, 0.7).tolist()}
    # MinHash may miss one pair of a hundred at the bound itself; it never names one below it.
    assert found <= expected
    assert len(found) >= 0.98 * len(expected) > 100


def test_texts_are_compared_by_letters_alone() -> None:
    assert shingles("你好，世界！") == shingles("你好 世界") == {"你好", "好世", "世界"}
    assert shingles("!") == frozenset()
    assert near_captions(["！", "？", "猫", "猫。"], 0.9).tolist() == [[2, 3]] * (
        128 // band_rows(0.9)
    )


def test_a_site_has_at_most_its_share_of_what_is_left(tmp_path: Path) -> None:
    flood = far_apart(1000, "http://{}.flood.example.com.cn/x.jpg", seed=2)
    others = [
        replace(row, url=f"http://site{n}.example/x.jpg")
        for n, row in enumerate(far_apart(900, seed=3))
    ]
    rules = DedupeRules(max_domain_share=0.05)
    found = run(tmp_path / "a", [*flood, *others], rules=rules)
    sites = Counter(site_of(str(row["url"])) for row in found.kept)
    assert sites["example.com.cn"] == int(0.05 * len(found.kept)) == 47
    assert len(sites) == 901
    assert found.receipt.drops == {"domain_share": 953}
    assert all(row["duplicate_of"] == "" for row in found.drops)
    more = far_apart(100, "http://more.example.com.cn/{}.jpg", seed=5)
    again = run(tmp_path / "b", more, [tmp_path / "a"], rules=rules)
    # A corpus of 947 samples may hold 47 from there, and does.
    assert (len(again.kept), again.receipt.drops) == (0, {"domain_share": 100})


def test_without_a_radius_only_equal_bytes_are_one_image_with_any_constraint(
    tmp_path: Path,
) -> None:
    blank = [
        Row(url=f"http://s{n}.example/", phash=5, texts=(("caption", f"第{n}张"),))
        for n in range(40)
    ]
    again = [replace(row, url=f"{row.url}2", content=row.url) for row in blank[:3]]
    for number, rules in enumerate([{}, {"max_domain_share": 0.1}, {"text_similarity": 0.9}]):
        found = run(
            tmp_path / f"a{number}",
            [*blank, *again],
            rules=DedupeRules(radius_bits="off", **rules),  # type: ignore[arg-type]
        )
        assert (len(found.kept), found.receipt.drops) == (40, {"duplicate": 3})
    later = [
        Row(url="http://new.example/", phash=5),
        replace(blank[7], url="http://t.example/", content=blank[7].url),
    ]
    found = run(tmp_path / "b", later, [tmp_path / "a0"], rules=DedupeRules(radius_bits="off"))
    assert found.reasons() == {"http://t.example/": "duplicate"}
    assert (found.drops[0]["phash_distance"], found.drops[0]["pdq_distance"]) == (0, 0)


def test_what_a_share_leaves_out_takes_no_neighbour_with_it(tmp_path: Path) -> None:
    flood = [replace(row, width=2000) for row in far_apart(50, "http://flood.example/{}.jpg")]
    copies = [replace(row, url=f"http://s{n}.example/", content=row.url, width=100, phash=flipped(row.phash, [3]),
                      pdq=flipped(row.pdq, [9])) for n, row in enumerate(flood)]  # fmt: skip
    copies = [replace(row, content="") for row in copies]
    found = run(tmp_path / "a", [*flood, *copies], rules=DedupeRules(max_domain_share=0.1))
    assert len(found.kept) == 50
    assert Counter(drop["reason"] for drop in found.drops) == {
        "domain_share": 45,
        "near_duplicate": 5,
    }


def test_too_many_neighbours_to_be_held_change_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(8)
    phash, pdq = one_ball(900, random)
    phash[600:], pdq[600:] = spread(300, random)
    # Copies of some: images of equal hashes, with captions and domains of their own.
    copies = random.integers(0, 900, 300)
    phash, pdq = np.concatenate([phash, phash[copies]]), np.concatenate([pdq, pdq[copies]])
    order, thresholds = random.permutation(1200), Thresholds(4, 31)
    domains = DomainShare(
        domain=random.integers(-1, 6, 1200),
        hashes=np.arange(6, dtype=np.uint64),
        published=np.zeros(6, np.int64),
        published_total=0,
        share=0.1,
    )
    near_captions = random.integers(0, 1200, (150, 2))
    edges = edges_among(sorted_hashes(phash, pdq), thresholds)
    assert edges is not None
    assert len(edges) > 5000
    every = [
        Constraints(near_captions=near_captions, domains=domains),
        Constraints(near_captions=near_captions),
        Constraints(),
    ]
    expected = [selected(phash, pdq, order, thresholds, one) for one in every]
    monkeypatch.setattr(similarity_module, "MAX_EDGES", 300)
    monkeypatch.setattr(selection_module, "FIRST_PORTION", 16)
    assert edges_among(sorted_hashes(phash, pdq), thresholds) is None
    for constraints, whole, reasons in zip(every, expected, (4, 3, 2), strict=True):
        parts = selected(phash, pdq, order, thresholds, constraints)
        assert parts.reason.tolist() == whole.reason.tolist()
        assert parts.winner.tolist() == whole.winner.tolist()
        assert parts.key.tolist() == whole.key.tolist()
        # Kept, near duplicates, and one reason more for each constraint.
        assert len(set(parts.reason.tolist())) == reasons


def sorted_hashes(phash: Codes, pdq: Codes) -> SortedHashes:
    order = np.argsort(phash, kind="stable")
    return SortedHashes(phash=phash[order], pdq=pdq[order], colours=np.ones(len(phash), np.uint64))


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("http://a.b.example.com.cn/x", "example.com.cn"),
        ("https://example.com", "example.com"),
        ("http://127.0.0.1:80/x", "127.0.0.1"),
        ("photos/a.jpg", ""),
    ],
)
def test_the_registrable_domain_of_a_url(url: str, domain: str) -> None:
    assert site_of(url) == domain
