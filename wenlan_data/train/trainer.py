"""From a config and the command line to a run that can be trained, and back to nothing when it ends."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch
from transformers import AutoTokenizer

from wenlan_data.errors import UsageError, WenlanError, in_short, os_errors, print_line
from wenlan_data.eval.corpus_eval import corpus_retrieval
from wenlan_data.eval.embed import Model
from wenlan_data.files import atomic_path
from wenlan_data.load.text import load_tokenizer
from wenlan_data.model.allocator import keep_freed_memory
from wenlan_data.model.checkpoint import (
    FOLDER,
    TOKENIZER,
    Checkpoint,
    CorpusMark,
    checkpoint_path,
    checkpoints,
    load_checkpoint,
)
from wenlan_data.model.config import TextConfig, TrainConfig
from wenlan_data.model.tokenizer import train_tokenizer, vocabulary_size
from wenlan_data.model.towers import make_towers
from wenlan_data.train import distributed as world
from wenlan_data.train.batches import START, Place, Stream, batches
from wenlan_data.train.corpus_mark import Pages, check_same, check_shards, corpus_mark
from wenlan_data.train.distributed import Ranks
from wenlan_data.train.launch import check_division
from wenlan_data.train.loop import Run, train
from wenlan_data.train.measure_standard import measure
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.report import write_report
from wenlan_data.train.resume import (
    check_config,
    check_init,
    clear_unsound,
    initialise,
    newest_sound,
)
from wenlan_data.train.run_log import Watch
from wenlan_data.train.signals import listening
from wenlan_data.train.state import Training, begin, restore


def run_training(config: TrainConfig, options: TrainOptions) -> Training:
    """Train to the end on this rank; see `loop.train` for how it can end otherwise.

    Raises `UsageError` where the output or the arguments do not fit, `RecipeError` where the checkpoint does not.
    """
    check_division(config, int(os.environ.get("WORLD_SIZE", "1")))
    torch.set_float32_matmul_precision("high")
    ranks = world.join()
    if ranks.device.type == "cpu":
        keep_freed_memory()
    try:
        with listening() as stop, _prepared(config, options, ranks) as run:
            train(run, stop)
            return run.training
    finally:
        world.leave()


@contextmanager
def _prepared(config: TrainConfig, options: TrainOptions, ranks: Ranks) -> Iterator[Run]:
    say: Callable[[str], None] = print_line if ranks.first else (lambda _: None)
    check_shards(options.shards, options.val_shards)
    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"{options.out}: no folder: choose another --out")
    checkpoint = _found_checkpoint(options, config, say)
    if checkpoint is None:
        check_init(options.init, config)
    corpus = corpus_mark(options.shards)
    with _whole_or_nothing(options.out, ranks):
        tokenizer = _tokenizer(config, options, ranks, checkpoint)
        shape = checkpoint.state.text_encoder if checkpoint else None
        towers = make_towers(config, vocabulary_size(tokenizer), shape)
        if checkpoint is None and options.init is not None:
            initialise(towers, options.init, say)
        training = begin(towers, config, ranks.device)
        stream = Stream(
            shards=list(options.shards),
            tokenizer=tokenizer,
            pages=Pages(options.shards),
            workers=options.workers,
        )
        if checkpoint is not None:
            _go_on(training, checkpoint, corpus, options, say)
            if options.resume == "auto" and ranks.first:
                clear_unsound(options.out, checkpoint, say)
        elif config.standardise and options.init is None:
            measure(training.towers, batches(stream, config, ranks, START), config)
    with Watch(options.out, first=ranks.first, done=training.step, steps=config.max_steps) as watch:
        yield Run(
            folder=options.out,
            config=config,
            ranks=ranks,
            stream=stream,
            corpus=corpus,
            training=training,
            tokenizer=tokenizer.read_bytes(),
            watch=watch,
            validate=_validator(training, config, options, tokenizer, ranks)
            if options.val_shards
            else None,
        )


def save_tokenizer(config: TextConfig, shards: tuple[Path, ...], path: Path) -> None:
    """Write the tokenizer that the config's encoder wants, or one of the corpus, to `path`, at once or not at all."""
    with atomic_path(path) as partial:
        if config.backbone == "small":
            train_tokenizer(shards, config.small.vocabulary).save(str(partial))
        else:
            try:
                found = AutoTokenizer.from_pretrained(config.backbone, use_fast=True)
            except (OSError, ValueError) as error:
                raise UsageError(
                    f"text.backbone {config.backbone!r}: its tokenizer could not be had ({in_short(error)}): "
                    "offline, give a folder with config.json, model.safetensors and a tokenizer"
                ) from error
            found.backend_tokenizer.save(str(partial))


