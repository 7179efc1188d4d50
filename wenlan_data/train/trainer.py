"""A whole training run: set-up from config and command line, the loop, and the report at the
end."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import torch

from wenlan_data import __version__
from wenlan_data.errors import (
    InterruptedBuildError,
    UsageError,
    os_errors,
    print_line,
)
from wenlan_data.eval.embed import EmbeddingModel
from wenlan_data.files import write_atomic
from wenlan_data.folder_lock import FolderLock
from wenlan_data.load.shuffle import ORDER_VERSION
from wenlan_data.load.text import load_tokenizer
from wenlan_data.model.allocator import keep_freed_memory
from wenlan_data.model.checkpoint import (
    FOLDER,
    SHARDS,
    TOKENIZER,
    Checkpoint,
    check_towers,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    model_tensors,
    restore_replaced,
)
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.tokenizer import check_tokenizer, vocabulary_size, write_tokenizer
from wenlan_data.model.towers import make_towers
from wenlan_data.stop_signals import MESSAGE, is_main_rank
from wenlan_data.train.agreement import check_agreement
from wenlan_data.train.batches import START, DataPosition, TrainingData, batches
from wenlan_data.train.broadcast import broadcast_checkpoint, broadcast_tensors, read_by_main
from wenlan_data.train.checkpoint_writer import CheckpointWriter
from wenlan_data.train.corpus_mark import (
    CorpusShards,
    check_same_corpus,
    check_shards,
    intact_shards,
)
from wenlan_data.train.distributed import Distributed, destroy_distributed, init_distributed
from wenlan_data.train.features import open_features
from wenlan_data.train.launch import check_batch_norm, check_division
from wenlan_data.train.loop import TrainingRun, train
from wenlan_data.train.measure_standard import measure_standardisation
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.resume import (
    changes_order,
    check_config,
    check_init,
    load_initial_weights,
    load_newest_intact,
    quarantine_corrupt,
)
from wenlan_data.train.run_log import RunLog
from wenlan_data.train.sharding import gathered_towers
from wenlan_data.train.signals import StopRequest, stop_on_signals
from wenlan_data.train.state import TrainingState, restore_training, start_training
from wenlan_data.train.validation import validation_metrics
from wenlan_data.train.wandb_run import check_wandb


def run_training(config: TrainConfig, options: TrainOptions) -> TrainingState:
    """Trains on this rank to the last step and returns the final state; see `loop.train` for other
    ends.

    Raises `UsageError` where the output folder or the arguments do not fit, or another training
    runs in the folder, `RecipeError` where the checkpoint does not fit.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    check_division(config, world_size)
    check_batch_norm(config, world_size)
    check_wandb(config.log.wandb)
    # TF32 for fp32 matrix products on GPUs that have it.
    torch.set_float32_matmul_precision("high")
    with stop_on_signals() as stop, _locked(options.out, stop):
        try:
            distributed = init_distributed()
            if distributed.device.type == "cpu":
                keep_freed_memory()
            with _prepare(config, options, distributed, stop) as run, stop.recording():
                train(run, stop)
            return run.training
        except RuntimeError as error:
            # Ranks that were not in the loop yet have ended, and left this one in a collective.
            if stop.signalled and int(os.environ.get("WORLD_SIZE", "1")) > 1:
                raise InterruptedBuildError(MESSAGE) from error
            raise
        finally:
            destroy_distributed()


@contextmanager
def _locked(out: Path, stop: StopRequest) -> Iterator[None]:
    """Holds the lock of the run on the main rank, before any rank can write to the folder: the
    others wait for it to join."""
    if not is_main_rank():
        yield
        return
    with FolderLock(out, "training") as lock:
        stop.cleanups.append(lock.release)
        yield


