"""Pictures decoded on the device as one list: nvJPEG on a GPU, libjpeg on a CPU by the same call (for tests)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from wenlan_data.errors import UsageError
from wenlan_data.load.decode import decode_turbo, is_plain_jpeg
from wenlan_data.records import Drop


def decode_list(
    pictures: Sequence[Tensor], *, size_px: int, device: torch.device
) -> tuple[Tensor, list[int]]:
    """uint8 (B, 3, S, S) of JPEGs as uint8 (N) host tensors, and the rows that could not be decoded (zeros).

    A list call that fails gives nothing at all, so its pictures are then decoded on the CPU, one by one.
    Raises `UsageError` where torchvision is missing.
    """
    plain = [row for row, picture in enumerate(pictures) if is_plain_jpeg(_bytes(picture))]
    found = _decoded([pictures[row] for row in plain], device) if plain else None
    decoded = dict(zip(plain, found, strict=True)) if found else {}
    image = torch.zeros((len(pictures), 3, size_px, size_px), dtype=torch.uint8, device=device)
    bad: list[int] = []
    for row, picture in enumerate(pictures):
        if row in decoded:
            image[row] = _fitted(decoded[row], size_px)
            continue
        out = torch.zeros((size_px, size_px, 3), dtype=torch.uint8)
        if isinstance(decode_turbo(_bytes(picture), out.numpy()), Drop):
            bad.append(row)
        else:
            image[row] = out.permute(2, 0, 1).to(device)
    return image.contiguous(memory_format=torch.channels_last), bad


def _decoded(pictures: Sequence[Tensor], device: torch.device) -> list[Tensor] | None:
    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except ModuleNotFoundError as error:
        raise UsageError(
            "decoder 'cuda' needs the package 'torchvision': pip install it"
        ) from error
    if device.type == "cuda":
        # The hardware engine of nvJPEG ignores the order of streams: it writes into memory that queued kernels
        # may still read (torchcodec 1634; the fix for torchvision was not merged).
        torch.cuda.current_stream(device).synchronize()
    try:
        found: list[Tensor] = decode_jpeg(list(pictures), mode=ImageReadMode.RGB, device=device)
    except RuntimeError:
        return None
    return found


def _fitted(pixels_CHW: Tensor, size_px: int) -> Tensor:
    resized = functional.interpolate(
        pixels_CHW[None].float(),
        size=(size_px, size_px),
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    return resized[0].round().clamp(0, 255).to(torch.uint8)


def _bytes(picture: Tensor) -> memoryview:
    return picture.numpy().data
