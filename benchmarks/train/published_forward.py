"""Compares the published forward pass of BriVL with ours over a few training steps.

    git clone https://github.com/BAAI-WuDao/BriVL /tmp/BriVL
    git -C /tmp/BriVL checkout bb8d95b
    python -m benchmarks.train.published_forward --checkout /tmp/BriVL

Prints one JSON line: for fp32 and fp64 the largest difference over all steps of vectors, loss,
gradients, weights, momentum weights and queues, whether the queue pointers are equal, and whether
all of it is within the tolerances. Exits with 1 where it is not, with 2 where the checkout lacks
the model code.

Nothing is fetched. Both sides have the same random weights: those of the published model, loaded
into our towers by the names of the released checkpoint (`model.released_weights`).
`published_model.py` states what of the checkout is imported, and what is provided to it. In the run
in fp64 `.float()` keeps fp64 tensors as they are, on both sides.

Three things are set so that both compute the same function. Both are in evaluation mode, without
dropout and with BatchNorm by its statistics, as ours always trains. All samples have the same
number of boxes: the published code shuffles images and boxes before it computes keys, but not the
mask of the boxes. And the key biases of attention are left out of gradients and weights: ours do
not train, and the published ones have gradients of rounding error alone.
"""

import argparse
import json
import math
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import normalize

from benchmarks.train.published_model import (
    QUEUE,
    SIZE_PX,
    VOCABULARY,
    WIDTH,
    CpuMode,
    code_folder,
    published_model,
    published_module,
    write_text_encoder,
)
from wenlan_data.model.config import TrainConfig, load_config
from wenlan_data.model.inputs import Inputs
from wenlan_data.model.released_weights import from_released, load_released
from wenlan_data.model.towers import make_towers
from wenlan_data.train.batches import START, Batch, DataCounts
from wenlan_data.train.distributed import Distributed
from wenlan_data.train.objectives.brivl import Brivl
from wenlan_data.train.state import TrainingState, start_training
from wenlan_data.train.step import training_step

