"""Worker processes that make batches in order, and whose death or silence is an error within seconds."""

import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch.utils.data import DataLoader

from wenlan_data.errors import WorkerLostError, in_short
from wenlan_data.image.decode import opencv
from wenlan_data.load.batches import BatchMaker, Made
from wenlan_data.load.shared_ring import Ring

POLL_S = 2
"""How often it is asked whether the workers live, while none has a batch."""
STALLED_S = 300
"""Workers that live but give nothing for so long are lost too."""


def make_batches(
    maker: BatchMaker, numbers: Sequence[int], *, workers: int, prefetch: int, pin_memory: bool
) -> Iterator[Made]:
    """The batches of these numbers, in order; without workers in this process.

    Raises `WorkerLostError` where a worker died, or all are silent for `STALLED_S`.
    """
    opencv()  # loaded once, before the workers fork
    workers = min(workers, len(numbers))
    shape = (maker.batch_size, maker.size_px, maker.size_px, 3)
    ring = Ring(workers * prefetch, shape) if workers and maker.decoder != "cuda" else None
    handler = signal.getsignal(signal.SIGCHLD)
    with warnings.catch_warnings():
        # More workers than cores is the user's choice: with a slow disk they wait, not work.
        warnings.filterwarnings("ignore", "This DataLoader will create")
        made = DataLoader(
            replace(maker, ring=ring),
            batch_size=None,
            sampler=ring.with_slots(numbers) if ring else [(number, 0) for number in numbers],
            num_workers=workers,
            prefetch_factor=prefetch if workers else None,
            timeout=POLL_S if workers else 0,
            pin_memory=pin_memory,
            worker_init_fn=_prepare,
        ).__iter__()
    if threading.current_thread() is threading.main_thread():
        # torch's handler raises wherever the main thread happens to be, in the user's code too.
        signal.signal(signal.SIGCHLD, handler)
    return _Patient(made, ring)


class _Patient:
    """Asks again after each poll: the time-out of `DataLoader` is the only thing that makes it look at its workers."""

    def __init__(self, made: Iterator[Made], ring: Ring | None) -> None:
        self._made, self._ring = made, ring

    def __del__(self) -> None:
        if self._ring:
            self._ring.close()

    def __iter__(self) -> "_Patient":
        return self

    def __next__(self) -> Made:
        start = time.monotonic()
        while True:
            try:
                return next(self._made).tensors()
            except (RuntimeError, OSError, EOFError) as error:
                # An OSError or EOFError is what a worker that died had begun to send.
                waited = time.monotonic() - start
                if "timed out" in str(error) and waited < STALLED_S:
                    continue
                reason = in_short(error, 200)
                what = f"a loading worker died or was silent for {waited:.0f} s ({reason})"
                raise WorkerLostError(
                    f"{what}: is memory short? A loader at the same position goes on"
                ) from error


def _prepare(_: int) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = (
        "false"  # it would warn, and the workers are the parallelism
    )
    opencv()  # on one thread: the workers are processes, and a pool in each would fight for the cores
    gc.freeze()  # a collection looks at what the worker made, not at all of torch
