"""Bounds of time and memory for tests with hostile files."""

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SECONDS = 60
MIB = 1200
"""Far below 1.5 GiB: the process of the tests has its own memory beside it."""


@contextmanager
def bounded(seconds: int = SECONDS, mib: int = MIB) -> Iterator[None]:
    """Fails where the body runs longer, or takes more memory at its peak than it found."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still running after {seconds} s")

    gc.collect()
    before = _kib("VmRSS")
    # Sets the peak back to the present size.
    Path("/proc/self/clear_refs").write_text("5")
    handler = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
    taken = (_kib("VmHWM") - before) >> 10
    assert taken < mib, f"{taken} MiB at the peak"


def _kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
