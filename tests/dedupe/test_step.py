"""The dedupe step as a whole, against the rule written naively and case by case."""

import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq
import pytest

from tests.dedupe.naive import Corpus, Generation, dedupe
from tests.dedupe.rows import Row, Run, part_of, run, typed_texts, write_tables
from wenlan_data.errors import DamageError
from wenlan_data.index.published import PDQ, URLS_WITHOUT_SAMPLE_PARTS, PublishedIndex
from wenlan_data.layout import INDEX_FOLDER, PART_DROPS
from wenlan_data.recipe import DedupeRules, ShardRules
from wenlan_data.records import Text
from wenlan_data.shard.format import sample_key
from wenlan_data.tables import KEPT, WORK_DROPS


def flipped(code: int, bits: Sequence[int]) -> int:
    for bit in bits:
        code ^= 1 << bit
    return code


def random_rows(seed: int, count: int, known: Sequence[Row] = ()) -> list[Row]:
    """Rows with all that can meet: clusters, equal bytes, equal URLs, failures, frequent texts,
    known URLs."""
    chance = random.Random(seed)
    centres = [(chance.getrandbits(64), chance.getrandbits(256)) for _ in range(count // 12 + 1)]
    contents: dict[str, Row] = {row.content: row for row in known if not row.reason}
    by_url: dict[str, Row] = {row.url: row for row in known}
    rows = []
    for number in range(count):
        texts = tuple(
            (chance.choice(["caption", "alt", "title", "keywords"]), f"文{chance.randrange(count)}")
            if chance.random() < 0.8
            else ("alt", "常见")
            for _ in range(chance.randint(1, 3))
        )
        confidence = tuple(chance.choice([1.0, 0.8, 0.5, 0.49, 0.2]) for _ in texts)
        signals = ("noai",) if chance.random() < 0.05 else ()
        if by_url and chance.random() < 0.15:
            old = chance.choice(sorted(by_url.values(), key=lambda row: row.url))
            rows.append(with_texts(old, texts, confidence, signals))
            continue
        url = f"http://h/{seed}/{number}.jpg"
        if chance.random() < 0.1:
            reason = chance.choice(["timeout", "too_small"])
            row = Row(url=url, texts=texts, confidence=confidence, reason=reason)
        elif contents and chance.random() < 0.15:
            old = contents[chance.choice(sorted(contents))]
            row = with_texts(replace(old, url=url, fetched_opt_out=()), texts, confidence, ())
        else:
            phash, pdq = chance.choice(centres)
            row = Row(
                url=url,
                texts=texts,
                confidence=confidence,
                content=f"{seed}-{number}",
                phash=flipped(phash, chance.sample(range(64), chance.randint(0, 4))),
                pdq=flipped(pdq, chance.sample(range(256), chance.choice([0, 10, 20]))),
                colours=bytes(128 + chance.choice([0, 0, 0, 6, -6, 8]) for _ in range(8)),
                width=chance.choice([320, 640, 800]),
                opt_out=signals,
                fetched_opt_out=("noimageai",) if chance.random() < 0.05 else (),
            )
            contents[row.content] = row
        by_url[url] = row
        rows.append(row)
    return rows


def with_texts(
    row: Row,
    texts: tuple[tuple[str, str], ...],
    confidence: tuple[float, ...],
    signals: tuple[str, ...],
) -> Row:
    return replace(row, texts=texts, confidence=confidence, opt_out=signals)


Typed = tuple[tuple[object, ...], ...]


def texts_of(row: dict[str, object]) -> Typed:
    """Type, text, relation and confidence of each text."""
    return tuple(tuple(one.values()) for one in cast("list[dict[str, str]]", row["texts"]))


def as_tuples(texts: Sequence[Text]) -> Typed:
    return tuple((one.type, one.text, one.relation, one.confidence) for one in texts)


def assert_same(found: Run, expected: Generation, rows: Sequence[Row]) -> None:
    kept = {
        (row["key"], row["caption"], texts_of(row), tuple(cast("list[str]", row["opt_out"])))
        for row in found.kept
    }
    assert kept == {
        (key, caption, as_tuples(texts), tuple(signals))
        for key, caption, texts, signals in expected.kept.values()
    }
    dropped = [n for n, one in enumerate(expected.outcomes) if one.reason]
    assert len(dropped) == len(found.drops)
    for n, drop in zip(dropped, found.drops, strict=True):
        one = expected.outcomes[n]
        assert drop["url"] == rows[n].url
        assert (drop["reason"], drop["duplicate_of"]) == (one.reason, one.duplicate_of)
        assert (drop["phash_distance"], drop["pdq_distance"]) == one.distances
        assert texts_of(drop) == as_tuples(typed_texts(rows[n]))


@pytest.mark.parametrize("seed", range(9))
def test_three_generations_have_the_decisions_of_the_naive_rule(seed: int, tmp_path: Path) -> None:
    options = [
        DedupeRules(),
        DedupeRules(radius_bits=8),
        DedupeRules(radius_bits=0),
        DedupeRules(verify="none"),
        DedupeRules(merge_texts=False),
        DedupeRules(radius_bits=2, merge_texts=False),
        DedupeRules(radius_bits="off"),
        DedupeRules(radius_bits="off", verify="none"),
        DedupeRules(colour_levels=255),
    ][seed]
    corpus = Corpus()
    known: list[Row] = []
    folders: list[Path] = []
    for generation in range(3):
        rows = random_rows(seed * 10 + generation, 250, known)
        found = run(
            tmp_path / f"g{generation}",
            rows,
            folders,
            part_rows=60,
            rules=options,
            max_same_text=30,
        )
        expected = dedupe(
            rows,
            corpus,
            radius=-1 if options.radius_bits == "off" else int(options.radius_bits),
            pdq_bits=31 if options.verify == "pdq" else 256,
            levels=options.colour_levels if options.verify == "pdq" else 255,
            max_same_text=30,
            merge=options.merge_texts,
        )
        assert_same(found, expected, rows)
        known += rows
        folders.append(tmp_path / f"g{generation}")


def test_the_random_rows_meet_every_reason(tmp_path: Path) -> None:
    rows = random_rows(1, 250)
    found = run(tmp_path / "a", rows, max_same_text=30)
    again = run(tmp_path / "b", random_rows(2, 250, rows), [tmp_path / "a"], max_same_text=30)
    reasons = {str(drop["reason"]) for drop in found.drops + again.drops}
    assert reasons == {
        "timeout",
        "too_small",
        "duplicate",
        "near_duplicate",
        "text_frequency",
        "no_caption",
    }
    assert found.receipt.drops["near_duplicate"] > 20


def test_decisions_do_not_depend_on_the_order_of_images(tmp_path: Path) -> None:
    rows = [row for row in random_rows(3, 200) if row.texts]
    # One text a URL: which of two texts of one URL comes first is source order, by rule.
    rows = list({row.url: row for row in rows}.values())
    mixed = rows[:]
    random.Random(5).shuffle(mixed)
    one, other = run(tmp_path / "a", rows), run(tmp_path / "b", mixed)
    assert [row["key"] for row in one.kept] == [row["key"] for row in other.kept]
    assert [row["caption_type"] for row in one.kept] == [row["caption_type"] for row in other.kept]
    fields = ("url", "reason", "duplicate_of", "phash_distance", "pdq_distance")
    assert {tuple(drop[name] for name in fields) for drop in one.drops} == {
        tuple(drop[name] for name in fields) for drop in other.drops
    }


def test_two_runs_give_the_same_bytes_and_parts_do_not_matter(tmp_path: Path) -> None:
    rows = random_rows(4, 200)
    names = ["a", "b", "c"]
    runs = [
        run(tmp_path / name, rows, part_rows=size)
        for name, size in zip(names, [60, 60, 500], strict=True)
    ]
    files = [
        {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
        }
        for name in names
    ]
    assert files[0] == files[1]
    # Ordinals and fetch parts name the part; all else is equal.
    for path, content in files[0].items():
        if path.startswith(INDEX_FOLDER) and not path.endswith(URLS_WITHOUT_SAMPLE_PARTS):
            assert files[2][path] == content
    assert [row["texts"] for row in runs[0].kept] == [row["texts"] for row in runs[2].kept]


def test_tables_have_the_schemas_of_the_build_and_the_order_that_the_next_steps_need(
    tmp_path: Path,
) -> None:
    found = run(tmp_path / "a", random_rows(6, 100), first_shard=5, shard=ShardRules(max_samples=7))
    shards = sorted((tmp_path / "a").glob("shard-*.parquet"))
    assert shards[0].name == "shard-000005.parquet"
    assert pq.read_schema(shards[0]) == KEPT
    assert pq.read_schema(tmp_path / "a" / PART_DROPS) == WORK_DROPS
    keys = [str(row["key"]) for row in found.kept]
    assert keys == sorted(keys)
    ordinals = [row["ordinal"] for row in found.drops]
    assert ordinals == sorted(ordinals)  # type: ignore[type-var]
    assert [asdict(one) for one in found.receipt.details.shards] == [
        {
            "number": 5 + n,
            "samples": pq.read_metadata(path).num_rows,
            "bytes": 16144 * pq.read_metadata(path).num_rows,
        }
        for n, path in enumerate(shards)
    ]


def test_the_receipt_accounts_for_every_candidate(tmp_path: Path) -> None:
    found = run(tmp_path / "a", random_rows(7, 100))
    receipt = found.receipt
    assert receipt.rows_in == 100 == receipt.rows_out + sum(receipt.drops.values())
    assert (receipt.rows_out, sum(receipt.drops.values())) == (len(found.kept), len(found.drops))
    by_step = receipt.details.drops
    assert isinstance(by_step, dict)
    assert sum(by_step["fetch"].values()) == sum(drop["step"] == "fetch" for drop in found.drops)


def test_every_candidate_of_a_url_that_failed_gets_its_row(tmp_path: Path) -> None:
    texts = [(("caption", "一"),), (("caption", "二"),)]
    rows = [Row(url="u", texts=one, reason="timeout") for one in texts]
    found = run(tmp_path / "a", rows)
    assert [
        (
            drop["step"],
            drop["reason"],
            drop["detail"],
            drop["retryable"],
            drop["key"],
            drop["duplicate_of"],
        )
        for drop in found.drops
    ] == [("fetch", "timeout", "seen", True, "", "")] * 2
    assert found.kept == []
    assert [asdict(one) for one in found.receipt.details.shards] == []


def test_of_two_texts_of_one_url_the_first_is_the_sample_and_the_other_is_merged(
    tmp_path: Path,
) -> None:
    rows = [
        Row(url="u", texts=(("alt", "一"),)),
        Row(url="u", texts=(("caption", "二"), ("alt", "一"))),
    ]
    found = run(tmp_path / "a", rows)
    assert texts_of(found.kept[0]) == as_tuples(
        [Text("alt", "一", "attribute"), Text("caption", "二", "attribute")]
    )
    assert (found.kept[0]["caption"], found.kept[0]["caption_type"]) == ("二", "caption")
    assert (found.drops[0]["reason"], found.drops[0]["duplicate_of"]) == (
        "duplicate",
        found.kept[0]["key"],
    )
    assert found.kept[0]["key"] == sample_key("u", rows[0].sha256)


def test_of_equal_texts_of_one_image_the_surest_stays_with_its_relation(tmp_path: Path) -> None:
    rows = [
        Row(url="u", texts=(("caption", "疑"), ("alt", "一")), confidence=(0.3, 0.6)),
        Row(url="u", texts=(("alt", "一"), ("caption", "疑")), confidence=(0.8, 0.9)),
    ]
    found = run(tmp_path / "a", rows)
    assert texts_of(found.kept[0]) == as_tuples(
        [Text("caption", "疑", "attribute", 0.9), Text("alt", "一", "attribute", 0.8)]
    )
    # Doubtful for the first candidate alone, sure once both are one sample.
    assert (found.kept[0]["caption"], found.kept[0]["caption_type"]) == ("疑", "caption")
    apart = run(tmp_path / "b", rows, rules=DedupeRules(merge_texts=False))
    assert apart.kept[0]["caption"] == "一"
    assert texts_of(apart.drops[0]) == as_tuples(typed_texts(rows[1]))


def test_a_doubtful_text_stays_but_is_no_caption(tmp_path: Path) -> None:
    rows = [
        Row(url="u", texts=(("caption", "疑"), ("title", "题")), confidence=(0.49,)),
        Row(url="v", texts=(("caption", "疑二"),), confidence=(0.49,)),
        Row(url="w", texts=(("caption", "够"),), confidence=(0.5,)),
    ]
    found = run(tmp_path / "a", rows, rules=DedupeRules(radius_bits="off"))
    captions = {row["url"]: (row["caption"], len(texts_of(row))) for row in found.kept}
    assert captions == {"u": ("题", 2), "w": ("够", 1)}
    assert found.reasons() == {"v": "no_caption"}


def test_the_larger_image_is_kept_and_nothing_is_dropped_for_being_near_a_dropped_one(
    tmp_path: Path,
) -> None:
    # a - b - c is a chain: b is near both, but a and c are not near each other.
    rows = [
        Row(url="a", width=900, phash=0),
        Row(url="b", width=800, phash=0b1111),
        Row(url="c", width=700, phash=0b11111111),
    ]
    found = run(tmp_path / "a", rows)
    assert found.kept_urls() == ["a", "c"]
    drop = found.drops[0]
    assert (drop["url"], drop["reason"], drop["phash_distance"], drop["pdq_distance"]) == (
        "b",
        "near_duplicate",
        4,
        0,
    )


def test_images_that_collide_in_phash_are_distinguished_by_pdq(tmp_path: Path) -> None:
    rows = [Row(url="a", pdq=0), Row(url="b", pdq=2**31 - 1), Row(url="c", pdq=2**32 - 1)]
    # 31 bits apart is the same image, 32 is another; b and c differ in one bit.
    found = run(tmp_path / "a", rows[:2])
    assert [drop["pdq_distance"] for drop in found.drops] == [31]
    assert len(run(tmp_path / "b", [rows[0], rows[2]]).kept) == 2
    far = [Row(url=f"far{n}", pdq=(2**32 - 1) << (32 * n)) for n in range(8)]
    assert len(run(tmp_path / "d", far).kept) == 8
    assert len(run(tmp_path / "c", far, rules=DedupeRules(verify="none")).kept) == 1


def test_images_that_differ_in_colour_alone_are_both_kept_now_and_later(tmp_path: Path) -> None:
    red, blue = bytes([90, 200] * 4), bytes([200, 90] * 4)
    nearly = bytes([102, 188] * 4)
    rows = [
        Row(url="red", colours=red, width=900),
        Row(url="blue", colours=blue),
        Row(url="red2", colours=nearly),
    ]
    found = run(tmp_path / "a", rows)
    assert found.kept_urls() == ["blue", "red"]
    assert found.reasons() == {"red2": "near_duplicate"}
    one_quarter = Row(url="patch", colours=bytes([90, 213, *red[2:]]))
    later = run(
        tmp_path / "b", [one_quarter, Row(url="blue2", colours=blue, phash=3)], [tmp_path / "a"]
    )
    assert later.kept_urls() == ["patch"]
    for number, rules in enumerate([DedupeRules(colour_levels=255), DedupeRules(verify="none")]):
        assert run(tmp_path / f"c{number}", rows, rules=rules).kept_urls() == ["red"]


def test_a_later_generation_leaves_out_what_is_published_and_changes_nothing_there(
    tmp_path: Path,
) -> None:
    first = run(
        tmp_path / "a",
        [Row(url="u", width=100, height=100), Row(url="x", phash=2**63, reason="timeout")],
    )
    key = first.kept[0]["key"]
    rows = [
        Row(url="same-bytes", content="u", width=100, height=100),
        Row(url="larger", phash=1, width=4000),
        Row(url="u", texts=(("caption", "新"),), requested=False),
        Row(url="x", phash=2**64 - 1, texts=(("caption", "新"),)),
    ]
    found = run(tmp_path / "b", rows, [tmp_path / "a"])
    assert found.kept_urls() == ["x"]
    rows_seen = [
        (drop["url"], drop["reason"], drop["duplicate_of"], drop["phash_distance"])
        for drop in found.drops
    ]
    assert rows_seen == [
        ("same-bytes", "duplicate", key, 0),
        ("larger", "near_duplicate", key, 1),
        ("u", "duplicate", key, -1),
    ]
    published = PublishedIndex(part_of([], [], [tmp_path / "a", tmp_path / "b"]).published)
    assert published.key_of_urls(["u", "x", "larger", "never"]) == [
        key,
        found.kept[0]["key"],
        key,
        "",
    ]


def test_a_text_at_too_many_images_is_left_out_over_all_generations(tmp_path: Path) -> None:
    def rows(start: int, count: int) -> list[Row]:
        ids = range(start, start + count)
        return [
            Row(url=f"u{n}", phash=n * 0x9E3779B97F4A7C15 % 2**64, texts=(("caption", "点击查看"),))
            for n in ids
        ]

    first = run(tmp_path / "a", rows(1, 3), max_same_text=3)
    assert len(first.kept) == 3
    own = Row(url="own", phash=2**63, texts=(("caption", "点击查看"), ("alt", "一只狗")))
    second = run(tmp_path / "b", [*rows(4, 1), own], [tmp_path / "a"], max_same_text=3)
    assert second.reasons() == {"u4": "text_frequency"}
    assert texts_of(second.drops[0]) == as_tuples([Text("caption", "点击查看", "attribute")])
    assert texts_of(second.kept[0]) == as_tuples([Text("alt", "一只狗", "attribute")])
    assert second.receipt.details.frequent_texts == 2


def test_the_same_bytes_with_the_same_text_count_once(tmp_path: Path) -> None:
    rows = [Row(url=f"u{n}", content="one", texts=(("caption", "一只猫"),)) for n in range(100)]
    found = run(tmp_path / "a", rows, max_same_text=1)
    assert len(found.kept) == 1
    assert found.receipt.drops == {"duplicate": 99}


def test_signals_of_every_copy_reach_the_sample(tmp_path: Path) -> None:
    rows = [
        Row(url="a", content="same", opt_out=("meta: noai",)),
        Row(url="b", content="same", fetched_opt_out=("X-Robots-Tag: noai",)),
        Row(url="c", phash=2**60 - 1, fetched_opt_out=("tdm-reservation",)),
    ]
    found = run(tmp_path / "a", rows)
    signals = sorted(row["opt_out"] for row in found.kept)  # type: ignore[type-var]
    assert signals == [["X-Robots-Tag: noai", "meta: noai"], ["tdm-reservation"]]


def test_shards_are_cut_by_the_estimated_bytes_of_what_will_be_stored(tmp_path: Path) -> None:
    codes = [n * 0x9E3779B97F4A7C15 % 2**64 for n in range(1, 7)]
    rows = [
        Row(url=f"u{n}", phash=code, bytes=9, encoded_bytes=250_000) for n, code in enumerate(codes)
    ]
    size = 250_000 + 6144
    rules = ShardRules(max_bytes=2 * size)
    found = run(tmp_path / "a", rows, shard=rules)
    assert [asdict(one) for one in found.receipt.details.shards] == [
        {"number": n, "samples": 2, "bytes": 2 * size} for n in range(3)
    ]


def test_a_url_without_a_fetch_result_that_is_not_published_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DamageError, match="'u' and 0 more URLs have no fetch result"):
        run(tmp_path / "a", [Row(url="u", requested=False)])


def test_a_cut_table_and_a_missing_index_are_damage(tmp_path: Path) -> None:
    run(tmp_path / "a", [Row(url="u")])
    (tmp_path / "a" / INDEX_FOLDER / PDQ).unlink()
    with pytest.raises(DamageError, match=r"pdq\.npy"):
        run(tmp_path / "b", [Row(url="v")], [tmp_path / "a"])
    with pytest.raises(DamageError, match=r"not a table"):
        run_on_cut_table(tmp_path)


def run_on_cut_table(tmp_path: Path) -> None:
    candidates, fetch_results = write_tables(tmp_path / "in", [Row(url="u")])
    Path(candidates[0]).write_bytes(Path(candidates[0]).read_bytes()[:-20])
    (tmp_path / "c").mkdir()
    part_of(candidates, fetch_results)(tmp_path / "c")


def test_no_candidates_give_empty_tables(tmp_path: Path) -> None:
    found = run(tmp_path / "a", [])
    assert (found.receipt.rows_in, found.kept, found.drops) == (0, [], [])
    assert run(tmp_path / "b", [Row(url="u")], [tmp_path / "a"]).kept_urls() == ["u"]


def test_thousands_of_blank_images_leave_one(tmp_path: Path) -> None:
    found = run(tmp_path / "a", [Row(url=f"u{n}", texts=(("alt", f"{n}"),)) for n in range(3000)])
    assert found.receipt.drops == {"near_duplicate": 2999}
    assert len(cast("list[object]", found.kept[0]["texts"])) == 3000


def test_twenty_thousand_rows_have_the_decisions_that_were_planted(tmp_path: Path) -> None:
    chance = random.Random(9)
    base = [
        Row(url=f"u{n}", phash=chance.getrandbits(64), pdq=chance.getrandbits(256))
        for n in range(18_000)
    ]
    near = [
        Row(
            url=f"v{n}",
            phash=flipped(row.phash, range(n % 5)),
            pdq=flipped(row.pdq, range(n % 32)),
            width=320,
        )
        for n, row in enumerate(base[:1000])
    ]
    equal = [
        Row(url=f"w{n}", content=row.url, phash=row.phash, pdq=row.pdq)
        for n, row in enumerate(base[1000:2000])
    ]
    texts = [(("caption", f"第{n}张"),) for n in range(20_000)]
    rows = [
        replace(row, texts=text) for row, text in zip([*base, *near, *equal], texts, strict=True)
    ]
    found = run(tmp_path / "a", rows)
    assert found.receipt.drops == {"duplicate": 1000, "near_duplicate": 1000}
    assert {str(drop["url"]) for drop in found.drops if drop["reason"] == "near_duplicate"} == {
        row.url for row in near
    }


def test_a_sample_has_as_many_texts_of_its_duplicates_as_readers_accept(tmp_path: Path) -> None:
    rows = [
        Row(url=f"u{n}", content="one", texts=(("caption", f"文{n}"), ("alt", "一只猫")))
        for n in range(5000)
    ]
    rules = DedupeRules(placeholder_urls=0)
    result = run(tmp_path / "a", rows, max_same_text=5000, rules=rules)
    [kept] = result.kept
    texts = [str(text[1]) for text in texts_of(kept)]
    others = [f"文{n}" for n in range(5000) if f"文{n}" != texts[0]]
    assert texts[1:] == ["一只猫", *others[:4094]]
    assert result.receipt.details.cut_texts == 5001 - 4096
    long = [
        Row(url=f"u{n}", content="one", texts=(("caption", f"{n}" * 300_000),)) for n in range(9)
    ]
    result = run(tmp_path / "b", long)
    texts = [str(text[1]) for text in texts_of(result.kept[0])]
    assert texts[1:] == [row.texts[0][1] for row in long if row.texts[0][1] != texts[0]][:2]
    assert result.receipt.details.cut_texts == 6
