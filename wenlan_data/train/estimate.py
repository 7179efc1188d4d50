"""Parameters, memory, steps and tokens of a training, before it starts (`--dry-run`)."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from wenlan_data.model.backbones import check_weights, encoder_values, read_weights
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.towers import Towers, make_towers
from wenlan_data.printable import printable
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.shard.reader import is_corpus, scan, shard_paths
from wenlan_data.train.corpus_mark import check_shards
from wenlan_data.train.launch import check_division
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.resume import check_init

BYTES_PER_VALUE = 4
"""Of a parameter, its gradient and each of Adam's two moments: all are fp32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEstimate:
    """The figures of a training. The field names are keys of `--json`."""

    config: str
    config_digest: str
    parameters: dict[str, tuple[int, int]]
    """By block: the number of all parameters, and of those that train."""
    memory: dict[str, int]
    """Bytes of one rank by part, without activations, which are not known before a forward pass."""
    samples: int
    steps: int
    steps_of_an_epoch: int
    tokens_at_most: int
    """Over all steps, with texts of `text.max_tokens`."""
    ranks: int
    batch_of_a_rank: int
    """Pairs of a micro-batch of one rank."""


def describe_training(
    config: TrainConfig, options: TrainOptions, world_size: int, *, as_json: bool
) -> str:
    """The estimate as text or JSON. Nothing is written, and no weights are loaded."""
    found = estimate_training(config, options, world_size)
    if as_json:
        return json.dumps(asdict(found))
    lines = [
        f"{found.config} ({found.config_digest[:12]})",
        "",
        f"{'parameters':32}{'all':>14}{'training':>14}",
    ]
    lines += [
        f"  {name:30}{total:14,}{trained:14,}"
        for name, (total, trained) in found.parameters.items()
    ]
    lines += ["", "memory of a rank, without activations"]
    lines += [f"  {name:30}{size / 2**20:11,.1f} MiB" for name, size in found.memory.items()]
    epochs = found.steps / max(1, found.steps_of_an_epoch)
    lines += [
        "",
        f"{found.samples:,} samples, {found.steps_of_an_epoch:,} steps an epoch",
        f"{found.steps:,} steps are {epochs:.1f} epochs and at most {found.tokens_at_most:,} "
        "tokens",
        f"{found.ranks} ranks x {found.batch_of_a_rank} pairs at a time",
        "nothing was written",
    ]
    return "\n".join(map(printable, lines))


def estimate_training(
    config: TrainConfig, options: TrainOptions, world_size: int
) -> TrainingEstimate:
    """Computes the figures. Raises `UsageError` for what a training would refuse at its start."""
    check_division(config, world_size)
    shards = options.training_shards(config)
    check_shards(shards, options.val_shards, skip_corrupt=config.data.skips_corrupt_shards)
    if options.resume == "no":
        check_init(options.init, config)
    # Meta tensors have shapes and no memory, so this works for models larger than this machine.
    with torch.device("meta"):
        towers = make_towers(config, config.text.small.vocabulary, _encoder_config(config))
    if config.image.weights not in ("none", "pretrained"):
        expected = towers.image.backbone.state_dict()
        check_weights(expected, read_weights(Path(config.image.weights)), config.image.weights)
    samples = count_samples(shards)
    return TrainingEstimate(
        config=config.name,
        config_digest=config.digest(),
        parameters=_parameters(towers),
        memory=_memory(towers, config),
        samples=samples,
        steps=config.max_steps,
        steps_of_an_epoch=-(-samples // config.batch_size),
        tokens_at_most=config.max_steps * config.batch_size * config.text.max_tokens,
        ranks=world_size,
        batch_of_a_rank=config.batch_size // (world_size * config.accumulation),
    )


def count_samples(shards: Sequence[Path]) -> int:
    """Counts samples by the manifests of corpora; other tars are read through."""
    count = 0
    for path in shards:
        if is_corpus(path):
            count += sum(shard.samples for shard in load_manifest(path).shards)
        else:
            count += sum(sum(1 for _ in scan(tar)) for tar in shard_paths([path]))
    return count


def _encoder_config(config: TrainConfig) -> dict[str, object]:
    """Loads the configuration of the text encoder, without its weights."""
    if config.text.backbone == "small":
        return {}
    return encoder_values(config.text.backbone)


def _parameters(towers: Towers) -> dict[str, tuple[int, int]]:
    total: Counter[str] = Counter()
    trained: Counter[str] = Counter()
    for name, parameter in towers.named_parameters():
        block = _block(name)
        for key in (block, "total"):
            total[key] += parameter.numel()
            trained[key] += parameter.numel() if parameter.requires_grad else 0
    names = [*(name for name in total if name != "total"), "total"]
    return {name: (total[name], trained[name]) for name in names}


def _block(name: str) -> str:
    """The block of a parameter: its name up to the first number, as in `image.backbone.blocks.3`.

    Without a number up to three words of the name, but never its last one (`weight`).
    """
    words = name.split(".")
    number = next((index for index, word in enumerate(words) if word.isdigit()), 2)
    return ".".join(words[: number + 1][:6]) if number < len(words) - 1 else ".".join(words[:2])


def _memory(towers: Towers, config: TrainConfig) -> dict[str, int]:
    total = sum(one.numel() for one in towers.parameters()) * BYTES_PER_VALUE
    trained = sum(one.numel() for one in towers.parameters() if one.requires_grad) * BYTES_PER_VALUE
    memory = {
        "towers": total,
        "gradients": trained,
        "optimizer": 2 * trained,
        "momentum towers (own part)": trained if config.objective == "brivl" else 0,
        "queues": 2 * config.negatives.queue * (config.embedding * BYTES_PER_VALUE + 8),
    }
    return {**memory, "total": sum(memory.values())}
