"""Decodes a batch of JPEGs with one call: nvJPEG on a GPU, libjpeg on a CPU (for tests)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from wenlan_data.errors import UsageError
from wenlan_data.load.decode import decode_turbo, is_plain_jpeg
from wenlan_data.records import Drop


def decode_batch(
    encoded: Sequence[Tensor], *, size_px: int, device: torch.device
) -> tuple[Tensor, list[int]]:
    """Decodes images, uint8 (N,) host tensors each.

    Returns uint8 (B, 3, S, S) and the rows that could not be decoded, which are zeros.
    Raises `UsageError` if torchvision is missing.
    """
    plain = [row for row, data in enumerate(encoded) if is_plain_jpeg(_view(data))]
    found = _decode_jpegs([encoded[row] for row in plain], device) if plain else None
    decoded = dict(zip(plain, found, strict=True)) if found else {}
    image = torch.zeros((len(encoded), 3, size_px, size_px), dtype=torch.uint8, device=device)
    failed: list[int] = []
    for row, data in enumerate(encoded):
        if row in decoded:
            image[row] = _resized(decoded[row], size_px)
            continue
        out = torch.zeros((size_px, size_px, 3), dtype=torch.uint8)
        if isinstance(decode_turbo(_view(data), out.numpy()), Drop):
            failed.append(row)
        else:
            image[row] = out.permute(2, 0, 1).to(device)
    return image.contiguous(memory_format=torch.channels_last), failed


def _decode_jpegs(encoded: Sequence[Tensor], device: torch.device) -> list[Tensor] | None:
    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except ModuleNotFoundError as error:
        raise UsageError(
            "decoder 'cuda' needs the package 'torchvision': pip install it"
        ) from error
    if device.type == "cuda":
        # The hardware engine of nvJPEG ignores stream order: it writes into memory that queued
        # kernels may still read (torchcodec issue 1634; the fix for torchvision was not merged).
        torch.cuda.current_stream(device).synchronize()
    try:
        found: list[Tensor] = decode_jpeg(list(encoded), mode=ImageReadMode.RGB, device=device)
    except RuntimeError:
        # One corrupt image fails the whole call, which then returns nothing. The caller decodes
        # all of them on the CPU, one by one, to find it.
        return None
    return found


def _resized(pixels_CHW: Tensor, size_px: int) -> Tensor:
    # With antialiasing, as Pillow does: without it a large factor would skip pixels.
    resized = functional.interpolate(
        pixels_CHW[None].float(),
        size=(size_px, size_px),
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    return resized[0].round().clamp(0, 255).to(torch.uint8)


def _view(encoded: Tensor) -> memoryview:
    return encoded.numpy().data
