"""Weights from strangers: one error, no code, and no more memory than the size of the file."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.mutations import mutations
from wenlan_data.detect.detectors.faster_rcnn import FasterRcnn, _state
from wenlan_data.detect.detectors.yolox import Yolox
from wenlan_data.errors import RecipeError

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")
pytest.importorskip("onnxruntime")


class _Marker:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def _saved(value: object, **more: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, **more)
    return out.getvalue()


def _compressed(data: bytes) -> bytes:
    """A zip bomb: a storage of 3 GB in a file of 3 MB."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for one in source.infolist():
            target.writestr(one.filename, source.read(one), zipfile.ZIP_DEFLATED)
        target.writestr("archive/data/9", bytes(100_000_000), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _npy(value: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([value], object), allow_pickle=True)
    return out.getvalue()


CASES: dict[str, Callable[[Path], bytes]] = {
    "empty.pth": lambda _: b"",
    "text.pth": lambda _: b"hello",
    "code.pth": lambda marker: _saved({"a": _Marker(marker)}),
    "code-legacy.pth": lambda marker: _saved(
        {"a": _Marker(marker)}, _use_new_zipfile_serialization=False
    ),
    "pickle.pth": lambda marker: pickle.dumps(_Marker(marker)),
    "code.npy": lambda marker: _npy(_Marker(marker)),
    "list.pth": lambda _: _saved([torch.zeros(1)]),
    "tensor.pth": lambda _: _saved(torch.zeros(1)),
    "numbers.pth": lambda _: _saved({"a": 1}),
    "keys.pth": lambda _: _saved({1: torch.zeros(1)}),
    "huge-view.pth": lambda _: _saved({"a": torch.zeros(1).expand(1 << 20, 1 << 20)}),
    "bomb.pth": lambda _: _compressed(_saved({"a": torch.zeros(4)})),
    "deep.pth": lambda _: pickle.PROTO + b"\x02" + b"(" * 200_000 + b"." + b"",
    "a.safetensors": lambda _: (1 << 62).to_bytes(8, "little") + b"{}",
    "b.safetensors": lambda _: (
        (40).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1152921504],'[:40]
    ),
    "other.safetensors": lambda _: safetensors_torch.save({"a": torch.zeros(3)}),
    "a.onnx": lambda _: b"\x08\x07" + b"\xff" * 1000,
    "empty.onnx": lambda _: b"",
}


def _load(file: Path) -> object:
    if file.suffix == ".onnx":
        return Yolox(weights=str(file)).load()
    return FasterRcnn(
        architecture="mobilenet_v3_large_320_fpn", weights=str(file), names=("cat",)
    ).load()


@pytest.mark.parametrize("name", CASES)
def test_weights_of_a_stranger_are_one_error_and_run_nothing(name: str, tmp_path: Path) -> None:
    marker, file = tmp_path / "marker", tmp_path / name
    file.write_bytes(CASES[name](marker))
    with pytest.raises(RecipeError) as raised:
        _load(file)
    assert "\n" not in str(raised.value)
    assert not marker.exists()


def test_mutated_state_dicts_are_tensors_or_one_error(tmp_path: Path) -> None:
    state = {"a": torch.zeros(3, 4), "b": torch.ones(5)}
    samples = [_saved(state), _saved(state, _use_new_zipfile_serialization=False)]
    for number, data in mutations(samples, 600):
        file = tmp_path / f"{number % 10}.pth"
        file.write_bytes(data)
        with suppress(RecipeError):
            _state(file)
