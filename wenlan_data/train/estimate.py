"""What a training would take, before it starts: parameters by block, memory by part, steps and tokens."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import AutoConfig

from wenlan_data.errors import UsageError, in_short
from wenlan_data.model.backbones import check_fit, read_weights
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.towers import Towers, make_towers
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.shard.reader import is_corpus, scan, shard_paths
from wenlan_data.train.corpus_mark import check_shards
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.resume import check_init

BYTES = 4
"""Of a parameter, its gradient and each of Adam's two averages: all are fp32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A training, as numbers. Memory in bytes, of one rank."""

    config: str
    config_digest: str
    parameters: dict[str, tuple[int, int]]
    """By block: all, and those that learn."""
    memory: dict[str, int]
    """By part; what the forward pass keeps is not known before it runs."""
    samples: int
    steps: int
    steps_of_an_epoch: int
    tokens_at_most: int
    """Of all steps."""
    ranks: int
    batch_of_a_rank: int


def describe_training(
    config: TrainConfig, options: TrainOptions, ranks: int, *, as_json: bool
) -> str:
    """The estimate as text or JSON. Backbones are made without memory and without weights; nothing is written."""
    found = estimate(config, options, ranks)
    if as_json:
        return json.dumps(asdict(found))
    lines = [
        f"{found.config} ({found.config_digest[:12]})",
        "",
        f"{'parameters':32}{'all':>14}{'learning':>14}",
    ]
    lines += [
        f"  {name:30}{every:14,}{learning:14,}"
        for name, (every, learning) in found.parameters.items()
    ]
    lines += ["", "memory of a rank, without what the forward pass keeps"]
    lines += [f"  {name:30}{size / 2**20:11,.1f} MiB" for name, size in found.memory.items()]
    epochs = found.steps / max(1, found.steps_of_an_epoch)
    lines += [
        "",
        f"{found.samples:,} samples, {found.steps_of_an_epoch:,} steps an epoch",
        f"{found.steps:,} steps are {epochs:.1f} epochs and at most {found.tokens_at_most:,} tokens",
        f"{found.ranks} ranks x {found.batch_of_a_rank} pairs at once",
        "nothing was written",
    ]
    return "\n".join(lines)


def estimate(config: TrainConfig, options: TrainOptions, ranks: int) -> Estimate:
    """Numbers of a training; raises `UsageError` for what a training would refuse at its start."""
    parts = ranks * config.accumulation
    if config.batch_size % parts:
        raise UsageError(
            f"batch_size {config.batch_size}: choose a multiple of {parts} (ranks x accumulation)"
        )
    check_shards(options.shards, options.val_shards)
    if options.resume == "no":
        check_init(options.init, config)
    with torch.device("meta"):
        towers = make_towers(config, config.text.small.vocabulary, _shape(config))
    if config.image.weights not in ("none", "pretrained"):
        wanted = towers.image.backbone.state_dict()
        check_fit(wanted, read_weights(Path(config.image.weights)), config.image.weights)
    samples = count_samples(options.shards)
    return Estimate(
        config=config.name,
        config_digest=config.digest(),
        parameters=_parameters(towers),
        memory=_memory(towers, config),
        samples=samples,
        steps=config.max_steps,
        steps_of_an_epoch=-(-samples // config.batch_size),
        tokens_at_most=config.max_steps * config.batch_size * config.text.max_tokens,
        ranks=ranks,
        batch_of_a_rank=config.batch_size // parts,
    )


def count_samples(shards: Sequence[Path]) -> int:
    """How many there are, by the manifests of corpora; other tars are read through."""
    count = 0
    for path in shards:
        if is_corpus(path):
            count += sum(shard.samples for shard in load_manifest(path).shards)
        else:
            count += sum(sum(1 for _ in scan(tar)) for tar in shard_paths([path]))
    return count


def _shape(config: TrainConfig) -> dict[str, object]:
    """The text encoder's configuration alone, looked for as its weights would be."""
    if config.text.backbone == "small":
        return {}
    try:
        found = AutoConfig.from_pretrained(config.text.backbone)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"text.backbone {config.text.backbone!r}: its configuration could not be had ({in_short(error)}): "
            "offline, give a folder with config.json"
        ) from error
    shape: dict[str, object] = json.loads(found.to_json_string(use_diff=False))
    return shape


def _parameters(towers: Towers) -> dict[str, tuple[int, int]]:
    every: Counter[str] = Counter()
    learning: Counter[str] = Counter()
    for name, parameter in towers.named_parameters():
        block = _block(name)
        for key in (block, "total"):
            every[key] += parameter.numel()
            learning[key] += parameter.numel() if parameter.requires_grad else 0
    names = [*(name for name in every if name != "total"), "total"]
    return {name: (every[name], learning[name]) for name in names}


def _block(name: str) -> str:
    """`image.backbone.blocks.3` of a parameter inside it: up to the first number, or three words."""
    words = name.split(".")
    number = next((at for at, word in enumerate(words) if word.isdigit()), 2)
    return ".".join(words[: number + 1][:6]) if number < len(words) - 1 else ".".join(words[:2])


def _memory(towers: Towers, config: TrainConfig) -> dict[str, int]:
    every = sum(one.numel() for one in towers.parameters()) * BYTES
    learning = sum(one.numel() for one in towers.parameters() if one.requires_grad) * BYTES
    found = {
        "towers": every,
        "gradients": learning,
        "optimizer": 2 * learning,
        "momentum towers (own part)": learning if config.objective == "brivl" else 0,
        "queues": 2 * config.negatives.queue * (config.embedding * BYTES + 8),
    }
    return {**found, "total": sum(found.values())}
