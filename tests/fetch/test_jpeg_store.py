"""The JPEG of a shard is made when the image is checked, and copied from there byte by byte."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.builds.corpus_runs import build
from tests.fetch.fetch_list_rows import Row, part_for, run
from wenlan_data.dedupe.search import find_near
from wenlan_data.errors import DamageError
from wenlan_data.fetch.jpeg_store import (
    NO_JPEG,
    JpegLocation,
    JpegStoreWriter,
    read_jpeg,
)
from wenlan_data.image.normalise import normalise
from wenlan_data.image.rules import ImageRules
from wenlan_data.layout import STORED_JPEGS
from wenlan_data.recipe import ShardRules
from wenlan_data.shard.format import decode_sample
from wenlan_data.shard.reader import read_tar
from wenlan_data.testing import make_caption, make_image
from wenlan_data.web.limits import DEFAULTS
from wenlan_data.web.politeness import Politeness


def turned(number: int, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    Image.open(io.BytesIO(make_image(number, width=300, height=200))).save(
        out, "JPEG", exif=exif, quality=90
    )
    return out.getvalue()


def printed(number: int) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(make_image(number, width=300, height=200))).convert("CMYK").save(
        out, "JPEG"
    )
    return out.getvalue()


def grey(number: int) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(make_image(number, width=1300, height=900))).convert("L").save(
        out, "JPEG"
    )
    return out.getvalue()


IMAGES = {
    "as it came": make_image(1, width=300, height=200),
    "too large": make_image(2, width=2000, height=1300),
    "far too large": make_image(3, width=2600, height=1000),
    "turned": turned(4, 6),
    "CMYK": printed(8),
    "large grey": grey(9),
    "PNG": make_image(5, kind="PNG", width=400, height=300),
    "large PNG": make_image(6, kind="PNG", width=1500, height=600),
    "WebP": make_image(7, kind="WEBP", width=300, height=300),
}


@pytest.mark.parametrize("name", IMAGES)
def test_what_is_made_at_the_judging_is_the_stored_form(name: str, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(IMAGES[name])
    rows: list[Row] = [
        {"url": name, "supply": "file", "supply_path": str(tmp_path / "one"), "host": ""}
    ]
    ((row,), _) = run(
        replace(part_for(tmp_path, rows, {}), politeness=Politeness(limits=DEFAULTS)), tmp_path
    )
    assert row["reason"] == ""
    stored = normalise(
        IMAGES[name], max_side_px=ImageRules().max_side_px, jpeg_quality=ShardRules().jpeg_quality
    )
    place = JpegLocation(
        *(int(str(row[f"encoded_{part}"])) for part in ("offset", "bytes", "crc32c"))
    )
    if name == "as it came":
        assert place == NO_JPEG
        assert stored.jpeg == IMAGES[name]
    else:
        assert read_jpeg(str(tmp_path / "out" / STORED_JPEGS), place) == stored.jpeg


def test_bytes_that_changed_are_damage_and_no_sample(tmp_path: Path) -> None:
    with JpegStoreWriter(tmp_path / "e") as writer:
        assert writer.add(b"") == NO_JPEG
        first, second = writer.add(b"one"), writer.add(b"another")
    assert read_jpeg(str(tmp_path / "e"), second) == b"another"
    for broken in (b"onxanother", b"on"):
        (tmp_path / "e").write_bytes(broken)
        with pytest.raises(DamageError, match="not what was written"):
            read_jpeg(str(tmp_path / "e"), first)


def test_a_corpus_holds_the_stored_forms_and_its_work_folder_no_second_copy(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, data in enumerate(IMAGES.values()):
        (folder / f"{number}.jpg").write_bytes(data)
        (folder / f"{number}.txt").write_text(make_caption(number), "utf-8")
    build("--sources", f"folder:{folder}", "--out", tmp_path / "corpus", "--executor", "local")
    assert _samples(tmp_path / "corpus") == _wanted(1024, 92)
    assert not list(tmp_path.rglob(STORED_JPEGS))
    # A build that was killed a moment before may have left one.
    (tmp_path / "corpus/.work/generations/000000/fetch/00000" / STORED_JPEGS).write_bytes(
        b"left over"
    )
    build("--sources", f"folder:{folder}", "--out", tmp_path / "corpus", "--executor", "local")
    assert not list(tmp_path.rglob(STORED_JPEGS))

    other = [
        "--set",
        "image.max_side_px=512",
        "--set",
        "shard.jpeg_quality=80",
        "--executor",
        "local",
    ]
    build("--from", tmp_path / "corpus", "--out", tmp_path / "again", *other)
    assert _samples(tmp_path / "again") == _wanted(512, 80)


def test_a_file_that_is_in_the_corpus_is_found_at_no_distance(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(make_image(2, width=2000, height=1300))
    (tmp_path / "images" / "a.txt").write_text(make_caption(2), "utf-8")
    build("--sources", f"folder:{tmp_path / 'images'}", "--out", tmp_path / "corpus", "--executor", "local",
          "--set", "image.max_side_px=300")  # fmt: skip
    (found,) = find_near(tmp_path / "corpus", str(tmp_path / "images" / "a.jpg"), 0)
    assert (found.distance, found.pdq_distance) == (0, 0)


def _samples(corpus: Path) -> dict[str, tuple[bytes, int, int]]:
    samples = [decode_sample(*pair[::-1]) for pair in read_tar(corpus / "shards/wenlan-000000.tar")]
    return {one.caption: (one.jpeg, one.width, one.height) for one in samples}


def _wanted(max_side_px: int, jpeg_quality: int) -> dict[str, tuple[bytes, int, int]]:
    stored = [
        normalise(data, max_side_px=max_side_px, jpeg_quality=jpeg_quality)
        for data in IMAGES.values()
    ]
    return {
        make_caption(number): (one.jpeg, one.width, one.height) for number, one in enumerate(stored)
    }
