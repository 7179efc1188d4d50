"""Parameters, memory, steps and tokens of a training, before it starts (`--dry-run`)."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from wenlan_data.load.loader_settings import WorkerSettings
from wenlan_data.load.shared_ring import SPARE_SLOTS
from wenlan_data.model.backbones import check_weights, encoder_values, read_weights
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.towers import Towers, make_towers
from wenlan_data.printable import printable
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.shard.reader import is_corpus, scan, shard_paths
from wenlan_data.train.activations import activation_bytes
from wenlan_data.train.corpus_mark import check_shards
from wenlan_data.train.features import open_features
from wenlan_data.train.launch import check_division
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.resume import check_init

BYTES_PER_VALUE = 4
"""Of a parameter, its gradient and each of Adam's two moments: all are fp32."""
NOT_COUNTED = (
    "not counted: CUDA context, allocator, workspaces of kernels, forward pass of momentum towers",
    "not counted: the loader's processes and libraries, mapped indexes; on rank 0 the copy of a "
    "checkpoint",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEstimate:
    """The figures of a training. The field names are keys of `--json`."""

    config: str
    config_digest: str
    parameters: dict[str, tuple[int, int]]
    """By block: the number of all parameters, and of those that train."""
    memory: dict[str, int]
    """Bytes of one rank on its GPU by part, and their sum, `total`."""
    activations_at_most: int
    """Bytes of `activations` if all of them were fp32; with bf16 those of norms and softmax are."""
    host_memory: dict[str, int]
    """Bytes of one rank on its host by part, and their sum, `total`."""
    checkpoint_bytes: int
    """Of one checkpoint, without tokenizer and `state.json`."""
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
    lines += _memory_lines(found)
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


def _memory_lines(found: TrainingEstimate) -> Iterator[str]:
    """Yields the tables of memory, in MiB."""
    ranks = f"all {found.ranks}"
    for where, parts, left_out in (
        ("GPU", found.memory, NOT_COUNTED[0]),
        ("host", found.host_memory, NOT_COUNTED[1]),
    ):
        yield ""
        yield f"{f'{where} memory of ranks, MiB':32}{'one':>14}{ranks:>14}"
        for name, size in parts.items():
            yield f"  {name:30}{size / 2**20:14,.1f}{size * found.ranks / 2**20:14,.1f}"
        yield left_out
    more = found.activations_at_most - found.memory["activations"]
    if more:
        yield f"activations are estimated as bf16: at most {more / 2**20:,.1f} MiB more if fp32"
    yield f"a checkpoint has {found.checkpoint_bytes / 2**20:,.1f} MiB"


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
    open_features(config, shards, towers.image, weights=False)
    samples = count_samples(shards)
    batch = config.batch_size // (world_size * config.accumulation)
    activations, at_most = _activations(config, batch)
    return TrainingEstimate(
        config=config.name,
        config_digest=config.digest(),
        parameters=_parameters(towers),
        memory=_with_total(
            {**_memory(towers, config, batch, world_size), "activations": activations}
        ),
        activations_at_most=at_most,
        host_memory=_with_total(_host_memory(config, batch, options.workers)),
        checkpoint_bytes=_checkpoint_bytes(towers, config),
        samples=samples,
        steps=config.max_steps,
        steps_of_an_epoch=-(-samples // config.batch_size),
        tokens_at_most=config.max_steps * config.batch_size * config.text.max_tokens,
        ranks=world_size,
        batch_of_a_rank=batch,
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


def _memory(towers: Towers, config: TrainConfig, batch: int, world_size: int) -> dict[str, int]:
    """Bytes on the GPU of a rank whose micro-batch has `batch` pairs, without activations."""
    divides = config.parallel == "fsdp" and world_size > 1
    parts = world_size if divides else 1
    total = sum(one.numel() for one in towers.parameters()) * BYTES_PER_VALUE
    trained = _trained_bytes(towers)
    # Divided momentum towers have frozen parameters of their own.
    momentum = total if divides else trained
    queries, others = batch, config.negatives.queue
    if config.objective == "clip":
        # The negatives are those of all micro-batches.
        queries, others = batch * config.accumulation, config.batch_size
    elif config.negatives.batch:
        others += config.batch_size // config.accumulation
    return {
        "towers": total // parts,
        "gradients": trained // parts,
        # Gradients are views of the buckets (`gradient_as_bucket_view`).
        "DDP buckets": 0,
        "optimizer": 2 * trained // parts,
        "momentum towers (own part)": momentum // parts if config.objective == "brivl" else 0,
        "weight averages": momentum // parts if config.ema.decay else 0,
        # And whether a row is empty.
        "queues": _queue_bytes(config) + config.negatives.queue,
        # Autocast keeps what it has cast for the backward pass.
        "bf16 weights": trained // 2 if config.precision == "bf16" else 0,
        # Pixels of this batch and of the next one, in uint8, and of this one in fp32.
        "images": batch * 3 * config.image.size_px**2 * (2 + BYTES_PER_VALUE),
        # In both directions the logits and their softmax.
        "logits": 4 * queries * others * BYTES_PER_VALUE,
    }


def _host_memory(config: TrainConfig, batch: int, workers: int) -> dict[str, int]:
    """Bytes on the host of a rank, the same on all of them."""
    slots = workers * WorkerSettings().prefetch + SPARE_SLOTS if workers else 0
    return {"loader's shared ring": slots * batch * 3 * config.image.size_px**2}


def _activations(config: TrainConfig, batch: int) -> tuple[int, int]:
    """Bytes of a micro-batch if all activations have the config's precision, and if all are
    fp32."""
    encoder = _encoder_config(config)
    whole = batch * activation_bytes(config, encoder, torch.float32)
    if config.precision == "fp32":
        return whole, whole
    return batch * activation_bytes(config, encoder, torch.bfloat16), whole


def _checkpoint_bytes(towers: Towers, config: TrainConfig) -> int:
    """Bytes of the tensors in a checkpoint, by `state.checkpoint_tensors`."""
    buffers = sum(one.numel() * one.element_size() for one in towers.buffers())
    total = sum(one.numel() for one in towers.parameters()) * BYTES_PER_VALUE
    trained = _trained_bytes(towers)
    averages = trained if config.ema.decay else 0
    size = total + buffers + 2 * trained + averages
    if config.objective != "brivl":
        return size
    return size + buffers + trained + _queue_bytes(config)


def _trained_bytes(towers: Towers) -> int:
    return sum(one.numel() for one in towers.parameters() if one.requires_grad) * BYTES_PER_VALUE


def _queue_bytes(config: TrainConfig) -> int:
    """Of both queues: vectors, and the ids of their samples and pages."""
    return 2 * config.negatives.queue * (config.embedding * BYTES_PER_VALUE + 8)


def _with_total(parts: dict[str, int]) -> dict[str, int]:
    return {**parts, "total": sum(parts.values())}
