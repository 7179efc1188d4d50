"""A corpus grows in generations; published samples stay; each outcome follows from the sources."""

from pathlib import Path

import pytest

from tests.builds.corpus_runs import (
    build,
    captions,
    command,
    content,
    drops,
    manifest,
    photographs,
    sources_file,
    table,
)
from wenlan_data.testing import CannedResponse, Site, make_image


def _sources(folder: Path, site: Site, *names: str) -> Path:
    kinds = [{"kind": "table", "path": name} for name in names]
    return sources_file(folder / "sources.yaml", site, kinds)


def test_a_corpus_grows_by_what_is_new_and_keeps_what_it_published(
    tmp_path: Path, site: Site
) -> None:
    first = photographs(site, range(20))
    table(tmp_path / "a.parquet", first)
    again = [(site.url("/copy.jpg"), "湖边的一只小狗"), (first[3][0], "另一段说明文字")]
    site.responses["/copy.jpg"] = CannedResponse(make_image(5, quality=60))
    table(tmp_path / "b.parquet", [*first[:4], *again, *photographs(site, range(20, 30))])
    out = tmp_path / "corpus"

    one = build(
        "--sources",
        _sources(tmp_path, site, "a.parquet"),
        "--out",
        out,
        "--executor",
        "local",
        "--workers",
        1,
    )
    assert one["samples"] == 20
    published = {name: data for name, data in content(out).items() if name.startswith("wenlan")}

    two = build(
        "--sources",
        _sources(tmp_path, site, "a.parquet", "b.parquet"),
        "--out",
        out,
        "--executor",
        "local",
    )
    assert (two["candidates"], two["known"], two["new_samples"]) == (12, 4, 10)
    assert {name: content(out)[name] for name in published} == published
    by_url = {row["url"]: row for row in drops(out)}
    near, text = by_url[site.url("/copy.jpg")], by_url[first[3][0]]
    assert (near["reason"], text["reason"]) == ("near_duplicate", "duplicate")
    assert len(str(near["duplicate_of"])) == len(str(text["duplicate_of"])) == 32
    assert site.log.count("/3.jpg") == 1

    before = content(out)
    three = build("--sources", tmp_path / "sources.yaml", "--out", out, "--executor", "local")
    assert three["generations"] == []
    assert content(out) == before


def test_generations_of_bounded_rows_give_the_samples_of_one(tmp_path: Path, site: Site) -> None:
    table(tmp_path / "a.parquet", photographs(site, range(30)), row_group_size=7)
    sources = _sources(tmp_path, site, "a.parquet")
    build("--sources", sources, "--out", tmp_path / "one", "--executor", "local")
    many = build(
        "--sources",
        sources,
        "--out",
        tmp_path / "many",
        "--executor",
        "local",
        "--generation-rows",
        10,
    )
    assert len(many["generations"]) > 2  # type: ignore[arg-type]
    assert captions(tmp_path / "many") == captions(tmp_path / "one")


def test_from_rebuilds_without_a_request(tmp_path: Path) -> None:
    with Site() as site:
        rows = photographs(site, range(12))
        site.responses["/big.jpg"] = CannedResponse(make_image(99, width=900, height=600))
        site.responses["/small.jpg"] = CannedResponse(make_image(98, width=150, height=120))
        rows += [
            (site.url("/big.jpg"), "雪山下的村庄"),
            (site.url("/small.jpg"), "桌上的一杯咖啡"),
            (site.url("/none.jpg"), "没有的图片说明"),
        ]
        table(tmp_path / "a.parquet", rows)
        build(
            "--sources",
            _sources(tmp_path, site, "a.parquet"),
            "--out",
            tmp_path / "old",
            "--executor",
            "local",
        )
    same = build("--from", tmp_path / "old", "--out", tmp_path / "same", "--executor", "local")
    assert same["samples"] == 14
    assert content(tmp_path / "same") == content(tmp_path / "old")

    changed = [
        "--recipe",
        "wenlan",
        "--set",
        "image.min_side_px=200",
        "--set",
        "image.max_side_px=512",
    ]
    build("--from", tmp_path / "old", *changed, "--out", tmp_path / "new", "--executor", "local")
    assert set(captions(tmp_path / "old")) - set(captions(tmp_path / "new")) == {"桌上的一杯咖啡"}
    reasons = {row["url"]: row["reason"] for row in drops(tmp_path / "new")}
    assert reasons == {site.url("/small.jpg"): "too_small", site.url("/none.jpg"): "http_status"}