@contextmanager
def _prepare(
    config: TrainConfig, options: TrainOptions, distributed: Distributed, stop: StopRequest
) -> Iterator[TrainingRun]:
    """Yields the run at the step where it starts; its log is open inside."""
    message: Callable[[str], None] = print_line if distributed.is_main else (lambda _: None)
    shards = options.training_shards(config)
    skip_corrupt = config.data.skips_corrupt_shards
    check_shards(shards, options.val_shards, skip_corrupt=skip_corrupt)
    corrupt: list[Path] = []

    def load() -> Checkpoint | None:
        found, newer = _checkpoint_to_resume(options, config, message)
        corrupt.extend(newer)
        if found is None:
            check_init(options.init, config)
        return found

    corpus = CorpusShards(shards, skip_corrupt=skip_corrupt, note=message)
    check_agreement(
        distributed,
        {
            "version": __version__,
            "config": config.digest(),
            "corpus": corpus.mark.digest,
            "--init": "none" if options.init is None else "given",
        },
    )
    checkpoint = broadcast_checkpoint(distributed, load)
    if config.data.nodes > 1 and config.data.nodes % distributed.nodes:
        message(
            f"data.nodes {config.data.nodes} is no multiple of the {distributed.nodes} nodes: "
            "some read parts of the same shards"
        )
    with _removed_on_failure(options.out, distributed, stop):
        tokenizer = _place_tokenizer(config, options, distributed, checkpoint)
        # Each rank reads it from its own `--out`.
        digest = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
        check_agreement(distributed, {"tokenizer": digest})
        encoder = checkpoint.state.text_encoder if checkpoint else None
        vocabulary = vocabulary_size(tokenizer)
        if checkpoint is not None:
            check_towers(checkpoint, config, vocabulary)
        towers = make_towers(config, vocabulary, encoder)
        check_tokenizer(tokenizer, towers, config.text.max_tokens)
        if checkpoint is None and options.init is not None:
            initial = options.init
            read_by_main(distributed, lambda: load_initial_weights(towers, initial, message))
            broadcast_tensors(distributed, model_tensors(towers).values())
        training = start_training(towers, config, distributed.device)
        if checkpoint is not None:
            _resume(training, checkpoint, corpus, config, options, distributed, message)
            quarantine_corrupt(corrupt, message)
        data = TrainingData(
            shards=list(shards),
            tokenizer=tokenizer,
            workers=options.workers,
            # Of the weights that the run begins with: they are compared.
            features=open_features(
                config, intact_shards(shards) if skip_corrupt else shards, training.towers.image
            ),
        )
        if checkpoint is None and config.standardise and options.init is None:
            # The weights of --init come with the statistics that they were trained with.
            with closing(batches(data, config, distributed, START)) as first_batches:
                measure_standardisation(training.towers, first_batches, config)
    files: dict[str, bytes] = {}
    if distributed.is_main:
        files = {TOKENIZER: tokenizer.read_bytes(), SHARDS: corpus.parquet()}
    with RunLog(
        options.out,
        is_main=distributed.is_main,
        step=training.step,
        max_steps=config.max_steps,
        wandb=config.log.wandb,
    ) as log:
        yield TrainingRun(
            folder=options.out,
            config=config,
            distributed=distributed,
            data=data,
            corpus=corpus.mark,
            training=training,
            log=log,
            writer=CheckpointWriter(options.out, config, files),
            validate=_validator(training, config, options, tokenizer, distributed, stop)
            if options.val_shards
            else None,
        )


def _checkpoint_to_resume(
    options: TrainOptions, config: TrainConfig, message: Callable[[str], None]
) -> tuple[Checkpoint | None, list[Path]]:
    """Returns the checkpoint, and the newer ones that are corrupt."""
    restore_replaced(options.out)
    corrupt: list[Path] = []
    if options.resume == "auto":
        checkpoint, corrupt = load_newest_intact(options.out, message)
    else:
        given = None if options.resume == "no" else Path(options.resume)
        if list_checkpoints(options.out) and not (given and _is_inside(given, options.out)):
            raise UsageError(
                f"{options.out} holds a run already: "
                "continue it with --resume auto, or choose another --out"
            )
        checkpoint = load_checkpoint(checkpoint_path(given, message)) if given else None
    if checkpoint is not None:
        check_config(checkpoint, config, message, may_change_order=options.changed_corpus)
    return checkpoint, corrupt


