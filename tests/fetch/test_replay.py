from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.fetch.fetch_list_rows import fetch, write_fetch_list
from tests.web.raw_server import RawServer, ok
from wenlan_data.errors import DamageError
from wenlan_data.fetch.replay import ReplayPart
from wenlan_data.image.rules import ImageRules
from wenlan_data.testing import make_image


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Facts and WARC of a good image, a small one and one that is missing."""
    answers = {
        "/a.jpg": make_image(1),
        "/small.jpg": make_image(2, width=90, height=90, quality=95),
    }
    with RawServer({path: [ok(body)] for path, body in answers.items()}) as server:
        fetch(
            tmp_path,
            [server.url(path) for path in ("/a.jpg", "/small.jpg", "/gone.jpg")],
            server.host,
        )
    return tmp_path


def _replay(
    folder: Path, rules: ImageRules, fetch_list: Path | None = None
) -> list[dict[str, object]]:
    old = folder / "out"
    part = ReplayPart(
        fetch_list=str(fetch_list or folder / "fetch-list.parquet"),
        results=(str(old / "facts.parquet"),),
        warc=str(old / "images.warc"),
        image=rules,
    )
    new = folder / "new"
    new.mkdir()
    part(new)
    assert (new / "images.warc").read_bytes() == (old / "images.warc").read_bytes()
    rows: list[dict[str, object]] = pq.read_table(new / "facts.parquet").to_pylist()
    return rows


def test_the_same_rules_give_the_same_results_without_a_request(recorded: Path) -> None:
    old = pq.read_table(recorded / "out/facts.parquet").to_pylist()
    assert [row["reason"] for row in old] == ["", "too_small", "http_status"]
    assert _replay(recorded, ImageRules()) == old


def test_other_rules_check_again_what_was_rejected(recorded: Path) -> None:
    rows = _replay(recorded, ImageRules(min_side_px=80, max_aspect=1.2))
    assert [row["reason"] for row in rows] == ["aspect", "", "http_status"]
    assert (rows[1]["width"], rows[1]["status"]) == (90, 200)


def test_an_image_that_was_never_requested_is_named(recorded: Path) -> None:
    fetch_list = write_fetch_list(recorded / "more.parquet", [{"url": "http://b.cn/x.jpg"}])
    [row] = _replay(recorded, ImageRules(), fetch_list)
    assert (row["reason"], row["retryable"], row["warc_offset"]) == ("not_recorded", True, -1)


def test_another_image_in_the_old_warc_is_damage(recorded: Path) -> None:
    path = recorded / "out/images.warc"
    data = bytearray(path.read_bytes())
    offset = pq.read_table(recorded / "out/facts.parquet")["warc_offset"][0].as_py()
    data[offset + 3000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamageError, match="the image is not the one whose hash was recorded"):
        _replay(recorded, ImageRules())


def test_a_warc_cut_short_is_damage(recorded: Path) -> None:
    path = recorded / "out/images.warc"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DamageError, match="are there"):
        _replay(recorded, ImageRules())
