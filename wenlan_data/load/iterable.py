"""Samples one by one, for people with a loop, a collate function or a decoder of their own."""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from wenlan_data.errors import UsageError
from wenlan_data.load.mixing import Paths, Source, find_sources
from wenlan_data.load.sample_reader import Encoded, Epoch, SampleReader
from wenlan_data.load.shuffle import Shuffle, batch_count

CHUNK_SAMPLES = 256


class SampleStream(IterableDataset[dict[str, object]]):
    """An epoch of samples as mappings: `__key__` and each member's bytes by extension, as webdataset names them.

    The same order as `Loader`'s. `position` counts samples of all ranks together, and every rank gets as many as
    every other (the start is repeated). The workers of a `DataLoader` take turns, by runs of 256 samples. Raises
    `UsageError` for what is wrong with the arguments, and where fewer samples are left than there are ranks.
    """

    def __init__(
        self,
        shards: Paths | list[Source],
        *,
        seed: int = 0,
        epoch: int = 0,
        position: int = 0,
        rank: int = 0,
        ranks: int = 1,
        shuffle: Shuffle | None = Shuffle(),  # noqa: B008 # a frozen value
        check_share: float = 0.0,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__()
        if not 0 <= rank < ranks:
            raise UsageError(f"rank {rank}: it must be from 0 to {ranks - 1}")
        found = find_sources(shards, skip_damaged=False, note=note)
        self.samples, self.position, self.rank, self.ranks = found.samples, position, rank, ranks
        if not 0 <= position <= self.samples:
            raise UsageError(f"position {position}: the epoch has {self.samples} samples")
        order = Epoch(sources=found.sources, seed=seed, epoch=epoch, shuffle=shuffle)
        self._reader = SampleReader(shards=found.shards, epoch=order, check_share=check_share)

    def __len__(self) -> int:
        return batch_count(self.samples - self.position, self.ranks, pad=True)

    def __iter__(self) -> Iterator[dict[str, object]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for start in range(number * CHUNK_SAMPLES, len(self), workers * CHUNK_SAMPLES):
            turns = np.arange(start, min(start + CHUNK_SAMPLES, len(self)))
            for sample in self._reader.read(self.position + turns * self.ranks + self.rank):
                yield _mapping(sample)


def _mapping(sample: Encoded) -> dict[str, object]:
    if sample.problem:
        return {
            "__key__": sample.key,
            "__problem__": f"{sample.problem.reason}: {sample.problem.detail}",
        }
    return {"__key__": sample.key, **{name: bytes(data) for name, data in sample.members.items()}}
