"""Processor time of a command and all processes that it starts, also those that others reap."""

import os
from pathlib import Path

SERVERS = ("nginx",)
"""Client and server share the machine; the server's time counts for neither of the programs
compared."""
_BUSY = (0, 1, 2, 5, 6)
"""user, nice, system, irq and softirq, see proc(5)."""


def busy_s() -> float:
    """Returns the seconds that all processors of this machine were busy since boot, without
    servers.

    Only differences are meaningful, and only if nothing else runs.
    """
    ticks = os.sysconf("SC_CLK_TCK")
    words = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return (
        sum(int(words[place]) for place in _BUSY)
        - sum(map(_server_ticks, Path("/proc").glob("[0-9]*")))
    ) / ticks


def _server_ticks(process: Path) -> int:
    try:
        name, _, rest = (process / "stat").read_text().partition(" (")[2].rpartition(") ")
    except OSError:  # it has ended
        return 0
    words = rest.split()
    return int(words[11]) + int(words[12]) if name in SERVERS else 0
