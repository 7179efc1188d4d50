"""Embeddings of a corpus's images and texts by the towers of a checkpoint."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from wenlan_data.load import ImageSettings, Loader, LoaderBatch, SamplingSettings, TextSettings
from wenlan_data.load.text import RANDOM_CHOICES, load_tokenizer, pad_tokens
from wenlan_data.model.allocator import keep_freed_memory
from wenlan_data.model.checkpoint import (
    EMA,
    TOKENIZER,
    checkpoint_path,
    checkpoint_towers,
    load_checkpoint,
)
from wenlan_data.model.config import TrainConfig, parse_config
from wenlan_data.model.inputs import (
    Inputs,
    batch_boxes,
    no_boxes,
    normalise_images,
    pad_as_released,
)
from wenlan_data.model.tokenizer import check_tokenizer, vocabulary_size
from wenlan_data.model.towers import Towers

MAX_BATCH_PIXELS = 64 * 512 * 512


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingModel:
    """Towers in evaluation mode, with the config and the tokenizer that make their inputs."""

    towers: Towers
    config: TrainConfig
    tokenizer: Path
    device: torch.device
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the towers; vectors are float32 in any case."""

    def autocast(self) -> torch.autocast:
        """The context in which the towers run."""
        is_bf16 = self.precision == "bf16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_bf16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """B samples and the L2-normalised vectors of their images and texts."""

    keys: list[str]
    texts: list[str]
    image_BE: Tensor
    """float32 (B, E), on the CPU."""
    text_BE: Tensor
    """float32 (B, E), on the CPU."""


def load_model(given: Path, device: torch.device | None = None) -> EmbeddingModel:
    """Loads the towers of a checkpoint, or of a run's best checkpoint, its newest without
    validation; with averaged weights where the checkpoint holds some (`ema.decay`).

    No pretrained weights are fetched for the backbones: the checkpoint holds all weights. `device`
    defaults to the GPU where there is one. Raises `UsageError` or `DamageError` where the
    checkpoint cannot be read.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        keep_freed_memory()
    checkpoint = load_checkpoint(checkpoint_path(given), only=("model", EMA))
    config = parse_config(checkpoint.state.config, str(checkpoint.path))
    tokenizer = checkpoint.path / TOKENIZER
    towers = checkpoint_towers(checkpoint, config, vocabulary_size(tokenizer))
    check_tokenizer(tokenizer, towers, config.text.max_tokens)
    return EmbeddingModel(
        towers=towers.to(device).eval(), config=config, tokenizer=tokenizer, device=device
    )


def embed_corpus(
    model: EmbeddingModel,
    shards: Sequence[Path],
    *,
    batch_size: int = 64,
    workers: int = 2,
    limit: int | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Generator[Embeddings]:
    """Yields every sample once, in the order of the shards, up to the batch that reaches `limit`.

    Of several ranks each gets its part; `limit` is that of a rank.
    """
    loader = corpus_loader(
        model, shards, batch_size=batch_size, workers=workers, rank=rank, world_size=world_size
    )
    count = 0
    with loader:
        for batch in loader:
            # Repeated rows pad the last batch or replace samples that cannot be used.
            rows = [row for row, again in enumerate(batch["repeated"].tolist()) if not again]
            if rows:
                yield _embed_batch(model, batch, rows)
            count += len(rows)
            if limit and count >= limit:
                return


def corpus_loader(
    model: EmbeddingModel,
    shards: Sequence[Path],
    *,
    batch_size: int = 64,
    workers: int = 2,
    rank: int = 0,
    world_size: int = 1,
    with_tokens: bool = True,
) -> Loader:
    """Makes a loader of the model's inputs, in the order of the shards."""
    config = model.config
    return Loader(
        list(shards),
        # As many pixels as 64 images of 512 x 512: a checkpoint may want 2048 x 2048.
        batch_size=max(1, min(batch_size, MAX_BATCH_PIXELS // config.image.size_px**2)),
        size_px=config.image.size_px,
        workers=workers,
        sampling=SamplingSettings(shuffle=None, rank=rank, world_size=world_size),
        images=ImageSettings(max_regions=config.regions.max_boxes),
        texts=TextSettings(
            # Training may draw a text at random. An evaluation must not depend on the draw.
            choose="caption" if config.text.choose in RANDOM_CHOICES else config.text.choose,
            min_confidence=config.text.min_confidence,
            tokenizer=model.tokenizer if with_tokens else None,
            max_tokens=config.text.max_tokens,
        ),
    )


@torch.no_grad()
def embed_texts(model: EmbeddingModel, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
    """float32 (M, E), the L2-normalised vectors of texts, on the CPU."""
    tokenizer = load_tokenizer(model.tokenizer, model.config.text.max_tokens)
    vectors = []
    for start in range(0, len(texts), batch_size):
        ids, _ = tokenizer.encode(texts[start : start + batch_size])
        tokens_BL, mask_BL = pad_tokens(ids)
        tokens, mask = pad_as_released(
            torch.from_numpy(tokens_BL), torch.from_numpy(mask_BL), model.config
        )
        # The text tower reads no image: any tensor does.
        image = torch.zeros(len(ids), 3, 1, 1)
        inputs = _inputs(model, image, *no_boxes(len(ids)), tokens, mask)
        with model.autocast():
            vectors.append(model.towers.embed_texts(inputs).float().cpu())
    return torch.cat(vectors) if vectors else torch.zeros(0, model.config.embedding)


def concatenate(parts: Sequence[Embeddings]) -> Embeddings:
    """The samples of all parts, in order."""
    return Embeddings(
        keys=[key for part in parts for key in part.keys],
        texts=[text for part in parts for text in part.texts],
        image_BE=torch.cat([part.image_BE for part in parts]),
        text_BE=torch.cat([part.text_BE for part in parts]),
    )


@torch.no_grad()
def _embed_batch(model: EmbeddingModel, batch: LoaderBatch, rows: list[int]) -> Embeddings:
    boxes, box_mask = batch_boxes(batch)
    tokens, token_mask = pad_as_released(
        batch["tokens"][rows], batch["token_mask"][rows], model.config
    )
    image = normalise_images(batch["image"][rows].to(model.device), model.config)
    inputs = _inputs(model, image, boxes[rows], box_mask[rows], tokens, token_mask)
    with model.autocast():
        image_BE, text_BE = model.towers.embed_images(inputs), model.towers.embed_texts(inputs)
    return Embeddings(
        keys=[batch["key"][row] for row in rows],
        texts=[batch["text"][row] for row in rows],
        image_BE=image_BE.float().cpu(),
        text_BE=text_BE.float().cpu(),
    )


def _inputs(
    model: EmbeddingModel,
    image: Tensor,
    boxes: Tensor,
    box_mask: Tensor,
    tokens: Tensor,
    token_mask: Tensor,
) -> Inputs:
    return Inputs(
        image=image.to(model.device),
        boxes=boxes.to(model.device),
        box_mask=box_mask.to(model.device),
        tokens=tokens.to(model.device),
        token_mask=token_mask.to(model.device),
    )
