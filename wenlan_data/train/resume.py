"""Which checkpoint a run resumes from, and its initial weights where there is none."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from torch import Tensor

from wenlan_data.errors import DamageError, RecipeError, UsageError, print_line
from wenlan_data.model.backbones import check_weights, read_weights
from wenlan_data.model.checkpoint import (
    FOLDER,
    Checkpoint,
    checkpoint_path,
    checkpoint_step,
    list_checkpoints,
    load_checkpoint,
    load_towers,
    quarantine,
)
from wenlan_data.model.config import TrainConfig, parse_config
from wenlan_data.model.released_weights import is_released, load_released
from wenlan_data.model.towers import Towers

# Keys that may differ from the checkpoint's: they change neither the model nor the past steps.
# Fewer GPUs may need more micro-batches.
_MAY_DIFFER = {
    "max_steps", "checkpoints", "validation", "accumulation", "compile", "recompute",
    "channels_last", "log", "parallel", "image.features", "data.prefetch", "data.check_share",
}  # fmt: skip
# Keys that decide which samples an epoch holds, in which order.
_ORDER = {
    "data.corpora", "data.shuffle", "data.corrupt_shards", "data.shard_by", "data.nodes",
}  # fmt: skip


def load_newest_intact(
    run: Path, message: Callable[[str], None]
) -> tuple[Checkpoint | None, list[Path]]:
    """Loads the newest intact checkpoint of `run`, and lists the corrupt ones that are newer.

    Returns None where there are no checkpoints. Reports each corrupt one. Raises `DamageError`
    where all are corrupt, and other errors where one cannot be read now: it may be intact.
    """
    corrupt: list[Path] = []
    for path in reversed(list_checkpoints(run)):
        try:
            return _load_own(path), corrupt
        except DamageError as error:
            message(f"{error}: trying the one before")
            corrupt.append(path)
    if corrupt:
        raise DamageError(
            f"{run / FOLDER}: no checkpoint is intact: "
            "restore one from a copy, or choose another --out"
        )
    return None, []


def _load_own(path: Path) -> Checkpoint:
    """Loads a checkpoint of the run; raises `DamageError` where it was renamed: names are what
    decides which one is the newest."""
    checkpoint = load_checkpoint(path)
    if checkpoint.state.step != checkpoint_step(path):
        raise DamageError(
            f"{path}: holds step {checkpoint.state.step}, which is not the step of its name"
        )
    return checkpoint


def quarantine_corrupt(corrupt: Iterable[Path], message: Callable[[str], None]) -> None:
    """Renames checkpoints that failed to load.

    Otherwise one of them could be taken for the best checkpoint later.
    """
    for path in corrupt:
        message(f"{path}: quarantined as {quarantine(path).name}")


def check_config(
    checkpoint: Checkpoint,
    config: TrainConfig,
    message: Callable[[str], None],
    *,
    may_change_order: bool = False,
) -> None:
    """Raises `RecipeError` naming the keys that differ from the checkpoint's and may not.

    Reports those that differ and may, in one line. A key that did not exist when the checkpoint was
    saved had its default.
    """
    changes = _changes(checkpoint, config)
    permitted = _MAY_DIFFER | (_ORDER if may_change_order else set())
    wrong = {
        key: change
        for key, change in changes.items()
        if not {key, key.partition(".")[0]} & permitted
    }
    if wrong:
        remedy = "use the same one, or start a new run with --init and another --out"
        if wrong.keys() <= _ORDER:
            remedy = "use the same one, or --changed-corpus to resume with a new epoch"
        raise RecipeError(
            f"{checkpoint.path}: made with another config ({', '.join(wrong.values())}): {remedy}"
        )
    if changes:
        message(f"{checkpoint.path}: resuming with another config: {', '.join(changes.values())}")


def changes_order(checkpoint: Checkpoint, config: TrainConfig) -> bool:
    """Whether an epoch of the config holds other samples than the checkpoint's, or in another
    order."""
    return not _ORDER.isdisjoint(_changes(checkpoint, config))


def _changes(checkpoint: Checkpoint, config: TrainConfig) -> dict[str, str]:
    saved_config = parse_config(checkpoint.state.config, str(checkpoint.path))
    old, new = _values(saved_config), _values(config)
    return {key: f"{key} {new[key]} (was {old[key]})" for key in new if old[key] != new[key]}


def _values(config: TrainConfig) -> dict[str, object]:
    # A corpus may be moved between runs: `corpus_mark` compares its shards.
    corpora = ", ".join(f"{one.name} x {one.weight:g}" for one in config.data.corpora)
    data = {**config.data.model_dump(mode="json"), "corpora": corpora or "none"}
    whole = {f"data.{key}": value for key, value in data.items()}
    return {**dict(_leaves({**config.resolved(), "data": {}})), **whole}


def check_init(given: Path | None, config: TrainConfig) -> None:
    """Raises `UsageError` where the text embedding's rows would get other tokens than in training.

    `text.backbone: small` makes a vocabulary of the corpus, which a weights file does not contain.
    """
    if given is not None and given.is_file() and config.text.backbone == "small":
        raise UsageError(
            f"--init {given}: a file holds no tokenizer, and text.backbone small would make "
            "another one: give the folder of the run or of the checkpoint"
        )


def load_initial_weights(
    towers: Towers, given: Path, message: Callable[[str], None] = print_line
) -> None:
    """Fills the towers from a checkpoint, a run, or a .safetensors file with our names or the
    released ones.

    Raises `UsageError` or `RecipeError` where the weights do not fit.
    """
    if given.is_file():
        _load_file(towers, read_weights(given), given)
    else:
        load_towers(towers, load_checkpoint(checkpoint_path(given, message), only=("model",)))


def _load_file(towers: Towers, weights: Mapping[str, Tensor], path: Path) -> None:
    if is_released(weights):
        load_released(towers, weights)
        return
    expected = towers.state_dict()
    check_weights(expected, weights, str(path))
    towers.load_state_dict({name: weights.get(name, value) for name, value in expected.items()})


def _leaves(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yields the values of nested mappings with their keys, joined by dots."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{prefix}{key}.")
        else:
            yield prefix + key, inner
