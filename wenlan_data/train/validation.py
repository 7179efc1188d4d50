"""Retrieval metrics over the validation pairs, of which each rank embeds its part."""

from collections.abc import Callable
from contextlib import closing

import torch
from torch import Tensor

from wenlan_data.errors import DamageError, InterruptedBuildError
from wenlan_data.eval.corpus_eval import caption_retrieval, text_ids
from wenlan_data.eval.embed import EmbeddingModel, Embeddings, concatenate, embed_corpus
from wenlan_data.eval.retrieval import EqualTexts, Retrieval
from wenlan_data.train.distributed import Distributed, all_gather_rows, on_any_rank
from wenlan_data.train.options import TrainOptions

VALIDATION_RULE: EqualTexts = "merge"
"""A corpus has many equal captions, and a model cannot tell apart whose they are."""
_BATCH_STRIDE = 1 << 20
"""More than a batch has rows: a row's place is the number of its batch times this, and its row."""


def validation_metrics(
    model: EmbeddingModel,
    options: TrainOptions,
    distributed: Distributed,
    stop: Callable[[], bool],
) -> Retrieval:
    """Computes the metrics of all ranks' pairs together, on every rank; a collective.

    Raises `InterruptedBuildError` where `stop()` is true on any rank, and the error of a rank whose
    pairs cannot be read, or `DamageError` on the others.
    """
    limit = -(-model.config.validation.max_samples // distributed.world_size)
    parts, failure = [], None
    # Where the rows would be with one rank, so that all numbers of ranks take the same pairs.
    orders = [torch.zeros(0, dtype=torch.int64)]
    try:
        with closing(
            embed_corpus(
                model,
                options.val_shards,
                workers=options.workers,
                limit=limit,
                rank=distributed.rank,
                world_size=distributed.world_size,
            )
        ) as embedded:
            for number, part in enumerate(embedded):
                if stop():
                    raise InterruptedBuildError("the evaluation was interrupted: run it again")
                parts.append(part)
                batch = number * distributed.world_size + distributed.rank
                orders.append(batch * _BATCH_STRIDE + torch.arange(len(part.keys)))
    except Exception as error:  # noqa: BLE001 # raised below, once all ranks know of it
        failure = error
    # Before the first collective with vectors: a rank that failed has none.
    if on_any_rank(isinstance(failure, InterruptedBuildError), distributed):
        raise InterruptedBuildError("the evaluation was interrupted: run it again")
    if on_any_rank(failure is not None, distributed):
        raise failure or DamageError("validation failed on another rank: see its message")
    # Of few samples some ranks have none.
    nothing = torch.zeros(0, model.config.embedding)
    own = concatenate([Embeddings(keys=[], texts=[], image_BE=nothing, text_BE=nothing), *parts])
    order = _gathered(torch.cat(orders), distributed)
    taken = order.argsort()[: model.config.validation.max_samples]
    image, text, ids = (
        _gathered(rows, distributed)[taken]
        for rows in (own.image_BE, own.text_BE, text_ids(own.texts))
    )
    return caption_retrieval(image, text, ids, VALIDATION_RULE)


def _gathered(rows: Tensor, distributed: Distributed) -> Tensor:
    # NCCL needs them on the GPU; the metrics are computed on the CPU.
    return all_gather_rows(rows.to(distributed.device)).cpu()