TOLERANCES = {"fp32": 1e-6, "fp64": 1e-12}
"""Of unit vectors absolutely, of the loss relatively, of gradients and weights relative to the L2
norm of all of them."""
BATCH, BOXES, VALID_BOXES, TOKENS = 8, 7, 5, 12
CPU = Distributed(0, 1, torch.device("cpu"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The published model with an optimizer, and our training, with the same weights."""

    published: Any
    optimizer: torch.optim.Optimizer
    training: TrainingState
    config: TrainConfig


def main() -> None:
    """Prints the JSON line; exits with 1 where a tolerance does not hold."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkout", type=Path, required=True, help="of BAAI-WuDao/BriVL")
    parser.add_argument("--steps", type=int, default=4)
    given = parser.parse_args()
    code = code_folder(given.checkout)
    with tempfile.TemporaryDirectory() as folder:
        encoder = Path(folder) / "encoder"
        write_text_encoder(encoder)
        dist.init_process_group("gloo", init_method=f"file://{folder}/ranks", rank=0, world_size=1)
        try:
            vl_model = published_module(code)
            found = {name: compare(vl_model, encoder, given.steps, name) for name in TOLERANCES}
        finally:
            dist.destroy_process_group()
    holds = all(one["holds"] for one in found.values())
    line = {"what": "published forward", "steps": given.steps, "torch": torch.__version__, **found}
    print(json.dumps({**line, "tolerances": TOLERANCES, "holds": holds}))
    sys.exit(0 if holds else 1)


def compare(vl_model: ModuleType, encoder: Path, steps: int, precision: str) -> dict[str, Any]:
    """The largest difference of each quantity over the steps, and whether all are small enough."""
    dtype = torch.float64 if precision == "fp64" else torch.float32
    with CpuMode(keeps_fp64=precision == "fp64") as mode:
        sides = make_sides(vl_model, encoder, steps, dtype)
        worst: dict[str, float] = {}
        equal_pointers = True
        for step in range(steps):
            for name, value in one_step(sides, make_inputs(step, dtype)).items():
                worst[name] = max(worst.get(name, 0.0), value)
            pointer = objective_of(sides.training).queues.pointer
            theirs = (sides.published.img_queue_ptr, sides.published.text_queue_ptr)
            equal_pointers &= all(int(one) == pointer for one in theirs)
    holds = equal_pointers and all(one <= TOLERANCES[precision] for one in worst.values())
    return {
        **worst,
        "pointers_equal": equal_pointers,
        "cuda_calls": mode.cuda_calls,
        "holds": holds,
    }


def make_sides(vl_model: ModuleType, encoder: Path, steps: int, dtype: torch.dtype) -> Sides:
    """The published model from a small config, and our training with its weights and queues."""
    published = published_model(vl_model, encoder).to(dtype)
    config = our_config(encoder, steps)
    towers = make_towers(config, VOCABULARY)
    load_released(towers, published.state_dict())
    towers = towers.to(dtype)
    # It was rounded to fp32, by 3e-8 of the loss.
    nn.init.constant_(towers.log_scale, math.log(1 / config.temperature.value))
    training = start_training(towers, config, CPU.device)
    training.towers.eval()
    fill_queues(training, from_released(published.state_dict()), dtype)
    optimizer = torch.optim.AdamW(
        [one for one in published.parameters() if one.requires_grad],
        lr=config.optimizer.lr,
        betas=config.optimizer.betas,
        eps=config.optimizer.eps,
        weight_decay=0,
    )
    return Sides(published=published, optimizer=optimizer, training=training, config=config)


def our_config(encoder: Path, steps: int) -> TrainConfig:
    """brivl-base with the same sizes, and with `compat: released`."""
    # An eps of 1: else Adam makes full steps from the rounding errors of tiny gradients.
    optimizer = (
        "{lr: 0.3, eps: 1.0, weight_decay: 0, warmup_steps: 0, min_lr_share: 1, clip_norm: 0}"
    )
    return load_config(
        "brivl-base",
        [
            "compat=released", "precision=fp32", "dropout=0.0", f"embedding={WIDTH}",
            "image.backbone=brivl_published_cnn", "image.weights=none", f"image.size_px={SIZE_PX}",
            f"text.backbone={encoder}", f"text.max_tokens={TOKENS}", f"optimizer={optimizer}",
            f"regions={{mode: boxes, most: {BOXES}}}", f"negatives.queue={QUEUE}", "momentum=0.9",
            "attention={layers: 2, heads: 4, feed_forward: 2048}", f"batch_size={BATCH}",
            f"max_steps={steps}",
        ],
    )  # fmt: skip


def fill_queues(training: TrainingState, state: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """Fills our queues with the random rows with which the published ones start."""
    queues = objective_of(training).queues
    queues.image_KD, queues.text_KD = queues.image_KD.to(dtype), queues.text_KD.to(dtype)
    ids = torch.arange(QUEUE) + 1_000_000
    rows = {"image": state["image_queue"], "text": state["text_queue"]}
    queues.restore({**rows, "ids": ids, "pages": torch.zeros_like(ids)}, QUEUE, 0)


def make_inputs(step: int, dtype: torch.dtype) -> Batch:
    """Random images, boxes and texts of different lengths."""
    generator = torch.Generator().manual_seed(100 + step)
    corners = torch.rand(BATCH, BOXES, 2, 2, generator=generator).sort(2).values * (SIZE_PX - 8)
    boxes = torch.cat([corners[:, :, 0], corners[:, :, 1] + 8], dim=2)
    box_mask = (torch.arange(BOXES) < VALID_BOXES).expand(BATCH, BOXES)
    lengths = torch.randint(3, TOKENS + 1, (BATCH, 1), generator=generator)
    token_mask = torch.arange(TOKENS) < lengths
    tokens = torch.randint(1, VOCABULARY, (BATCH, TOKENS), generator=generator)
    ids = torch.arange(BATCH) + BATCH * step
    return Batch(
        inputs=Inputs(
            image=torch.randn(BATCH, 3, SIZE_PX, SIZE_PX, generator=generator).to(dtype),
            boxes=torch.where(box_mask[..., None], boxes, 0).to(dtype),
            box_mask=box_mask,
            tokens=tokens * token_mask,
            token_mask=token_mask,
        ),
        ids=ids,
        pages=torch.zeros_like(ids),
        next_position=START,
        wait_s=0.0,
        counts=DataCounts(),
    )


def one_step(sides: Sides, batch: Batch) -> dict[str, float]:
    """One step of both sides; returns the differences."""
    published, training, given = sides.published, sides.training, batch.inputs
    images = (given.image, given.box_mask.long(), given.boxes)
    texts = (given.tokens, given.token_mask.long())
    with torch.no_grad():
        vectors = {
            "image_vectors": (
                normalize(published.learnable["imgencoder"](*images), dim=-1),
                training.towers.embed_images(given),
            ),
            "text_vectors": (
                normalize(published.learnable["textencoder"](*texts), dim=-1),
                training.towers.embed_texts(given),
            ),
        }
    sides.optimizer.zero_grad()
    loss = published(images[0], texts[0], images[1], texts[1], None, images[2])
    loss.backward()
    figures = training_step(training, training.towers, [batch], sides.config, CPU)
    found = {name: largest(*both) for name, both in vectors.items()}
    found["loss"] = abs(1 - float(figures.values[0]) / float(loss.detach()))
    found["gradients"] = relative(*gradients(sides))
    sides.optimizer.step()
    state = from_released(published.state_dict())
    keys = {name.replace("_key.", "."): one for name, one in state.items() if "_key." in name}
    found["weights"] = relative(state, parameters(training.towers))
    found["momentum"] = relative(keys, parameters(objective_of(training).momentum_towers))
    for name in ("image", "text"):
        found[f"{name}_queue"] = largest(
            state[f"{name}_queue"], objective_of(training).queues.tensors()[name]
        )
    return found


def objective_of(training: TrainingState) -> Brivl:
    """Our objective, with its queues and momentum towers."""
    assert isinstance(training.objective, Brivl)
    return training.objective


def parameters(towers: nn.Module | None) -> dict[str, Tensor]:
    """The parameters of both towers; the temperature is a constant of the published model."""
    named = towers.named_parameters() if towers else ()
    return {name: one.detach() for name, one in named if name != "log_scale"}


def gradients(sides: Sides) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The gradients of both sides by our names. Exits with 1 where other parameters have one."""
    named = sides.published.named_parameters()
    renamed = from_released({name: one.grad for name, one in named if one.grad is not None})
    theirs = {name: one for name, one in renamed.items() if not name.endswith("key.bias")}
    ours = {
        name: one.grad
        for name, one in sides.training.towers.named_parameters()
        if one.grad is not None
    }
    if theirs.keys() != ours.keys():
        different = sorted(theirs.keys() ^ ours.keys())
        print(f"only one side trains {', '.join(different[:5])}", file=sys.stderr)
        sys.exit(1)
    return theirs, ours


def relative(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> float:
    """The L2 norm of the difference of all of our tensors over that of the published ones."""
    squares, difference = torch.zeros(2, dtype=torch.float64)
    for name, own in ours.items():
        one, other = (without_key_bias(name, each.double()) for each in (theirs[name], own))
        squares += one.square().sum()
        difference += (one - other).square().sum()
    return float((difference / squares).sqrt())


def without_key_bias(name: str, value: Tensor) -> Tensor:
    """The tensor without the biases of attention's keys."""
    if name.endswith("attention.self.key.bias"):
        return value[:0]
    if name.endswith("self_attn.in_proj_bias"):
        third = len(value) // 3
        return torch.cat([value[:third], value[2 * third :]])
    return value


def largest(one: Tensor, other: Tensor) -> float:
    """The largest absolute difference of two tensors."""
    return float((one.double() - other.double()).abs().max())


if __name__ == "__main__":
    main()
