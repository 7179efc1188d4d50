import json
from pathlib import Path

import numpy as np
import pytest

from tests.load.corpora import IN_ORDER, jpeg, write_tar
from wenlan_data.load import Loader
from wenlan_data.load.boxes import scaled_boxes, stored_boxes


def _regions(*boxes: object) -> dict[str, object]:
    return {"regions": [{"box": box} for box in boxes]}


def test_the_whole_image_comes_last_and_once() -> None:
    whole = [0, 0, 20, 10]
    assert stored_boxes({}, 20, 10, max_regions=3).tolist() == [whole]
    for boxes in ([[1, 2, 3, 4]], [[1, 2, 3, 4], whole]):
        assert stored_boxes(_regions(*boxes), 20, 10, max_regions=3).tolist() == [
            [1, 2, 3, 4],
            whole,
        ]


def test_of_too_many_the_first_and_the_whole_image_stay() -> None:
    many = _regions([1, 1, 2, 2], [3, 3, 4, 4], [5, 5, 6, 6], [0, 0, 20, 10])
    assert stored_boxes(many, 20, 10, max_regions=3).tolist() == [
        [1, 1, 2, 2],
        [3, 3, 4, 4],
        [0, 0, 20, 10],
    ]
    assert stored_boxes(many, 20, 10, max_regions=1).tolist() == [[0, 0, 20, 10]]


def test_boxes_are_scaled_to_the_square_and_clipped_by_sample() -> None:
    stored = [np.array([[0.0, 0, 20, 10]]), np.array([[5.0, -5, 20, 80], [0, 0, 10, 40]])]
    boxes, mask = scaled_boxes(stored, [(20, 10), (10, 40)], size_px=8, max_regions=3)
    assert boxes.tolist() == [
        [[0, 0, 8, 8], [0] * 4, [0] * 4],
        [[4, 0, 8, 8], [0, 0, 8, 8], [0] * 4],
    ]
    assert mask.tolist() == [[True, False, False], [True, True, False]]


@pytest.mark.parametrize(
    "written",
    [
        b"{",
        b"[1]",
        b"\xff\xfe{",
        b'{"regions": 7}',
        b'{"regions": ["box"]}',
        b'{"regions": [{}]}',
        b'{"regions": [{"box": [1, 2, 3]}]}',
        b'{"regions": [{"box": "1234"}]}',
        b'{"regions": [{"box": [1, 2, 3, "a"]}]}',
        b'{"regions": [{"box": [1, 2, 3, NaN]}]}',
        b'{"regions": [{"box": [[1], [2], [3], [4]]}]}',
        b'{"regions": [{"box": [1, 2, 3, 1' + b"0" * 400 + b"]}]}",
        b'{"texts": [{"type": "caption", "text": 5}]}',
        b'{"texts": [{"type": "caption", "text": "\\ud800"}]}',
        b'{"texts": [7]}',
        b"[" * 100_000,
    ],
)
@pytest.mark.filterwarnings("error")
def test_malformed_fields_are_a_bad_sample_and_no_crash(tmp_path: Path, written: bytes) -> None:
    good = json.dumps({"texts": [{"type": "caption", "text": "好"}]}).encode()
    tar = write_tar(
        tmp_path / "a.tar", {"a.jpg": jpeg(1), "a.json": written, "b.jpg": jpeg(2), "b.json": good}
    )
    loader = Loader(tar, batch_size=2, size_px=8, workers=0, sampling=IN_ORDER)
    batch = next(loader)
    assert batch["key"] == ["b", "b"]
    assert batch["repeated"].tolist() == [True, False]
    assert set(loader.metrics.bad) <= {"bad_json", "bad_fields"}
    assert sum(loader.metrics.bad.values()) == 1