def test_retry_failed_requests_only_transient_failures(tmp_path: Path, site: Site) -> None:
    rows = photographs(site, range(20))
    table(tmp_path / "a.parquet", [*rows, (site.url("/missing.jpg"), "已经不在的图片说明")])
    good = dict(site.responses)
    for number in range(0, 20, 2):
        site.responses[f"/{number}.jpg"] = CannedResponse(status=500)
    sources = _sources(tmp_path, site, "a.parquet")
    out = tmp_path / "corpus"
    build("--sources", sources, "--out", out, "--executor", "local")
    failed = {str(row["url"]) for row in drops(out) if row["retryable"]}
    assert failed == {site.url(f"/{number}.jpg") for number in range(0, 20, 2)}

    site.responses.update(good)
    site.log.clear()
    again = build("--sources", sources, "--out", out, "--executor", "local", "--retry-failed")
    assert again["new_samples"] == 10
    assert sorted(path for path in site.log if path.endswith(".jpg")) == sorted(
        f"/{n}.jpg" for n in range(0, 20, 2)
    )
    assert set(captions(out).values()) == {url for url, _ in rows}
    assert (
        build("--sources", sources, "--out", out, "--executor", "local", "--retry-failed")[
            "generations"
        ]
        == []
    )


def test_another_recipe_on_the_same_output_is_refused_with_the_command_to_use(
    tmp_path: Path, site: Site
) -> None:
    table(tmp_path / "a.parquet", photographs(site, range(3)))
    sources = _sources(tmp_path, site, "a.parquet")
    out = tmp_path / "corpus"
    build("--sources", sources, "--out", out, "--executor", "local")
    done = command("build", "--sources", sources, "--out", out, "--set", "image.min_side_px=200")
    assert done.returncode == 4
    assert "image.min_side_px: 100 -> 200" in done.stderr
    assert f"--from {out}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_more_failures_than_the_budget_allows_end_with_exit_9(tmp_path: Path, site: Site) -> None:
    rows = photographs(site, range(10))
    site.responses["/3.jpg"] = CannedResponse(status=503)
    table(tmp_path / "a.parquet", rows)
    done = command("build", "--sources", _sources(tmp_path, site, "a.parquet"), "--out", tmp_path / "corpus",
                   "--executor", "local", "--max-failed-share", "0.05")  # fmt: skip
    assert done.returncode == 9
    assert "(most often: status_5xx 1)" in done.stderr
    assert "--retry-failed" in done.stderr
    assert manifest(tmp_path / "corpus")["funnel"]["samples"] == 9  # type: ignore[index]


def test_a_build_after_one_with_too_many_failures_reads_the_next_rows(
    tmp_path: Path, site: Site
) -> None:
    table(tmp_path / "a.parquet", photographs(site, range(8)), row_group_size=4)
    site.responses |= {f"/{number}.jpg": CannedResponse(status=503) for number in range(8)}
    words = [
        "build",
        "--sources",
        _sources(tmp_path, site, "a.parquet"),
        "--out",
        tmp_path / "corpus",
    ]
    words += ["--executor", "local", "--limit", "4", "--max-failed-share", "0.1"]
    for candidates in (4, 8):
        assert command(*words).returncode == 9
        assert manifest(tmp_path / "corpus")["funnel"]["candidates"] == candidates  # type: ignore[index]


@pytest.mark.parametrize("limit", [1, 7])
def test_a_limit_reads_no_more_candidates(tmp_path: Path, site: Site, limit: int) -> None:
    table(tmp_path / "a.parquet", photographs(site, range(10)))
    result = build("--sources", _sources(tmp_path, site, "a.parquet"), "--out", tmp_path / "corpus",
                   "--executor", "local", "--limit", limit)  # fmt: skip
    assert result["candidates"] == limit


def test_a_requested_url_is_not_requested_again_for_a_new_text(tmp_path: Path, site: Site) -> None:
    (one, _), (two, _), *rows = photographs(site, range(4))
    site.responses["/down.jpg"] = CannedResponse(status=500)
    missing, down = site.url("/missing.jpg"), site.url("/down.jpg")
    # The same text at two images: neither is published.
    frequent = [(one, "窗台上的小猫"), (two, "窗台上的小猫")]
    table(
        tmp_path / "a.parquet",
        [*frequent, *rows, (missing, "已经不在的图片说明"), (down, "暂时不在的图片说明")],
    )
    words = [
        "--out",
        tmp_path / "corpus",
        "--executor",
        "local",
        "--recipe",
        "wenlan",
        "--set",
        "text.max_same_text=1",
    ]
    build("--sources", _sources(tmp_path, site, "a.parquet"), *words)
    requests = len(site.log)

    site.responses["/down.jpg"] = CannedResponse(make_image(77))
    table(
        tmp_path / "b.parquet",
        [(missing, "河边的老房子"), (down, "海边的灯塔"), (one, "屋顶上的小猫")],
    )
    sources = _sources(tmp_path, site, "a.parquet", "b.parquet")
    build("--sources", sources, *words)
    assert site.log[requests:] == []
    assert captions(tmp_path / "corpus")["屋顶上的小猫"] == one
    found = [
        (row["url"], row["retryable"])
        for row in drops(tmp_path / "corpus")
        if row["step"] == "fetch"
    ]
    assert sorted(found) == sorted([(missing, False), (down, True)] * 2)
    build("--sources", sources, *words, "--retry-failed")
    assert site.log.count("/missing.jpg") == 1
    assert down in captions(tmp_path / "corpus").values()
