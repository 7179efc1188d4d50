"""`Loader`: shards to batches. Its state is the epoch and the number of batches of it."""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import count, islice
from pathlib import Path
from types import TracebackType
from typing import cast

import torch

from wenlan_data.errors import UsageError, WorkerLostError
from wenlan_data.load.batches import BatchDataset
from wenlan_data.load.device_prefetch import DeviceTransform, prefetch_to_device
from wenlan_data.load.loaded_batch import BatchPlace, LoadedBatch, LoaderBatch
from wenlan_data.load.loader_settings import (
    FaultPolicy,
    ImageSettings,
    SamplingSettings,
    TextSettings,
    WorkerSettings,
    check_minimum,
)
from wenlan_data.load.metrics import LoaderCounters, LoaderMetrics
from wenlan_data.load.mixing import Paths, WeightedCorpus, open_mixture
from wenlan_data.load.node_shares import divide
from wenlan_data.load.sample_reader import EpochSpec, SampleReader
from wenlan_data.load.shuffle import ORDER_VERSION
from wenlan_data.load.text import load_tokenizer
from wenlan_data.load.workers import iterate_batches
from wenlan_data.printable import printable

MAX_LOSSES = 3
"""How often workers may be lost while one batch is due. A batch that kills every worker ends it."""
_LOG = logging.getLogger(__name__)


