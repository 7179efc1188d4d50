"""Measures training beside plain implementations: region pooling, steps of brivl and clip, memory.

python -m benchmarks.train.speed [--quick]

Weights and images are random, since only time is measured.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, normalize

from wenlan_data.model.config import TrainConfig, load_config
from wenlan_data.model.inputs import Inputs
from wenlan_data.model.region_pooling import grid_boxes, grid_weights, pool_boxes, pool_grid
from wenlan_data.model.towers import Towers, make_towers
from wenlan_data.train.frozen_cache import FrozenCache
from wenlan_data.train.momentum import momentum_copy, update_momentum
from wenlan_data.train.objectives import brivl, clip

VOCABULARY = 21128
"""Of the Chinese BERT."""


def main() -> None:
    """Prints one JSON object per measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, smaller batches")
    quick = parser.parse_args().quick
    torch.manual_seed(0)
    print(json.dumps(pooling(2 if quick else 7)), flush=True)
    # The momentum update costs the same at any batch size, so the smaller batch gains less.
    for images in (2,) if quick else (2, 8):
        print(json.dumps(base_step(images, 2 if quick else 5)), flush=True)
    print(json.dumps(clip_step(16, 5)), flush=True)
    print(json.dumps(negatives_memory()))


def pooling(repeats: int, images: int = 8) -> dict[str, object]:
    """Measures 37 regions of 12 x 12 x 2048 maps, forward and backward: our two implementations and
    the released loop."""
    boxes = (grid_boxes(6) * 380).expand(images, 37, 4).contiguous()
    weights = grid_weights(6, 12, 12, 4, "aligned")
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "boxes": lambda maps: pool_boxes(maps, boxes, 380, 4, "released"),
        "grid": lambda maps: pool_grid(maps, weights),
        "loop": lambda maps: published_pooling(maps, boxes, 380),
    }
    maps = torch.randn(images, 2048, 12, 12, requires_grad=True)

    def both_passes(way: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        return lambda: way(maps).sum().backward()  # type: ignore[no-untyped-call]

    work = {name: both_passes(way) for name, way in ways.items()}
    return {"what": "pooling", "images": images, **compared(work, "loop", repeats)}


def published_pooling(maps: Tensor, boxes: Tensor, size_px: int) -> Tensor:
    """Pools as the released code does: one image after the other, the map expanded to every box."""
    return torch.stack(
        [
            published_samples(one, box, size_px).mean((2, 3))
            for one, box in zip(maps, boxes, strict=True)
        ]
    )


def published_samples(one: Tensor, boxes: Tensor, size_px: int) -> Tensor:
    """Returns the samples of one image, (R, C, 4, 4)."""
    height, width = one.shape[1:]
    x1, y1, x2, y2 = (boxes / (size_px / height)).unbind(1)
    zero = torch.zeros_like(x1)
    rows = [(x2 - x1) / (width - 1), zero, (x1 + x2 - width + 1) / (width - 1),
            zero, (y2 - y1) / (height - 1), (y1 + y2 - height + 1) / (height - 1)]  # fmt: skip
    places = affine_grid(
        torch.stack(rows, 1).view(-1, 2, 3), [len(boxes), len(one), 4, 4], align_corners=False
    )
    return grid_sample(one.expand(len(boxes), -1, -1, -1), places, align_corners=False)


class PublishedImage(nn.Module):
    """The published forward pass of images with the parts of our tower: samples, 1x1 convolution on
    each, mean, and the rest."""

    def __init__(self, towers: Towers) -> None:
        super().__init__()
        self.tower = towers.image

    def forward(self, inputs: Inputs) -> Tensor:
        """(B, E)."""
        maps = self.tower.backbone.forward_features(inputs.image)  # type: ignore[operator]
        projection = cast("nn.Linear", self.tower.projection)
        weight, bias = projection.weight[:, :, None, None], projection.bias
        regions = [
            nn.functional.conv2d(published_samples(one, box, 380), weight, bias).mean((2, 3))
            for one, box in zip(maps, inputs.boxes, strict=True)
        ]
        mask = torch.ones(len(maps), 37, dtype=torch.bool)
        return normalize(self.tower.summary(torch.stack(regions), mask), dim=-1)


def base_step(images: int, repeats: int) -> dict[str, object]:
    """Measures a step of brivl-base in fp32 on a CPU: ours, and the published forward pass with
    tokens padded to 80."""
    config = base_config()
    towers = make_towers(config, VOCABULARY)
    towers.set_training()
    cache = FrozenCache()
    keys = momentum_copy(towers, cache.share)
    published, published_keys = PublishedImage(towers), PublishedImage(keys)
    queue = normalize(torch.randn(9600, 2048), dim=1)
    ours, theirs = inputs(images, 24), inputs(images, 80)

    def step() -> None:
        with cache.recording():
            image, text, scale = towers(ours)
            update(towers, keys)
            with torch.no_grad():
                key = keys.embed_images(ours), keys.embed_texts(ours)
        logits = brivl.contrastive_logits(image, text, *key, queue, queue, 1 / scale)
        brivl.contrastive_loss(*logits).backward()  # type: ignore[no-untyped-call]

    def published_step() -> None:
        image, text = published(theirs), towers.embed_texts(theirs)
        update(towers, keys)
        with torch.no_grad():
            key = published_keys(theirs), keys.embed_texts(theirs)
        # The published step clones both queues before it multiplies.
        logits = brivl.contrastive_logits(image, text, *key, queue.clone(), queue.clone(), 0.07)
        brivl.contrastive_loss(*logits).backward()  # type: ignore[no-untyped-call]

    found = compared({"ours": step, "published": published_step}, "published", repeats)
    return {"what": "brivl-base step", "images": images, **found}


def base_config() -> TrainConfig:
    """Returns brivl-base with random weights of the same shape: a 12-layer, 768-wide BERT of which
    four layers learn."""
    return load_config(
        "brivl-base",
        ["precision=fp32", "image.weights=none", "text.backbone=small", "dropout=0.0",
         f"text.small={{layers: 12, width: 768, heads: 12, vocabulary: {VOCABULARY}}}"],
    )  # fmt: skip


def update(towers: Towers, keys: Towers) -> None:
    """Updates the momentum weights."""
    update_momentum(towers.image, keys.image, 0.99)
    update_momentum(towers.text, keys.text, 0.99)


def inputs(images: int, tokens: int) -> Inputs:
    """Returns random images, and texts of `tokens` tokens."""
    return Inputs(
        image=torch.randn(images, 3, 380, 380).contiguous(memory_format=torch.channels_last),
        boxes=(grid_boxes(6) * 380).expand(images, 37, 4),
        box_mask=torch.ones(images, 37, dtype=torch.bool),
        tokens=torch.randint(5, VOCABULARY, (images, tokens)),
        token_mask=torch.arange(tokens).expand(images, tokens) < 24,
    )


def clip_step(images: int, repeats: int) -> dict[str, object]:
    """Measures the clip loss and its gradients beside open_clip's, on the vectors of equal
    towers."""
    try:
        from open_clip.loss import ClipLoss
    except ModuleNotFoundError:
        return {"what": "clip step", "skipped": "pip install open-clip-torch"}
    towers = make_towers(load_config("clip-tiny"), 500)
    towers.set_training()
    given = Inputs(
        image=torch.randn(images, 3, 96, 96),
        boxes=torch.zeros(images, 0, 4),
        box_mask=torch.zeros(images, 0, dtype=torch.bool),
        tokens=torch.randint(5, 500, (images, 16)),
        token_mask=torch.ones(images, 16, dtype=torch.bool),
    )
    theirs = ClipLoss()

    def step() -> None:
        image, text, scale = towers(given)
        logits = clip.contrastive_logits(image, text, image, text, scale)
        clip.contrastive_loss(*logits, torch.arange(images)).backward()  # type: ignore[no-untyped-call]

    def open_clip_step() -> None:
        image, text, scale = towers(given)
        theirs(image, text, scale).backward()

    return {"what": "clip step", "images": images,
            **compared({"ours": step, "open_clip": open_clip_step}, "open_clip", repeats)}  # fmt: skip


def negatives_memory(negatives: int = 9600, width: int = 2048) -> dict[str, object]:
    """Measures the bytes that negatives of one modality take: as a queue, and as a batch whose
    activations the towers keep."""
    queue = negatives * width * 4
    towers = make_towers(load_config("clip-tiny"), 500)
    towers.set_training()
    kept: list[int] = []

    def pack(saved: Tensor) -> Tensor:
        kept.append(saved.numel() * saved.element_size())
        return saved

    image = torch.randn(4, 3, 96, 96)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        towers.image(image)
    return {
        "what": "negatives",
        "negatives": negatives,
        "queue_bytes": queue,
        "batch_bytes_kept_by_clip_tiny": sum(kept) // 4 * negatives,
    }


def compared(ways: dict[str, Callable[[], object]], beside: str, repeats: int) -> dict[str, object]:
    """Returns median wall-clock and processor seconds of each variant, and the median ratio of the
    processor time of `beside` to its own.

    The variants alternate, so that other work on the machine affects all of them; the first round
    is not counted.
    """
    rounds = [{name: timed(work) for name, work in ways.items()} for _ in range(repeats + 1)][1:]
    wall_s, cpu_s = (
        {name: round(statistics.median(one[name][which] for one in rounds), 4) for name in ways}
        for which in (0, 1)
    )
    ratio = {
        f"{beside}/{name}": round(
            statistics.median(one[beside][1] / one[name][1] for one in rounds), 3
        )
        for name in ways
        if name != beside
    }
    return {"wall_s": wall_s, "cpu_s": cpu_s, **ratio}


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Returns wall-clock and processor seconds, of all threads together."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    main()