def _is_inside(checkpoint: Path, run: Path) -> bool:
    """Whether a checkpoint is one of the run's own; its `checkpoints` may be a link to another
    disk."""
    return any(
        checkpoint.resolve().is_relative_to(folder.resolve()) for folder in (run, run / FOLDER)
    )


@contextmanager
def _removed_on_failure(out: Path, distributed: Distributed, stop: StopRequest) -> Iterator[None]:
    """Removes a new tokenizer where the body raises."""
    path = out / TOKENIZER
    if not distributed.is_main or path.exists():
        yield
        return

    def remove() -> None:
        with suppress(OSError):
            path.unlink()

    stop.cleanups.append(remove)
    try:
        yield
    except BaseException:
        remove()
        raise
    finally:
        stop.cleanups.remove(remove)


def _place_tokenizer(
    config: TrainConfig,
    options: TrainOptions,
    distributed: Distributed,
    checkpoint: Checkpoint | None,
) -> Path:
    """Writes the run's tokenizer: the checkpoint's, that of `--init`, the encoder's, or one of the
    corpus."""
    path = options.out / TOKENIZER

    def place() -> None:
        with os_errors(options.out):
            if checkpoint is not None:
                write_atomic(path, (checkpoint.path / TOKENIZER).read_bytes())
            elif options.init is not None and options.init.is_dir():
                initial = checkpoint_path(options.init, lambda _: None)
                load_checkpoint(initial, only=())
                write_atomic(path, (initial / TOKENIZER).read_bytes())
            else:
                shards = options.training_shards(config)
                if config.data.skips_corrupt_shards:
                    shards = tuple(intact_shards(shards))
                write_tokenizer(config.text, shards, path)

    read_by_main(distributed, place)
    # Fails here, before the towers are made, where the tokenizer does not fit the config.
    load_tokenizer(path, config.text.max_tokens)
    return path


def _resume(
    training: TrainingState,
    checkpoint: Checkpoint,
    corpus: CorpusShards,
    config: TrainConfig,
    options: TrainOptions,
    distributed: Distributed,
    message: Callable[[str], None],
) -> None:
    same = read_by_main(
        distributed,
        lambda: check_same_corpus(
            checkpoint.path,
            checkpoint.state.corpus,
            corpus,
            may_grow=options.grown_corpus,
            may_change=options.changed_corpus,
        ),
    )
    restore_training(training, checkpoint)
    if checkpoint.state.order_version != ORDER_VERSION:
        message(
            f"{checkpoint.path}: saved by a version that takes the samples in another order: "
            "starting a new epoch"
        )
        same = False
    if not same or changes_order(checkpoint, config):
        # A position in the epoch means nothing for other shards, or in another order.
        training.position = DataPosition(training.position.epoch + 1, 0)
    epoch = training.position.epoch
    message(f"resuming from {checkpoint.path}: step {training.step}, epoch {epoch}")


def _validator(
    training: TrainingState,
    config: TrainConfig,
    options: TrainOptions,
    tokenizer: Path,
    distributed: Distributed,
    stop: StopRequest,
) -> Callable[[], dict[str, float]]:
    def validate() -> dict[str, float]:
        model = EmbeddingModel(
            towers=training.evaluated.eval(),
            config=config,
            tokenizer=tokenizer,
            device=distributed.device,
            precision=config.precision,
        )
        try:
            # The ranks embed different numbers of batches.
            with gathered_towers(model.towers):
                metrics = validation_metrics(model, options, distributed, lambda: bool(stop))
        finally:
            training.towers.set_training()
        by_direction = {
            f"{direction}_{name}": value
            for direction, values in metrics.as_json().items()
            for name, value in values.items()
        }
        return {"mean_recall": metrics.mean_recall, **by_direction}

    return validate