class Loader:
    """An iterator over one rank's batches of one epoch, from global batch `position` on.

    With `epochs` it continues with the epochs that follow, with the same workers, without end for
    None. `epoch` and `position` then say where it is, and `metrics` are those of this epoch.
    `shards` is a corpus, a folder of tars, a tar, a list of these, or weighted corpora.
    `batch_size` is that of one rank, and `size_px` the side S of the square images. `workers` is a
    number of processes, or `WorkerSettings`. With a GPU as `device`, batches arrive there, one
    ahead of their use. `fields` are keys of the samples' JSON that batches deliver as well.
    `LoaderBatch` describes a batch.

    The order is a function of the shards, `sampling.seed`, `sampling.shuffle` and `epoch`. Loaders
    with the same `batch_size * sampling.world_size` give the same global batches, whatever their
    ranks and workers. To resume, save `epoch` and `position` and create a loader with them. `len()`
    is the number of batches left of the epoch.

    If a worker dies or stalls, new ones start at the same position, and `metrics` counts it.

    Raises `UsageError` for wrong arguments and for a rank without a batch. Iterating raises
    `DamageError` if too many samples cannot be used, and `WorkerLostError` if workers were lost
    `MAX_LOSSES` times without a batch in between.

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from wenlan_data.testing import make_sample, write_corpus
    >>> corpus = write_corpus(Path(mkdtemp()) / "corpus", [[make_sample(n) for n in range(6)]])
    >>> loader = Loader(corpus, batch_size=2, size_px=64, workers=0)
    >>> batch = next(loader)
    >>> batch["image"].shape, batch["image"].dtype, batch["boxes"].shape
    (torch.Size([2, 3, 64, 64]), torch.uint8, torch.Size([2, 37, 4]))
    >>> resumed = Loader(corpus, batch_size=2, size_px=64, workers=0, position=loader.position)
    >>> [batch["key"] for batch in resumed] == [batch["key"] for batch in loader]
    True
    """

    def __init__(
        self,
        shards: Paths | Sequence[WeightedCorpus],
        *,
        batch_size: int,
        size_px: int,
        workers: int | WorkerSettings = WorkerSettings(),
        epoch: int = 0,
        epochs: int | None = 1,
        position: int = 0,
        device: str = "cpu",
        fields: Sequence[str] = (),
        sampling: SamplingSettings = SamplingSettings(),
        images: ImageSettings = ImageSettings(),
        texts: TextSettings = TextSettings(),
        faults: FaultPolicy = FaultPolicy(),
    ) -> None:
        check_minimum(
            1, batch_size=batch_size, size_px=size_px, epochs=1 if epochs is None else epochs
        )
        self.workers = WorkerSettings(count=workers) if isinstance(workers, int) else workers
        self.metrics = LoaderMetrics()
        self.mixture = open_mixture(
            shards, skip_corrupt=faults.skips_corrupt_shards, note=self._note
        )
        self.samples = self.mixture.samples
        self.global_batch = batch_size * sampling.world_size
        shares = divide(self.mixture.quotas, sampling.nodes, self.global_batch)
        self.batches = shares.batches(
            together=sampling.batches_together, pad=not sampling.drop_last
        )
        self._note_epoch_end(sampling)
        if not 0 <= position <= self.batches:
            raise UsageError(f"position {position}: the epoch has {self.batches} global batches")
        self.epoch, self.position = epoch, position
        self._last_epoch = None if epochs is None else epoch + epochs - 1
        self.dataset = BatchDataset(
            samples=SampleReader(
                shards=self.mixture.shards,
                epoch=EpochSpec(
                    shares=shares, seed=sampling.seed, epoch=epoch, shuffle=sampling.shuffle
                ),
                check_share=faults.check_share,
            ),
            batch_size=batch_size,
            size_px=size_px,
            sampling=sampling,
            images=images,
            text_choice=texts.choose,
            min_confidence=texts.min_confidence,
            tokenizer=load_tokenizer(texts.tokenizer, texts.max_tokens)
            if isinstance(texts.tokenizer, (str, Path))
            else texts.tokenizer,
            fields=tuple(fields),
        )
        self._counters = self._count(self.metrics)
        self.device = _find_device(device)
        self._transform = DeviceTransform(self.dataset, self.device)
        # Workers are started by the first batch, so a loader that is only inspected costs none.
        self._running: Iterator[LoadedBatch] | None = None
        self._counts_since: float | None = None

    @property
    def fingerprint(self) -> str:
        """Digest of everything but `epoch` that decides the global batches.

        Store it beside `position`: a loader with a different fingerprint has a different order.
        """
        # Names without folders, so that a corpus may be moved between runs.
        shards = [
            (Path(shard.path).name, shard.samples, shard.bytes) for shard in self.mixture.shards
        ]
        quotas = [corpus.quota for corpus in self.mixture.quotas]
        sampling = self.dataset.sampling
        shuffle = asdict(sampling.shuffle) if sampling.shuffle else None
        decisive = [ORDER_VERSION, shards, quotas, sampling.seed, shuffle, self.global_batch]
        if sampling.nodes > 1:
            decisive.append(sampling.nodes)
        return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()

    def __len__(self) -> int:
        return self.batches - self.position

    def __iter__(self) -> "Loader":
        return self

    def __next__(self) -> LoaderBatch:
        if self.position >= self.batches:
            if self.epoch == self._last_epoch:
                self.close()
                raise StopIteration
            self._begin_epoch()
        start = time.perf_counter()
        batch = self._next_batch()
        if batch.error:
            self.close()
            raise batch.error
        self._counters.add(batch.stats, self.dataset.batch_size)
        self._add_wait(start)
        # Counts batches that were delivered, not those that workers have prepared ahead.
        self.position += 1
        return cast("LoaderBatch", batch.values)

    def __enter__(self) -> "Loader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops the workers. The loader can still continue from its position."""
        self._running = None

    def _begin_epoch(self) -> None:
        self.epoch, self.position = self.epoch + 1, 0
        self.metrics = LoaderMetrics()
        self._counters = self._count(self.metrics)
        self._counts_since = time.perf_counter() if self._running else None

    def _count(self, metrics: LoaderMetrics) -> LoaderCounters:
        sampling = self.dataset.sampling
        return LoaderCounters(
            metrics,
            self.mixture.shards,
            self.mixture.corpus_of_shard,
            max(1, sampling.world_size // sampling.nodes),
        )

    def _next_batch(self) -> LoadedBatch:
        for losses in count(1):
            try:
                if self._running is None:
                    self._running = self._start()
                return next(self._running)
            except WorkerLostError as error:
                lost = f"epoch {self.epoch}, global batch {self.position}: {error}"
            # Not in the handler, whose traceback keeps the memory of the lost workers.
            self.close()
            if losses == MAX_LOSSES:
                break
            self.metrics.workers_lost += 1
            self._note(f"{lost}: starting other workers")
        raise WorkerLostError(
            f"{lost} ({losses} times in a row): choose fewer workers, or look at its samples; a "
            "loader at the same position continues"
        )

    def _start(self) -> Iterator[LoadedBatch]:
        left = len(self) if self.epoch == self._last_epoch else self.workers.count
        batches = iterate_batches(
            self.dataset,
            self._places(self.epoch, self.position),
            replace(self.workers, count=min(self.workers.count, left)),
            pin_memory=self.device.type == "cuda",
        )
        return prefetch_to_device(batches, self.device, self._transform)

    def _places(self, epoch: int, position: int) -> Iterator[BatchPlace]:
        ends = None if self._last_epoch is None else self._last_epoch + 1 - epoch
        for one in islice(count(epoch), ends):
            for number in range(position, self.batches):
                yield BatchPlace(one, number)
            position = 0

    def _add_wait(self, start: float) -> None:
        # Apart from the others: the first batch includes the start of the workers.
        now = time.perf_counter()
        if self._counts_since is None:
            self._counts_since = now
            self.metrics.first_wait_s = now - start
        else:
            self.metrics.wait_s += now - start
            self.metrics.elapsed_s = now - self._counts_since

    def _note_epoch_end(self, sampling: SamplingSettings) -> None:
        if not self.batches:
            raise UsageError(
                f"rank {sampling.rank} of {sampling.world_size} gets no batch: {self.samples} "
                f"samples are fewer than a global batch of {self.global_batch}: choose a smaller "
                "batch_size, or drop_last=False"
            )
        excess = self.batches * self.global_batch - self.samples
        if excess:
            action = (
                f"{excess} samples repeated to fill"
                if excess > 0
                else f"{-excess} samples dropped after"
            )
            self._note(
                f"{action} the last of {self.batches} global batches ({self.samples} samples)"
            )

    def _note(self, line: str) -> None:
        self.metrics.notes.append(line)
        _LOG.info("%s", printable(line))


def _find_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"device {name!r}: torch knows no such device: give cpu, or cuda:0"
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"device {name!r}: this torch finds no GPU: give cpu, or install a torch with CUDA"
        )
    return device
