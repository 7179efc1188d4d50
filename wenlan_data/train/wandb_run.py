"""Logs to Weights & Biases too, where a config names a project and the package is installed."""

import hashlib
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

from wenlan_data.errors import UsageError


class WandbRun(Protocol):
    """The part of `wandb.Run` that is used."""

    def log(self, data: Mapping[str, float], *, step: int) -> object:
        """Sends the values of a step."""

    def finish(self) -> object:
        """Waits until all is sent, or written where `WANDB_MODE` is `offline`."""


def check_wandb(project: str) -> None:
    """Raises `UsageError` where a project is named and the package is missing."""
    if project and not find_spec("wandb"):
        raise UsageError(
            f"log.wandb {project}: the package wandb is not installed: pip install wandb, or leave "
            "the key out"
        )


def start_wandb(project: str, folder: Path) -> WandbRun:
    """Starts a run of the project, or goes on with that of the same folder.

    Nothing but figures is sent: neither the code nor the environment, and no samples.
    """
    wandb = import_module("wandb")
    name = str(folder.resolve())
    run = wandb.init(
        project=project,
        name=folder.name,
        id=hashlib.sha256(name.encode()).hexdigest()[:16],
        resume="allow",
        dir=str(folder),
        settings=wandb.Settings(
            disable_code=True, disable_git=True, x_disable_meta=True, x_disable_stats=True,
            console="off",
        ),
    )  # fmt: skip
    return cast("WandbRun", run)
