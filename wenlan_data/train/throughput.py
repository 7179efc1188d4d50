"""How much of a GPU a training uses: floating-point operations, and memory."""

import re
import resource
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from wenlan_data.model.inputs import Inputs
from wenlan_data.model.towers import Towers
from wenlan_data.train.objective import Objective

PEAK_BF16_FLOPS = {
    "A100": 312e12,
    "A800": 312e12,
    "H100.*PCIe": 756e12,
    "H100|H800|H200|GH200": 989e12,
    "B200": 2250e12,
    "L40S": 362e12,
    "L4$": 121e12,
    "4090": 165e12,
    "A10$": 125e12,
    "V100": 125e12,
}
"""Dense bf16 operations a second of matrix units, by a part of the device's name, from NVIDIA's
data sheets; fp16 for the V100, which has no bf16. The first that matches holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUse:
    """What the figures of throughput are computed from."""

    ranks: int
    device: torch.device
    pair_flops: int
    """Of `flops_of_pair`."""
    precision: str
    """`bf16`, whose peak is known, or `fp32`."""

    def figures(self, samples_per_s: float) -> dict[str, float]:
        """Samples a second and operations a second of a rank, memory of this rank, and where the
        device's peak is known the share of it (MFU, arXiv 2204.02311, appendix B)."""
        each = samples_per_s / self.ranks
        peak = peak_flops(self.device) if self.precision == "bf16" else None
        return {
            "samples_per_s_rank": each,
            "tflops_rank": each * self.pair_flops / 1e12,
            "peak_memory_bytes": peak_memory_bytes(self.device),
            **({"mfu": each * self.pair_flops / peak} if peak else {}),
        }


def peak_flops(device: torch.device) -> float | None:
    """The device's peak, or None where it is not known here."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK_BF16_FLOPS.items() if re.search(part, name)), None)


def flops_of_pair(towers: Towers, objective: Objective[Any], inputs: Inputs) -> int:
    """Counts the operations of one pair in a step: forward and backward pass of the model, and what
    the objective computes without gradients.

    Runs the first pair of `inputs` through the model once, without a trace in weights, gradients,
    statistics or generators. Activations that are computed again (`recompute`) are counted again.
    """
    values = ((one.name, getattr(inputs, one.name)) for one in fields(inputs))
    pair = replace(inputs, **{name: one[:1] for name, one in values if one is not None})
    trained = [one for one in towers.parameters() if one.requires_grad]
    modes = [(module, module.training) for module in towers.modules()]
    devices = [pair.image.device] if pair.image.device.type == "cuda" else []
    # Statistics of BatchNorm and random numbers must not depend on whether this is counted.
    towers.eval()
    try:
        with (
            torch.random.fork_rng(devices=devices),
            torch.compiler.set_stance("force_eager"),
            FlopCounterMode(display=False) as counter,
        ):
            outputs = _tensors(objective.outputs(towers, pair))
            torch.autograd.grad([one.sum() for one in outputs], trained, allow_unused=True)
    finally:
        for module, was_training in modes:
            module.training = was_training
    return int(counter.get_total_flops())


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory that was allocated on a GPU, or on a CPU the most that was resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _tensors(outputs: Any) -> list[Tensor]:
    """The tensors with gradients of what a model returned: a tuple, or a dataclass of tensors."""
    values = (
        outputs
        if isinstance(outputs, tuple)
        else [getattr(outputs, one.name) for one in fields(outputs)]
    )
    return [one for one in values if isinstance(one, Tensor) and one.requires_grad]
