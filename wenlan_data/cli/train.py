"""`wenlan-data train`: trains a model on a corpus."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wenlan_data.cli.terminal import echo_lines

if TYPE_CHECKING:
    from wenlan_data.model.config import TrainConfig
    from wenlan_data.train.options import TrainOptions


@click.command()
@click.option(
    "--config",
    "config_name",
    required=True,
    metavar="NAME|FILE",
    help="Training configuration, such as brivl-tiny.",
)
@click.option(
    "--shards",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A corpus, a folder of tars, or a tar; repeatable. Not with data.corpora in the "
    "configuration.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option(
    "--val-shards",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Shards for validation, whose metric selects the best checkpoint.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the configuration.",
)
@click.option(
    "--batch-size", default=None, type=click.IntRange(1), help="Global batch size, over all ranks."
)
@click.option(
    "--max-steps", default=None, type=click.IntRange(1), help="Stop after this many steps."
)
@click.option(
    "--save-every",
    default=None,
    type=click.IntRange(1),
    metavar="STEPS",
    help="Steps between checkpoints.",
)
@click.option(
    "--resume",
    default="no",
    metavar="auto|CHECKPOINT",
    help="auto: resume from the newest intact checkpoint of --out, or start from scratch if there "
    "is none. Otherwise resume from CHECKPOINT.",
)
@click.option(
    "--init",
    default=None,
    type=click.Path(path_type=Path, exists=True),
    metavar="CHECKPOINT",
    help="Initialise the weights from a checkpoint, a run, or a .safetensors file.",
)
@click.option(
    "--grown-corpus",
    is_flag=True,
    help="With --resume, accept a corpus with new shards, and start a new epoch.",
)
@click.option(
    "--changed-corpus",
    is_flag=True,
    help="With --resume, accept another corpus than that of the checkpoint.",
)
@click.option(
    "--nproc",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Number of ranks, one per GPU: on this machine, or in the cluster of --ray.",
)
@click.option(
    "--ray",
    "ray_address",
    default=None,
    metavar="ADDRESS|local",
    help="Run the ranks by Ray Train, which starts them again after a loss: on the running Ray "
    "cluster at ADDRESS, or on this machine.",
)
@click.option(
    "--max-failures",
    default=3,
    show_default=True,
    type=click.IntRange(0),
    help="With --ray: how often the ranks are started again; after one more loss exit with 9.",
)
@click.option(
    "--workers",
    default=2,
    show_default=True,
    type=click.IntRange(0),
    help="Number of loading processes per rank.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be trained; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def train(
    config_name: str,
    shards: tuple[Path, ...],
    out: Path,
    val_shards: tuple[Path, ...],
    overrides: tuple[str, ...],
    batch_size: int | None,
    max_steps: int | None,
    save_every: int | None,
    resume: str,
    init: Path | None,
    grown_corpus: bool,
    changed_corpus: bool,
    nproc: int,
    ray_address: str | None,
    max_failures: int,
    workers: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train an image tower and a text tower on a corpus.

    Exits with 11 after SIGTERM or Ctrl-C, with a checkpoint: the same command with --resume auto
    continues. Exits with 9 if loss or gradients of five steps in a row are not finite, or if
    more ranks are lost than --max-failures permits.
    """
    import sys

    from wenlan_data.stop_signals import exit_on_signals

    # Seconds of imports, in which nothing is written.
    exit_on_signals()
    need_torch()
    from wenlan_data.errors import UsageError
    from wenlan_data.model.config import load_config
    from wenlan_data.train.corpus_mark import check_shards
    from wenlan_data.train.launch import check_batch_norm, check_division, inside_launch, launch
    from wenlan_data.train.options import TrainOptions

    shortcuts = {
        "batch_size": batch_size,
        "max_steps": max_steps,
        "checkpoints.every_steps": save_every,
    }
    more = [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    config = load_config(config_name, [*overrides, *more])
    options = TrainOptions(
        shards=shards,
        out=out,
        val_shards=val_shards,
        resume=resume,
        init=init,
        workers=workers,
        grown_corpus=grown_corpus,
        changed_corpus=changed_corpus,
    )
    if dry_run:
        from wenlan_data.train.estimate import describe_training

        echo_lines(describe_training(config, options, nproc, as_json=as_json))
        return
    skip_corrupt = config.data.skips_corrupt_shards
    if ray_address is not None:
        # Ray Train cannot be imported without it.
        need_torch("pandas")
        if inside_launch():
            raise UsageError("--ray starts the ranks itself: give it without torchrun")
        check_division(config, nproc)
        check_shards(options.training_shards(config), val_shards, skip_corrupt=skip_corrupt)
        _launch_on_ray(config, options, nproc, ray_address, max_failures, as_json=as_json)
        return
    if nproc > 1 and not inside_launch():
        check_division(config, nproc)
        check_batch_norm(config, nproc)
        check_shards(options.training_shards(config), val_shards, skip_corrupt=skip_corrupt)
        code = launch(sys.argv[1:], nproc)
        if code:
            raise click.exceptions.Exit(code)
        return
    _run_rank(config, options, as_json=as_json)


def _launch_on_ray(
    config: "TrainConfig",
    options: "TrainOptions",
    ranks: int,
    address: str,
    max_failures: int,
    *,
    as_json: bool,
) -> None:
    import sys
    from contextlib import redirect_stdout

    from wenlan_data.train.ray_launch import launch_on_ray

    # Ray prints the deaths of workers on stdout, which is for the result.
    with redirect_stdout(sys.stderr):
        code, output = launch_on_ray(
            config, options, ranks, address=address, max_failures=max_failures, as_json=as_json
        )
    if output:
        echo_lines(output)
    if code:
        raise click.exceptions.Exit(code)


def _run_rank(config: "TrainConfig", options: "TrainOptions", *, as_json: bool) -> None:
    """Trains on this rank, or without others."""
    from wenlan_data.cli.failures import report, report_unexpected
    from wenlan_data.errors import InterruptedBuildError, WenlanError
    from wenlan_data.stop_signals import exit_interrupted, interrupt_on_signals
    from wenlan_data.train.launch import RESTART, inside_launch, needs_restart
    from wenlan_data.train.results import write_results
    from wenlan_data.train.trainer import run_training

    try:
        training = run_training(config, options)
    except (InterruptedBuildError, KeyboardInterrupt) as error:
        if not inside_launch():
            raise
        # The interpreter's exit would wait for, or be aborted by, collectives of ranks that ended.
        exit_interrupted(str(error))
    except Exception as error:
        if not needs_restart(error):
            raise
        (report if isinstance(error, WenlanError) else report_unexpected)(error)
        raise click.exceptions.Exit(RESTART) from error
    interrupt_on_signals()
    line = write_results(config, options, training, as_json=as_json)
    if line:
        echo_lines(line)


def need_torch(*more: str) -> None:
    """Raises `UsageError` if the extra `[train]` is not installed, of which only some commands need
    `more`."""
    from importlib.util import find_spec

    from wenlan_data.errors import UsageError

    missing = [
        name
        for name in ("torch", "timm", "transformers", "safetensors", "tensorboard", *more)
        if not find_spec(name)
    ]
    if missing:
        raise UsageError(f"training needs {', '.join(missing)}: pip install 'wenlan-data[train]'")
