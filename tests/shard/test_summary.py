import io
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.shard.make_golden import GOLDEN, GOLDEN_1_0, draw, encode
from wenlan_data.errors import DamageError
from wenlan_data.shard.summary import image_sides_px, summarise


def test_a_corpus_is_counted_from_its_tables() -> None:
    summary = summarise([GOLDEN]).as_json()
    assert (summary["shards"], summary["samples"]) == (2, 5)
    assert summary["width_px"] == {"min": 64, "median": 64, "max": 64}
    assert summary["caption_chars"] == {"min": 9, "median": 11, "max": 13}
    assert summary["text_types"] == {
        "caption": 3,
        "alt": 1,
        "figcaption": 1,
        "surrounding": 1,
        "title": 1,
    }
    assert summary["relations"] == {
        "given": 3,
        "attribute": 1,
        "below": 1,
        "figcaption": 1,
        "page": 1,
    }
    assert summary["region_labels"] == {"cell": 20, "image": 5}
    assert summary["dropped"] == {"fetch": {"http_status": 1}}


def test_a_corpus_of_format_1_0_states_no_relations() -> None:
    for place in (GOLDEN_1_0, GOLDEN_1_0 / "shards"):
        summary = summarise([place]).as_json()
        assert (summary["samples"], summary["relations"]) == (5, {})


def test_tars_alone_give_the_same_counts_but_for_the_drops() -> None:
    corpus, tars = summarise([GOLDEN]).as_json(), summarise([GOLDEN / "shards"]).as_json()
    assert tars.pop("dropped") == {}
    corpus.pop("dropped")
    assert tars == corpus


def test_a_strangers_tar_is_counted_by_what_it_has(tmp_path: Path) -> None:
    members = {
        "a.png": b"no image",
        "b.jpg": encode(draw(1)),
        "b.txt": "猫\xff".encode("latin-1", "replace"),
        "b.json": b"[1]",
    }
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    summary = summarise([tmp_path / "a.tar"])
    assert (summary.samples, dict(summary.width_px), dict(summary.caption_chars)) == (
        2,
        {64: 1},
        {2: 1},
    )


def test_sides_that_no_image_has_are_not_counted(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "corpus")
    path = tmp_path / "corpus" / "metadata" / "000000.parquet"
    table = pq.read_table(path)
    before = summarise([tmp_path / "corpus"])
    rows = table.to_pylist()
    odd = [{**rows[0], "width": side} for side in (-5, 0, 1 << 20, 2**31 - 1)]
    pq.write_table(pa.Table.from_pylist([*rows, *odd], table.schema), path)
    after = summarise([tmp_path / "corpus"])
    assert (after.width_px, after.height_px) == (before.width_px, before.height_px)


def test_a_corrupt_metadata_table_is_named(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "corpus")
    (tmp_path / "corpus" / "metadata" / "000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(DamageError, match=r"000000\.parquet"):
        summarise([tmp_path / "corpus"])


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"GIF89a"])
def test_what_is_no_image_has_no_sides(data: bytes) -> None:
    assert image_sides_px(data) is None
