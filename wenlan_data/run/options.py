"""Options of a build: where and how it runs, as opposed to the recipe."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """Validated options of the command `build`."""

    out: Path
    work: Path | None = None
    """Work folder; None for `out/.work`. All nodes of a cluster must reach it."""
    workers: int | None = 2
    """Parallel parts; None for the cores of this machine, or of the cluster of `ray_address`."""
    executor: Literal["ray", "local"] = "ray"
    ray_address: str | None = None
    worker_timeout_s: float = 300.0
    """With Ray: time without a sign of life from a worker, until its part starts elsewhere."""
    generation_rows: int = 1_000_000
    limit: int | None = None
    retry_failed: bool = False
    offline: bool = False
    """Makes no request, whatever the sources file states."""
    max_failed_share: float | None = None
    """None: 5 % of the pages of a crawl, no limit for images (half of old links in tables are
    dead)."""
    from_corpus: Path | None = None
    from_work: Path | None = None

    @property
    def work_folder(self) -> Path:
        """Absolute path of the work folder."""
        return (self.work or self.out / ".work").absolute()


def cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))
