"""Where and how a build runs: everything of the command line that is not the recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The command line of `build`, validated."""

    out: Path
    work: Path | None = None
    """Default: `out/.work`. Every node must reach it."""
    workers: int = 2
    executor: Literal["ray", "local"] = "ray"
    ray_address: str | None = None
    generation_rows: int = 1_000_000
    limit: int | None = None
    retry_failed: bool = False
    max_failed_share: float | None = None
    """None: 5 % of the pages of a crawl; no budget for pictures (half of old links in tables are dead)."""
    from_corpus: Path | None = None
    from_work: Path | None = None

    @property
    def work_folder(self) -> Path:
        """The work folder in force."""
        return (self.work or self.out / ".work").absolute()
