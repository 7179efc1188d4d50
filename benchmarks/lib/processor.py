"""Processor time of this process and its descendants, which other programs hardly influence."""

import os
import time
from pathlib import Path


def cpu_s() -> float:
    """Returns their processor seconds since they started; ended processes are not counted."""
    return time.process_time() + sum(_cpu_ns(child) for child in _children(os.getpid())) / 1e9


def _cpu_ns(process: int) -> int:
    # schedstat counts nanoseconds, /proc/PID/stat hundredths of a second.
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    own = sum(int(task.read_text().split()[0]) for task in tasks)
    return own + sum(_cpu_ns(child) for child in _children(process))


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]
