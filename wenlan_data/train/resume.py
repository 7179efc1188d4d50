"""Which checkpoint a run goes on from, and what it starts with where there is none."""

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from wenlan_data.errors import DamageError, RecipeError, UsageError
from wenlan_data.train.checkpoint import FOLDER, Checkpoint, checkpoints, load_checkpoint, load_state
from wenlan_data.train.config import TrainConfig, parse_config
from wenlan_data.train.model import Towers
from wenlan_data.train.state import load_towers
from wenlan_data.train.towers.backbones import read_weights
from wenlan_data.train.towers.released import is_released, load_released

# What may differ between a checkpoint and the config that goes on with it: where it ends, and what is kept.
_MAY_DIFFER = {"max_steps", "checkpoints", "validation", "compile", "recompute", "channels_last"}


def newest_sound(run: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint of `run` that holds what was written; None where there is no folder of them.

    Says which ones are damaged. Raises `DamageError` where all are.
    """
    found = checkpoints(run)
    for path in reversed(found):
        try:
            return load_checkpoint(path)
        except DamageError as error:
            say(f"{error}: trying the one before")
    if found:
        raise DamageError(f"{run / FOLDER}: no checkpoint is sound: restore one from a copy, or choose another --out")
    return None


def best_checkpoint(run: Path, metric: str) -> Path | None:
    """The checkpoint with the highest `metric`, the earliest of equals; None where none was validated."""
    scored = [(load_state(path).metrics.get(metric), path) for path in checkpoints(run)]
    known = [(value, path) for value, path in scored if value is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def checkpoint_path(given: Path) -> Path:
    """A checkpoint's folder, or of a run the best one, or its newest where none was validated.

    Raises `UsageError` where there is none.
    """
    if (given / "state.json").is_file():
        return given
    found = checkpoints(given)
    if not found:
        raise UsageError(f"{given}: no checkpoint here: give a run, or a folder such as {FOLDER}/step-00000100")
    metric = str(load_state(found[-1]).config.get("validation", {}).get("metric", ""))  # type: ignore[attr-defined]
    return best_checkpoint(given, metric) or found[-1]


def check_config(checkpoint: Checkpoint, config: TrainConfig, say: Callable[[str], None]) -> None:
    """Raise `RecipeError` naming the keys in which the config differs from the checkpoint's, where that matters.

    Says in one line which others differ. A key that is newer than the checkpoint had its default then.
    """
    before, now = parse_config(checkpoint.state.config, str(checkpoint.path)).resolved(), config.resolved()
    keys = [key for key in now if before[key] != now[key]]
    wrong = sorted(set(keys) - _MAY_DIFFER)
    if wrong:
        raise RecipeError(
            f"{checkpoint.path}: made with another config (differs in {', '.join(wrong)}): "
            "give the same one, or start anew with --init and another --out"
        )
    if keys:
        changes = ", ".join(f"{key} {now[key]} (was {before[key]})" for key in keys)
        say(f"{checkpoint.path}: going on with another config: {changes}")


def initialise(towers: Towers, given: Path) -> None:
    """Fill the towers from a checkpoint, a run, or a .safetensors file with our names or the published ones.

    Raises `UsageError` or `RecipeError` where they do not fit.
    """
    if given.is_file():
        _fill(towers, read_weights(given), given)
    else:
        load_towers(towers, load_checkpoint(checkpoint_path(given), only=("model",)))


def _fill(towers: Towers, weights: Mapping[str, Tensor], path: Path) -> None:
    if is_released(weights):
        load_released(towers, weights)
        return
    missing = sorted(set(towers.state_dict()) - set(weights))
    if missing:
        raise UsageError(f"{path}: {len(missing)} parameters are missing, such as {missing[0]}: give fitting weights")
    towers.load_state_dict({name: weights[name] for name in towers.state_dict()})
