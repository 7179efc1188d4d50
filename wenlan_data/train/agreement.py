"""Checks at the start that all ranks train the same: a rank that reads another corpus, config or
checkpoint gives a result that no single process would, or waits for ever."""

import hashlib
from collections.abc import Mapping

import torch

from wenlan_data.errors import UsageError
from wenlan_data.train.distributed import Distributed, all_gather


def check_agreement(distributed: Distributed, values: Mapping[str, str]) -> None:
    """Raises `UsageError` on every rank where one of the values differs between ranks; a
    collective. `values` have the same names, in the same order, on all ranks."""
    own = torch.tensor([[_digest(value) for value in values.values()]], device=distributed.device)
    all_ranks = all_gather(own)
    for column, name in enumerate(values):
        others = [
            str(rank)
            for rank, value in enumerate(all_ranks[:, column].tolist())
            if value != all_ranks[0, column].item()
        ]
        if others:
            raise UsageError(
                f"rank {', '.join(others)} of {distributed.world_size} has another {name} than "
                "rank 0: give all nodes the same command, files and version"
            )


def _digest(value: str) -> int:
    return int.from_bytes(hashlib.sha256(value.encode()).digest()[:8], "little", signed=True)
