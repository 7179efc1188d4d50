"""Worker processes that make batches in order. A dead or stalled one is reported within seconds."""

import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace

from torch.utils.data import DataLoader

from wenlan_data.errors import WorkerLostError, in_short
from wenlan_data.image.decode import opencv
from wenlan_data.load.batches import BatchDataset
from wenlan_data.load.loaded_batch import BatchPlace, LoadedBatch
from wenlan_data.load.loader_settings import WorkerSettings
from wenlan_data.load.shared_ring import SharedRing

POLL_S = 2
"""Interval at which `DataLoader` checks that its workers live, while no batch arrives."""
STALLED_S = 300
"""Workers that live but deliver nothing for so long are lost as well."""


def iterate_batches(
    dataset: BatchDataset,
    places: Iterable[BatchPlace],
    workers: WorkerSettings,
    *,
    pin_memory: bool,
) -> Iterator[LoadedBatch]:
    """Yields the batches at these places, in order; without workers from this process.

    Raises `WorkerLostError` if a worker died, or none delivered anything for `STALLED_S`.
    """
    opencv()  # imported once, before the workers fork
    count = workers.count
    shape = (dataset.batch_size, *dataset.row_shape)
    # With `cuda` the workers send encoded images, whose sizes differ.
    on_cpu = dataset.images.decoder != "cuda"
    ring = SharedRing(count * workers.prefetch, shape) if count and on_cpu else None
    handler = signal.getsignal(signal.SIGCHLD)
    with warnings.catch_warnings():
        # More workers than cores is the user's choice: with a slow disk they wait most of the time.
        warnings.filterwarnings("ignore", "This DataLoader will create")
        loader = DataLoader(
            replace(dataset, ring=ring),
            # Each item is a whole batch, so torch neither groups nor collates.
            batch_size=None,
            sampler=ring.with_slots(places) if ring else ((place, 0) for place in places),
            num_workers=count,
            prefetch_factor=workers.prefetch if count else None,
            timeout=POLL_S if count else 0,
            pin_memory=pin_memory,
            worker_init_fn=_init_worker,
        )
        batches = iter(loader)  # forks the workers
    if threading.current_thread() is threading.main_thread():
        # torch's handler raises wherever the main thread happens to be, in the user's code too.
        signal.signal(signal.SIGCHLD, handler)
    return _PollingIterator(batches, ring)


class _PollingIterator:
    """Repeats the request after each timeout.

    The timeout of `DataLoader` is the only thing that makes it look at its workers, so a short one
    finds a dead worker soon, and repeating it lets a slow one take its time.
    """

    def __init__(self, batches: Iterator[LoadedBatch], ring: SharedRing | None) -> None:
        self._batches, self._ring = batches, ring

    def __del__(self) -> None:
        if self._ring:
            self._ring.close()

    def __iter__(self) -> "_PollingIterator":
        return self

    def __next__(self) -> LoadedBatch:
        start = time.monotonic()
        while True:
            try:
                return next(self._batches).tensors()
            except (RuntimeError, OSError, EOFError) as error:
                # OSError and EOFError come from a message that a dying worker had begun to send.
                waited = time.monotonic() - start
                if "timed out" in str(error) and waited < STALLED_S:
                    continue
                reason = in_short(error, 200)
                problem = f"a loading worker died or was silent for {waited:.0f} s ({reason})"
                raise WorkerLostError(f"{problem}: is memory short?") from error


def _init_worker(_: int) -> None:
    # A forked tokenizer warns about its thread pool, and the workers are the parallelism already.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # On one thread: the workers are processes, and a pool in each would compete for the cores.
    opencv()
    # A collection then looks at what the worker allocates, not at all of torch.
    gc.freeze()
