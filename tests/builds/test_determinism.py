"""Equal WARCs, recipe and libraries give equal bytes on any executor and in any order of parts."""

import hashlib
import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.builds.corpus_runs import build, content
from wenlan_data.testing import make_caption, make_image
from wenlan_data.web.warc import PayloadWriter

WARCS = 8
IMAGES_EACH = 32
DATE = datetime(2021, 3, 11, tzinfo=UTC)


@pytest.fixture(scope="module")
def warcs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight WARC files of pages and their images.

    Some images are in two files, some are corrupt.
    """
    folder = tmp_path_factory.mktemp("warcs")
    for number in range(WARCS):
        seeds = [number * IMAGES_EACH + one for one in range(IMAGES_EACH)]
        records: list[tuple[str, str, bytes]] = []
        images = [
            (f"http://site.test/{seed}.jpg", make_caption(seed), make_image(seed)) for seed in seeds
        ]
        images.append(
            (
                f"http://copy.test/{number}.jpg",
                f"另一处的{make_caption(number * 3)}",
                make_image(number * 3, quality=70),
            )
        )
        images.append(
            (
                f"http://site.test/cut{number}.jpg",
                "只有一半的图片",
                make_image(5000 + number)[:3000],
            )
        )
        page = "".join(f'<p><img src="{url}" alt="{alt}"></p>' for url, alt, _ in images)
        records.append(
            (f"http://site.test/page{number}.html", "text/html; charset=utf-8", page.encode())
        )
        records += [(url, "image/jpeg", data) for url, _, data in images]
        random.Random(number).shuffle(records)
        write_warc(folder / f"{number}.warc", records)
    return folder


def write_warc(path: Path, records: list[tuple[str, str, bytes]]) -> None:
    """Writes response records of (URL, content type, body)."""
    with PayloadWriter(path) as writer:
        for url, content_type, body in records:
            writer.response(
                url, body, status="200 OK", headers=[("Content-Type", content_type)],
                sha256=hashlib.sha256(body).hexdigest(), ip="192.0.2.1", date=DATE,
            )  # fmt: skip


def _build(warcs: Path, out: Path, executor: str, workers: int) -> dict[str, object]:
    return build(
        "--sources", f"warc:{warcs}/*.warc", "--out", out, "--executor", executor, "--workers", workers,
        "--set", "shard.max_samples=50",
    )  # fmt: skip


@pytest.fixture(scope="module")
def golden(warcs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    out = tmp_path_factory.mktemp("golden") / "corpus"
    result = _build(warcs, out, "local", 1)
    assert result["samples"] == WARCS * IMAGES_EACH
    assert result["shards"] == 6
    for step, least in (("extract", 8), ("fetch", 8), ("shard", 5)):
        assert len(list((out / ".work" / "generations" / "000000" / step).iterdir())) >= least
    return content(out)


@pytest.mark.parametrize(
    ("executor", "workers"),
    [
        ("local", 2),
        ("ray", 2),
        pytest.param("local", 4, marks=pytest.mark.slow),
        pytest.param("ray", 1, marks=pytest.mark.slow),
        pytest.param("ray", 4, marks=pytest.mark.slow),
    ],
)
def test_any_number_of_workers_on_any_executor_gives_the_same_bytes(
    warcs: Path,
    golden: dict[str, object],
    tmp_path: Path,
    executor: str,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Not below `tmp_path`: Ray's sockets take paths of 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="ray") as rays:
        monkeypatch.setenv("RAY_TMPDIR", rays)
        _build(warcs, tmp_path / "corpus", executor, workers)
        assert [path for path in Path(rays).rglob("session_*") if path.is_dir()] == []
    assert content(tmp_path / "corpus") == golden
