"""Yields undecoded samples, for users with their own loop, collate function or decoder."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from wenlan_data.errors import UsageError
from wenlan_data.load.loader_settings import FaultPolicy, SamplingSettings
from wenlan_data.load.mixing import Paths, WeightedCorpus, open_mixture
from wenlan_data.load.node_shares import divide
from wenlan_data.load.sample_reader import EncodedSample, EpochSpec, SampleReader
from wenlan_data.load.shuffle import batch_count

CHUNK_SAMPLES = 256
"""The workers of a `DataLoader` take turns by runs of this length."""


class SampleStream(IterableDataset[dict[str, object]]):
    """An epoch of undecoded samples, each a mapping named as in webdataset.

    A mapping holds `__key__` and the bytes of each member by extension; with
    `FaultPolicy.check_share`, a sample whose bytes are wrong holds `__problem__` instead. The order
    is that of `Loader`. `position` counts samples of all ranks together, and every rank receives
    the same number. The workers of a `DataLoader` share the stream.
    Raises `UsageError` for wrong arguments.

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from wenlan_data.testing import make_sample, write_corpus
    >>> corpus = write_corpus(Path(mkdtemp()) / "corpus", [[make_sample(n) for n in range(8)]])
    >>> samples = list(SampleStream(corpus))
    >>> len(samples), sorted(samples[0])
    (8, ['__key__', 'jpg', 'json', 'txt'])
    """

    def __init__(
        self,
        shards: Paths | Sequence[WeightedCorpus],
        *,
        epoch: int = 0,
        position: int = 0,
        sampling: SamplingSettings = SamplingSettings(),
        faults: FaultPolicy = FaultPolicy(),
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__()
        if sampling.nodes > 1:
            raise UsageError("nodes: only `Loader` divides shards among nodes: set it to 1")
        mixture = open_mixture(shards, skip_corrupt=faults.skips_corrupt_shards, note=note)
        self.samples, self.position, self.sampling = mixture.samples, position, sampling
        if not 0 <= position <= self.samples:
            raise UsageError(f"position {position}: the epoch has {self.samples} samples")
        order = EpochSpec(
            shares=divide(mixture.quotas, 1, 1),
            seed=sampling.seed,
            epoch=epoch,
            shuffle=sampling.shuffle,
        )
        self._reader = SampleReader(
            shards=mixture.shards, epoch=order, check_share=faults.check_share
        )

    def __len__(self) -> int:
        remaining = self.samples - self.position
        return batch_count(remaining, self.sampling.world_size, pad=not self.sampling.drop_last)

    def __iter__(self) -> Iterator[dict[str, object]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for start in range(number * CHUNK_SAMPLES, len(self), workers * CHUNK_SAMPLES):
            numbers = np.arange(start, min(start + CHUNK_SAMPLES, len(self)))
            # Ranks take turns by single samples.
            indices = self.position + numbers * self.sampling.world_size + self.sampling.rank
            for sample in self._reader.read(indices):
                yield _as_mapping(sample)


def _as_mapping(sample: EncodedSample) -> dict[str, object]:
    if sample.problem:
        return {
            "__key__": sample.key,
            "__problem__": f"{sample.problem.reason}: {sample.problem.detail}",
        }
    return {"__key__": sample.key, **{name: bytes(data) for name, data in sample.members.items()}}
