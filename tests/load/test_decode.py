import io

import numpy as np
import pytest
import torch
from PIL import Image

from wenlan_data.load.decode import decode_pillow, decode_turbo, find_decoder, read_size
from wenlan_data.load.gpu_decode import decode_batch
from wenlan_data.records import Drop
from wenlan_data.testing import make_image

SIDE_PX = 64
CPU = torch.device("cpu")


def _square() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    return np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)


def _reference(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    with Image.open(io.BytesIO(data)) as opened:
        small = opened.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float64)


@pytest.mark.parametrize("name", ["turbo", "pillow"])
@pytest.mark.parametrize(
    "size", [(320, 240), (100, 70), (60, 50), (512, 129), (64, 64), (1200, 300)]
)
def test_every_decoder_gives_the_image_stretched_to_the_square(
    name: str, size: tuple[int, int]
) -> None:
    data = make_image(3, width=size[0], height=size[1])
    out = _square()
    assert find_decoder(name)(memoryview(data), out) == size
    assert float(np.abs(out - _reference(data)).mean()) < 4


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("decode", [decode_turbo, decode_pillow])
def test_other_formats_are_decoded_too(kind: str, decode: object) -> None:
    data, out = make_image(3, kind=kind), _square()
    assert decode(memoryview(data), out) == (320, 240)  # type: ignore[operator]
    assert float(np.abs(out - _reference(data)).mean()) < 4


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_images_become_rgb(mode: str) -> None:
    held = io.BytesIO()
    Image.open(io.BytesIO(make_image(3))).convert(mode).save(held, "JPEG", quality=95)
    out = _square()
    assert decode_turbo(memoryview(held.getvalue()), out) == (320, 240)
    assert float(np.abs(out - _reference(held.getvalue())).mean()) < 12


@pytest.mark.parametrize("decode", [decode_turbo, decode_pillow])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        make_image(1)[:-200],
        make_image(1)[:40],
        b"\xff\xd8\xff",
        make_image(1, kind="PNG")[:900],
    ],
)
def test_what_cannot_be_decoded_whole_is_a_drop(decode: object, data: bytes) -> None:
    assert isinstance(decode(memoryview(data), _square()), Drop)  # type: ignore[operator]


def test_a_bomb_is_refused_by_its_header() -> None:
    held = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(held, "PNG")
    for decode in (decode_turbo, decode_pillow):
        found = decode(memoryview(held.getvalue()), _square())
        assert isinstance(found, Drop)
        assert found.reason in {"too_large", "undecodable"}


def test_the_size_is_known_without_decoding() -> None:
    assert read_size(memoryview(make_image(1)), _square()) == (320, 240)
    assert read_size(memoryview(make_image(1, kind="PNG")), _square()) == (320, 240)


def _tensor(data: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def test_a_batch_is_decoded_at_once_and_failed_rows_are_reported() -> None:
    pytest.importorskip("torchvision")
    good, png, bad = make_image(1), make_image(2, kind="PNG"), make_image(3)[:60]
    image, failed = decode_batch(
        [_tensor(one) for one in (good, bad, png)], size_px=SIDE_PX, device=CPU
    )
    assert (image.shape, image.dtype, failed) == ((3, 3, SIDE_PX, SIDE_PX), torch.uint8, [1])
    for row, data in ((0, good), (2, png)):
        assert (
            float(
                (image[row].permute(1, 2, 0).double().numpy() - _reference(data)).__abs__().mean()
            )
            < 4
        )


def test_a_failed_batch_call_falls_back_to_single_images() -> None:
    pytest.importorskip("torchvision")
    truncated = make_image(3)[:-400]
    image, failed = decode_batch(
        [_tensor(one) for one in (make_image(1), truncated)], size_px=SIDE_PX, device=CPU
    )
    assert image[0].float().std() > 0
    assert failed in ([], [1])
