"""Vectors of a corpus's pictures and texts, by the towers of a checkpoint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wenlan_data.load import ImageSettings, Loader, LoaderBatch, SamplingSettings, TextSettings
from wenlan_data.load.text import RANDOM_CHOICES, load_tokenizer, pad_tokens
from wenlan_data.model.allocator import keep_freed_memory
from wenlan_data.model.checkpoint import TOKENIZER, checkpoint_path, load_checkpoint, load_towers
from wenlan_data.model.config import TrainConfig, parse_config
from wenlan_data.model.inputs import Inputs, normalised, padded_as_published
from wenlan_data.model.tokenizer import vocabulary_size
from wenlan_data.model.towers import Towers, make_towers


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Towers in evaluation mode, with what is needed to feed them."""

    towers: Towers
    config: TrainConfig
    tokenizer: Path
    device: torch.device


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Samples and the unit vectors of their pictures and texts."""

    keys: list[str]
    texts: list[str]
    image_BE: Tensor
    """float32 on the CPU."""
    text_BE: Tensor


def load_model(given: Path, device: torch.device | None = None) -> Model:
    """The towers of a checkpoint, or of a run its best or newest one.

    Backbones are made from the config without asking for their weights: the checkpoint holds them.
    Raises `UsageError` or `DamageError` where it cannot be read.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        keep_freed_memory()
    checkpoint = load_checkpoint(checkpoint_path(given), only=("model",))
    config = parse_config(checkpoint.state.config, str(checkpoint.path))
    tokenizer = checkpoint.path / TOKENIZER
    towers = make_towers(config, vocabulary_size(tokenizer), checkpoint.state.text_encoder)
    load_towers(towers, checkpoint)
    return Model(towers=towers.to(device).eval(), config=config, tokenizer=tokenizer, device=device)


def vectors_of(
    model: Model,
    shards: Sequence[Path],
    *,
    batch_size: int = 64,
    workers: int = 2,
    limit: int | None = None,
) -> Iterator[Vectors]:
    """Every sample once, in the order of the shards; at most about `limit` of them."""
    choice = model.config.text.choose
    loader = Loader(
        list(shards),
        batch_size=batch_size,
        size_px=model.config.image.size_px,
        workers=workers,
        sampling=SamplingSettings(shuffle=None),
        images=ImageSettings(
            max_regions=model.config.regions.most if model.config.regions.mode == "boxes" else 0
        ),
        texts=TextSettings(
            choose="caption" if choice in RANDOM_CHOICES else choice,
            tokenizer=model.tokenizer,
            max_tokens=model.config.text.max_tokens,
        ),
    )
    given = 0
    with loader:
        for batch in loader:
            kept = [row for row, repeated in enumerate(batch["repeated"].tolist()) if not repeated]
            if kept:
                yield _vectors(model, batch, kept)
            given += len(kept)
            if limit and given >= limit:
                return


@torch.no_grad()
def text_vectors(model: Model, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
    """float32 (M, E), unit vectors of texts, on the CPU."""
    tokenizer = load_tokenizer(model.tokenizer, model.config.text.max_tokens)
    found = []
    for start in range(0, len(texts), batch_size):
        ids, _ = tokenizer.encode(texts[start : start + batch_size])
        tokens_BL, mask_BL = pad_tokens(ids)
        tokens, mask = padded_as_published(
            torch.from_numpy(tokens_BL), torch.from_numpy(mask_BL), model.config
        )
        inputs = _inputs(model, torch.zeros(len(ids), 3, 1, 1), None, None, tokens, mask)
        found.append(model.towers.text_vectors(inputs).float().cpu())
    return torch.cat(found) if found else torch.zeros(0, model.config.embedding)


@torch.no_grad()
def _vectors(model: Model, batch: LoaderBatch, kept: list[int]) -> Vectors:
    boxes, mask = batch.get("boxes"), batch.get("box_mask")
    tokens, token_mask = padded_as_published(
        batch["tokens"][kept], batch["token_mask"][kept], model.config
    )
    image = normalised(batch["image"][kept].to(model.device), model.config)
    inputs = _inputs(
        model,
        image,
        None if boxes is None else boxes[kept],
        None if mask is None else mask[kept],
        tokens,
        token_mask,
    )
    return Vectors(
        keys=[batch["key"][row] for row in kept],
        texts=[batch["text"][row] for row in kept],
        image_BE=model.towers.image_vectors(inputs).float().cpu(),
        text_BE=model.towers.text_vectors(inputs).float().cpu(),
    )


def _inputs(
    model: Model,
    image: Tensor,
    boxes: Tensor | None,
    mask: Tensor | None,
    tokens: Tensor,
    token_mask: Tensor,
) -> Inputs:
    none = torch.zeros(len(tokens), 0, 4)
    return Inputs(
        image=image.to(model.device),
        boxes=(none if boxes is None else boxes).to(model.device),
        box_mask=(none[..., 0].bool() if mask is None else mask).to(model.device),
        tokens=tokens.to(model.device),
        token_mask=token_mask.to(model.device),
    )
