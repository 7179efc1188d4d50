"""What a build prints: retried candidates once, and why there is no sample."""

from pathlib import Path

from tests.builds.corpus_runs import (
    build_here,
    manifest,
    photographs,
    run_here,
    sources_file,
    table,
)
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image


def test_candidates_that_are_fetched_again_are_counted_once(tmp_path: Path, site: Site) -> None:
    rows = photographs(site, range(9))
    # Twice in the table: its drop is recorded for both rows, and it is fetched again once. The
    # outcome of that counts for both.
    table(tmp_path / "a.parquet", [*rows, rows[2], (site.url("/missing.jpg"), make_caption(20))])
    good = dict(site.responses)
    site.responses |= {f"/{number}.jpg": CannedResponse(status=503) for number in range(2, 7)}
    kinds = [{"kind": "table", "path": "a.parquet"}]
    words = ["--sources", sources_file(tmp_path / "s.yaml", site, kinds), "--out", tmp_path / "c"]
    build_here(*words)
    first = load_manifest(tmp_path / "c").funnel
    assert "retried" not in manifest(tmp_path / "c")["funnel"]  # type: ignore[operator]
    assert (first.candidates, first.samples) == (11, 4)
    # Two fail again, and are fetched a third time.
    site.responses.update({path: good[path] for path in ("/2.jpg", "/3.jpg", "/4.jpg")})
    assert build_here(*words, "--retry-failed")["retried"] == 5
    site.responses.update(good)
    again = build_here(*words, "--retry-failed")
    assert (again["retried"], again["candidates"], again["new_samples"]) == (2, 2, 2)
    funnel = load_manifest(tmp_path / "c").funnel
    load_manifest(tmp_path / "c").check_counts()
    assert (funnel.candidates, funnel.retried_candidates) == (18, 8)
    last = funnel.last_outcomes()
    assert (last.candidates, last.samples) == (10, 9)
    assert last.dropped == {"fetch": {"http_status": 1}}


def _said(*words: object) -> list[str]:
    done = run_here("build", *words, "--executor", "local")
    assert done.exception is None, done.exception
    return [line for line in done.stdout.splitlines() if line.startswith(("no samples", "to do"))]


def test_a_build_without_samples_states_why_and_what_to_do(tmp_path: Path, site: Site) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        (photos / f"{number}.jpg").write_bytes(make_image(number, width=99, height=99))
        (photos / f"{number}.txt").write_text(make_caption(number), "utf-8")
    why, to_do = _said("--sources", f"folder:{photos}", "--out", tmp_path / "small")
    assert why.startswith("no samples: fetch dropped most, 3 of 3 candidates, as too_small: ")
    assert "image" in to_do
    assert f"--from {tmp_path / 'small'} --out" in to_do

    site.responses |= {f"/{number}.jpg": CannedResponse(status=503) for number in range(3)}
    table(
        tmp_path / "a.parquet", [(site.url(f"/{one}.jpg"), make_caption(one)) for one in range(3)]
    )
    kinds = [{"kind": "table", "path": "a.parquet"}]
    words = [
        "--sources",
        sources_file(tmp_path / "s.yaml", site, kinds),
        "--out",
        tmp_path / "down",
    ]
    why, to_do = _said(*words)
    assert "3 of 3 candidates, as status_5xx" in why
    assert "--retry-failed" in to_do

    site.responses["/"] = CannedResponse(b"<p>nothing</p>", 200, {"Content-Type": "text/html"})
    pages = [{"kind": "pages", "seeds": [site.url("/")]}]
    words = [
        "--sources",
        sources_file(tmp_path / "s.yaml", site, pages),
        "--out",
        tmp_path / "bare",
    ]
    assert _said(*words)[0].startswith("no samples: the pages that were read (1) hold no new image")


def test_the_advice_after_a_build_without_samples_is_one_that_helps(
    tmp_path: Path, site: Site
) -> None:
    table(tmp_path / "a.parquet", photographs(site, range(3)))
    kinds = [{"kind": "table", "path": "a.parquet"}]
    sources = sources_file(tmp_path / "s.yaml", site, kinds)
    words = ["--sources", sources, "--out", tmp_path / "offline"]
    done = run_here("build", *words, "--offline", "--executor", "local")
    advice = "run it without --offline (or network.offline) and with --retry-failed"
    assert f"to do: {advice}\n" in done.stdout
    assert f"hint: URLs were dropped because the build was offline: {advice}\n" in done.stdout
    assert "transient" not in done.stdout

    pages = [{"kind": "pages", "seeds": [site.url("/")]}]
    crawl = sources_file(tmp_path / "p.yaml", site, pages)
    why, to_do = _said("--sources", crawl, "--out", tmp_path / "crawl", "--offline")
    assert why.startswith("no samples: no page could be read, 1 of 1, as offline: ")
    assert to_do == f"to do: {advice}"

    (tmp_path / "d.txt").write_text(site.host.partition(":")[0], "utf-8")
    with sources.open("a", encoding="utf-8") as file:
        file.write("exclude: {domains: d.txt}\n")
    words = ["--sources", sources, "--out", tmp_path / "excluded"]
    first = _said(*words)
    assert first[1] == "to do: check the lists under exclude in the sources file"
    # A second run has nothing new; the reason is still that of the first.
    assert _said(*words) == first
