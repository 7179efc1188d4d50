"""Which checkpoint a run goes on from, and what it starts with where there is none."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from torch import Tensor

from wenlan_data.errors import DamageError, RecipeError, UsageError, print_line
from wenlan_data.model.backbones import check_fit, read_weights
from wenlan_data.model.checkpoint import (
    FOLDER,
    Checkpoint,
    checkpoint_path,
    checkpoints,
    load_checkpoint,
    load_towers,
    set_aside,
    step_of,
)
from wenlan_data.model.config import TrainConfig, parse_config
from wenlan_data.model.released_weights import is_released, load_released
from wenlan_data.model.towers import Towers

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
        raise DamageError(
            f"{run / FOLDER}: no checkpoint is sound: restore one from a copy, or choose another --out"
        )
    return None


def clear_unsound(run: Path, newest: Checkpoint, say: Callable[[str], None]) -> None:
    """Give what is newer than the newest sound checkpoint another name, so that none of it is the best one later."""
    for path in checkpoints(run):
        if step_of(path) > newest.state.step:
            say(f"{path}: set aside as {set_aside(path).name}")


def check_config(checkpoint: Checkpoint, config: TrainConfig, say: Callable[[str], None]) -> None:
    """Raise `RecipeError` naming the keys in which the config differs from the checkpoint's, where that matters.

    Says in one line which others differ. A key that is newer than the checkpoint had its default then.
    """
    before, now = (
        parse_config(checkpoint.state.config, str(checkpoint.path)).resolved(),
        config.resolved(),
    )
    old, new = dict(_leaves(before)), dict(_leaves(now))
    changes = {key: f"{key} {new[key]} (was {old[key]})" for key in new if old[key] != new[key]}
    wrong = [change for key, change in changes.items() if key.partition(".")[0] not in _MAY_DIFFER]
    if wrong:
        raise RecipeError(
            f"{checkpoint.path}: made with another config ({', '.join(wrong)}): "
            "give the same one, or start anew with --init and another --out"
        )
    if changes:
        say(f"{checkpoint.path}: going on with another config: {', '.join(changes.values())}")


def check_init(given: Path | None, config: TrainConfig) -> None:
    """Raise `UsageError` where a vocabulary made anew would give other characters to the rows of the weights."""
    if given is not None and given.is_file() and config.text.backbone == "small":
        raise UsageError(
            f"--init {given}: a file brings no tokenizer, and text.backbone small would make another one: "
            "give the folder of the run or of the checkpoint"
        )


def initialise(towers: Towers, given: Path, say: Callable[[str], None] = print_line) -> None:
    """Fill the towers from a checkpoint, a run, or a .safetensors file with our names or the published ones.

    A file brings no tokenizer: its rows of text fit only where the encoder has one of its own. Raises `UsageError` or
    `RecipeError` where they do not fit.
    """
    if given.is_file():
        _fill(towers, read_weights(given), given)
    else:
        load_towers(towers, load_checkpoint(checkpoint_path(given, say), only=("model",)))


def _fill(towers: Towers, weights: Mapping[str, Tensor], path: Path) -> None:
    if is_released(weights):
        load_released(towers, weights)
        return
    wanted = towers.state_dict()
    check_fit(wanted, weights, str(path))
    towers.load_state_dict({name: weights.get(name, value) for name, value in wanted.items()})


def _leaves(value: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """The values of nested mappings, by their keys with dots between."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{path}{key}.")
        else:
            yield path + key, inner
