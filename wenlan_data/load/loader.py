"""Shards to batches. One `Loader` is one epoch of one rank; its place in the epoch is one number."""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import torch

from wenlan_data.errors import UsageError, WorkerLostError
from wenlan_data.load.augment import Augment
from wenlan_data.load.batches import BatchMaker, Made
from wenlan_data.load.decode import decoder as find_decoder
from wenlan_data.load.device_prefetch import Finisher, on_device
from wenlan_data.load.metrics import Metrics, Tally
from wenlan_data.load.mixing import Found, Paths, Source, find_sources
from wenlan_data.load.sample_reader import Epoch, SampleReader
from wenlan_data.load.shuffle import Shuffle, batch_count
from wenlan_data.load.text import Tokenizer, check_choice, load_tokenizer
from wenlan_data.load.workers import make_batches

DEFAULT_SHUFFLE = Shuffle()
_LOG = logging.getLogger(__name__)


class Loader:
    """An iterator over one rank's batches of one epoch, from global batch `position` on.

    A batch is a mapping: `image` uint8 (B, 3, S, S) in channels-last memory, `key` and `text` lists of B,
    `boxes` float32 (B, R, 4) in pixels of the image and `box_mask` bool (B, R), `repeated` bool (B) for what pads
    the epoch or stands in for a sample that cannot be used, and with a tokenizer `tokens` int64 (B, L) and
    `token_mask` bool (B, L).

    `batch_size` is one rank's. The order is a function of the shards, `seed`, `epoch` and `shuffle`: a loader with
    the same `batch_size * ranks` gives the same global batches, whatever its ranks and workers. `len()` is the number
    of batches left. With a GPU as `device` the batches arrive there, one ahead of their use.

    Iterating raises `DamageError` where too much cannot be used and `WorkerLostError` where a worker died or stalled.
    What is wrong with the arguments, or a rank without a batch, is a `UsageError` at once.
    """

    def __init__(
        self,
        shards: Paths | list[Source],
        *,
        batch_size: int,
        size_px: int,
        seed: int = 0,
        epoch: int = 0,
        position: int = 0,
        rank: int = 0,
        ranks: int = 1,
        workers: int = 2,
        tokenizer: str | Path | Tokenizer | None = None,
        max_tokens: int = 80,
        text: str = "caption",
        max_regions: int = 37,
        decoder: str = "turbo",
        shuffle: Shuffle | None = DEFAULT_SHUFFLE,
        last: str = "pad",
        check_share: float = 0.0,
        damaged_shards: str = "fail",
        prefetch: int = 2,
        augment: Augment | None = None,
        device: str = "cpu",
    ) -> None:
        _check(
            batch_size=batch_size, size_px=size_px, ranks=ranks, workers=workers, prefetch=prefetch
        )
        _check_one_of("last", last, ("pad", "drop"))
        _check_one_of("damaged_shards", damaged_shards, ("fail", "skip"))
        find_decoder(decoder)
        check_choice(text)
        if not 0 <= rank < ranks:
            raise UsageError(f"rank {rank}: it must be from 0 to {ranks - 1}")
        self.metrics = Metrics()
        self.found = find_sources(shards, skip_damaged=damaged_shards == "skip", note=self._note)
        self.samples = self.found.samples
        self.global_batch = batch_size * ranks
        self.batches = batch_count(self.samples, self.global_batch, pad=last == "pad")
        self._say_end(rank, ranks)
        if not 0 <= position <= self.batches:
            raise UsageError(f"position {position}: the epoch has {self.batches} global batches")
        self.position = position
        self.workers = workers
        self.epoch = Epoch(sources=self.found.sources, seed=seed, epoch=epoch, shuffle=shuffle)
        self.maker = BatchMaker(
            samples=SampleReader(
                shards=self.found.shards, epoch=self.epoch, check_share=check_share
            ),
            total=self.samples,
            batch_size=batch_size,
            size_px=size_px,
            rank=rank,
            ranks=ranks,
            text=text,
            tokenizer=load_tokenizer(tokenizer, max_tokens)
            if isinstance(tokenizer, (str, Path))
            else tokenizer,
            max_regions=max_regions,
            decoder=decoder,
        )
        self._tally = Tally(self.metrics, self.found.shards, _source_names(self.found), ranks)
        self._prefetch, self._device = prefetch, _device(device)
        self._finish = Finisher(self.maker, augment, self._device)
        self._made: Iterator[Made] | None = None
        self._first_at = 0.0

    @property
    def fingerprint(self) -> str:
        """Of all that decides the global batches but `epoch`: going on with another one is another run."""
        shards = [
            (Path(shard.path).name, shard.samples, shard.bytes) for shard in self.found.shards
        ]
        quotas = [source.quota for source in self.found.sources]
        shuffle = asdict(self.epoch.shuffle) if self.epoch.shuffle else None
        facts = json.dumps([shards, quotas, self.epoch.seed, shuffle, self.global_batch])
        return hashlib.sha256(facts.encode()).hexdigest()

    def __len__(self) -> int:
        return self.batches - self.position

    def __iter__(self) -> "Loader":
        return self

    def __next__(self) -> Mapping[str, object]:
        if self.position >= self.batches:
            self.close()
            raise StopIteration
        start = time.perf_counter()
        made = self._next_made()
        if made.error:
            self.close()
            raise made.error
        self._tally.add(made.work, self.maker.batch_size)
        self._time(start)
        self.position += 1
        return made.batch

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
        """Stop the workers; the loader can go on from its position."""
        self._made = None

    def _next_made(self) -> Made:
        try:
            if self._made is None:
                self._made = self._start()
            return next(self._made)
        except WorkerLostError as error:
            self.close()
            raise WorkerLostError(f"global batch {self.position}: {error}") from error

    def _start(self) -> Iterator[Made]:
        made = make_batches(
            self.maker,
            range(self.position, self.batches),
            workers=self.workers,
            prefetch=self._prefetch,
            pin_memory=self._device.type == "cuda",
        )
        return on_device(made, self.position, self._device, self._finish)

    def _time(self, start: float) -> None:
        now = time.perf_counter()
        if self.metrics.batches == 1:
            self._first_at = now
            self.metrics.first_wait_s = now - start
        else:
            self.metrics.wait_s += now - start
            self.metrics.elapsed_s = now - self._first_at

    def _say_end(self, rank: int, ranks: int) -> None:
        if not self.batches:
            raise UsageError(
                f"rank {rank} of {ranks} gets no batch: {self.samples} samples are fewer than a global batch of "
                f"{self.global_batch}: choose a smaller batch_size, or last='pad'"
            )
        over = self.batches * self.global_batch - self.samples
        if over:
            what = (
                f"{over} samples repeated to fill" if over > 0 else f"{-over} samples dropped after"
            )
            self._note(f"{what} the last of {self.batches} global batches ({self.samples} samples)")

    def _note(self, line: str) -> None:
        self.metrics.notes.append(line)
        _LOG.info(line)


def _source_names(found: Found) -> list[str]:
    named = zip(found.names, found.sources, strict=True)
    return [name for name, source in named for _ in source.shards]


def _device(name: str) -> torch.device:
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


def _check(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < (0 if name == "workers" else 1):
            raise UsageError(f"{name} {number}: too small")


def _check_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} {value!r}: choose one of {', '.join(allowed)}")
