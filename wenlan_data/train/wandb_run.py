"""Logs to Weights & Biases too, where a config names a project and the package is installed."""

import hashlib
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

from wenlan_data.errors import UsageError, in_short


class WandbRun(Protocol):
    """The part of `wandb.Run` that is used."""

    def log(self, data: Mapping[str, float]) -> object:
        """Sends the values of a step, and its number as `step`."""

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
    try:
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
        # A resumed run does steps again, whose values `log(step=...)` would leave out.
        run.define_metric("step")
        run.define_metric("*", step_metric="step")
    # Whatever the package raises without a login or a network.
    except Exception as error:
        raise UsageError(
            f"log.wandb {project}: {in_short(error)}: log in by `wandb login`, set "
            "WANDB_MODE=offline, or leave the key out"
        ) from error
    return cast("WandbRun", run)
