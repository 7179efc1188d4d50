"""Duplicates over real HTTP: equal bytes, edited copies, a "hotlink forbidden" placeholder."""

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from tests.builds.corpus_runs import build, drops, sources_file, table
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image

EQUAL_URLS, FORBIDDEN_URLS = 100, 500


def _edited(kind: str) -> bytes:
    """Returns an edited copy of image 7 (640 x 480)."""
    with Image.open(io.BytesIO(make_image(7, width=640, height=480))) as opened:
        copy = opened.convert("RGB")
    if kind == "smaller":
        copy = copy.resize((320, 240), Image.Resampling.LANCZOS)
    if kind == "marked":
        ImageDraw.Draw(copy).text((560, 460), "example.org", fill=(250, 250, 250))
    out = io.BytesIO()
    copy.save(out, "WEBP" if kind == "webp" else "JPEG", quality=40 if kind == "worse" else 85)
    return out.getvalue()


EDITS = ("smaller", "marked", "webp", "worse")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies")
    paths = [f"/equal/{number}.jpg" for number in range(EQUAL_URLS)]
    responses = {path: CannedResponse(make_image(1)) for path in paths}
    responses["/edits/original.jpg"] = CannedResponse(make_image(7, width=640, height=480))
    responses |= {f"/edits/{kind}.jpg": CannedResponse(_edited(kind)) for kind in EDITS}
    forbidden = make_image(3, width=200, height=150)
    responses |= {
        f"/forbidden/{number}.jpg": CannedResponse(forbidden) for number in range(FORBIDDEN_URLS)
    }
    with Site(responses) as site:
        rows = [(site.url(path), make_caption(number)) for number, path in enumerate(responses)]
        table(folder / "a.parquet", rows)
        sources = sources_file(
            folder / "sources.yaml", site, [{"kind": "table", "path": "a.parquet"}]
        )
        build(
            "--sources", sources, "--out", folder / "corpus", "--workers", 2, "--executor", "local"
        )
    return folder / "corpus"


def _samples(corpus: Path, folder: str) -> list[dict[str, object]]:
    rows = pq.read_table(corpus / "metadata").to_pylist()
    return [row for row in rows if f"/{folder}/" in row["image_url"]]


def _drops(corpus: Path, folder: str) -> list[dict[str, object]]:
    return [row for row in drops(corpus) if f"/{folder}/" in str(row["url"])]


def test_equal_bytes_at_a_hundred_urls_are_one_sample_and_every_url_is_recorded(
    corpus: Path,
) -> None:
    (sample,) = _samples(corpus, "equal")
    dropped = _drops(corpus, "equal")
    assert {row["reason"] for row in dropped} == {"duplicate"}
    assert {row["duplicate_of"] for row in dropped} == {sample["key"]}
    assert len({sample["image_url"], *(row["url"] for row in dropped)}) == EQUAL_URLS


def test_of_edited_copies_the_largest_is_kept_and_drops_record_the_distance(
    corpus: Path,
) -> None:
    (sample,) = _samples(corpus, "edits")
    dropped = _drops(corpus, "edits")
    assert (sample["width"], sample["height"]) == (640, 480)
    assert len(dropped) == len(EDITS)
    for row in dropped:
        assert (row["reason"], row["duplicate_of"]) == ("near_duplicate", sample["key"])
        assert 0 <= int(str(row["phash_distance"])) <= 4
        assert 0 <= int(str(row["pdq_distance"])) <= 31


def test_a_placeholder_image_served_for_five_hundred_urls_is_no_sample(corpus: Path) -> None:
    assert _samples(corpus, "forbidden") == []
    dropped = _drops(corpus, "forbidden")
    assert len({row["url"] for row in dropped}) == FORBIDDEN_URLS
    assert {row["reason"] for row in dropped} == {"placeholder"}