def _found_checkpoint(
    options: TrainOptions, config: TrainConfig, say: Callable[[str], None]
) -> Checkpoint | None:
    if options.resume == "auto":
        found = newest_sound(options.out, say)
    else:
        given = None if options.resume == "no" else Path(options.resume)
        if checkpoints(options.out) and not (given and _is_inside(given, options.out)):
            raise UsageError(
                f"{options.out} holds a run already: go on with --resume auto, or choose another --out"
            )
        found = load_checkpoint(checkpoint_path(given, say)) if given else None
    if found is not None:
        check_config(found, config, say)
    return found


def _is_inside(checkpoint: Path, run: Path) -> bool:
    """Whether it is one of the run's own; its folder of checkpoints may be a link to another disk."""
    return any(
        checkpoint.resolve().is_relative_to(folder.resolve()) for folder in (run, run / FOLDER)
    )


@contextmanager
def _whole_or_nothing(out: Path, ranks: Ranks) -> Iterator[None]:
    """Take the tokenizer and the folders made for it away again, where what follows it fails."""
    path = out / TOKENIZER
    made = [one for one in (path, out, *out.parents) if not one.exists()]
    with ExitStack() as undo:
        if ranks.first:
            undo.callback(_remove, made)
        yield
        undo.pop_all()


def _remove(made: list[Path]) -> None:
    for one in made:
        with suppress(OSError):
            one.rmdir() if one.is_dir() else one.unlink()


def _tokenizer(
    config: TrainConfig, options: TrainOptions, ranks: Ranks, checkpoint: Checkpoint | None
) -> Path:
    """The tokenizer of the run: the checkpoint's, that of `--init`, the encoder's, or one of the corpus."""
    path = options.out / TOKENIZER
    if ranks.first:
        with os_errors(options.out):
            options.out.mkdir(parents=True, exist_ok=True)
            if checkpoint is not None:
                path.write_bytes((checkpoint.path / TOKENIZER).read_bytes())
            elif options.init is not None and options.init.is_dir():
                path.write_bytes(
                    (checkpoint_path(options.init, lambda _: None) / TOKENIZER).read_bytes()
                )
            else:
                save_tokenizer(config.text, options.shards, path)
    world.wait_for_all()
    load_tokenizer(path, config.text.max_tokens)
    return path


def _go_on(
    training: Training,
    checkpoint: Checkpoint,
    corpus: CorpusMark,
    options: TrainOptions,
    say: Callable[[str], None],
) -> None:
    same = check_same(
        checkpoint.state.corpus,
        corpus,
        may_grow=options.grown_corpus,
        may_change=options.changed_corpus,
    )
    restore(training, checkpoint)
    if not same:
        training.place = Place(training.place.epoch + 1, 0)
    say(f"going on from {checkpoint.path}: step {training.step}, epoch {training.place.epoch}")


def _validator(
    training: Training, config: TrainConfig, options: TrainOptions, tokenizer: Path, ranks: Ranks
) -> Callable[[], dict[str, float]]:
    def validate() -> dict[str, float]:
        training.towers.eval()
        model = Model(
            towers=training.towers, config=config, tokenizer=tokenizer, device=ranks.device
        )
        found = corpus_retrieval(
            model, options.val_shards, workers=options.workers, limit=config.validation.max_samples
        )
        training.towers.learn()
        both = found.as_json()
        figures = {
            f"{way}_{name}": value for way, values in both.items() for name, value in values.items()
        }
        return {"mean_recall": found.mean_recall, **figures}

    return validate


def finish(config: TrainConfig, options: TrainOptions, training: Training, *, as_json: bool) -> str:
    """Write `report.html` on the first rank, with examples of the validation pairs, or of the training's where there
    are none; the text to print, empty on other ranks."""
    if os.environ.get("RANK", "0") != "0":
        return ""
    model = Model(
        towers=training.towers.eval(),
        config=config,
        tokenizer=options.out / TOKENIZER,
        device=next(training.towers.parameters()).device,
    )
    shards = options.val_shards or options.shards
    problem = ""
    try:
        with torch.no_grad():
            write_report(
                options.out,
                config,
                model,
                shards,
                seen=not options.val_shards,
                workers=options.workers,
            )
    except WenlanError as error:
        # The model is saved: a report that cannot be written must not make the training look failed.
        problem = str(error)
    best = checkpoint_path(options.out)
    if as_json:
        facts = {"steps": training.step, "samples": training.samples, "skipped": training.skipped}
        return json.dumps(
            {**facts, "checkpoint": str(best), "report": str(options.out / "report.html")}
        )
    lines = [
        f"{training.step} steps, {training.samples} samples, {training.skipped} steps skipped",
        f"checkpoint: {best}",
        f"report: {problem or options.out / 'report.html'}",
    ]
    return "\n".join(lines)
