"""What a training leaves at its end: the report, and what the command prints."""

import json
import os

import torch

from wenlan_data.errors import WenlanError
from wenlan_data.eval.embed import EmbeddingModel, load_model
from wenlan_data.model.checkpoint import TOKENIZER, checkpoint_path, list_checkpoints
from wenlan_data.model.config import TrainConfig
from wenlan_data.printable import printable
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.report import PAGE, write_report
from wenlan_data.train.state import TrainingState


def write_results(
    config: TrainConfig, options: TrainOptions, training: TrainingState, *, as_json: bool
) -> str:
    """Writes `report.html` on the main rank and returns the text to print, empty on other ranks.

    The report shows the validation pairs, or training pairs where there are none.
    """
    if os.environ.get("RANK", "0") != "0":
        return ""
    problem = _try_report(config, options, training)
    best = checkpoint_path(options.out)
    report = options.out / PAGE
    if as_json:
        counts = {"steps": training.step, "samples": training.samples, "skipped": training.skipped}
        return json.dumps({**counts, "checkpoint": str(best), "report": str(report)})
    lines = [
        f"{training.step} steps, {training.samples} samples, {training.skipped} steps skipped",
        f"checkpoint: {best}",
        f"report: {problem or report}",
    ]
    return "\n".join(map(printable, lines))


def _try_report(config: TrainConfig, options: TrainOptions, training: TrainingState) -> str:
    """Writes the report; returns what went wrong, empty if nothing."""
    device = training.towers.log_scale.device
    try:
        if config.parallel == "fsdp":
            # This rank holds a part of the towers only.
            last = next(reversed(list_checkpoints(options.out)), options.out)
            model = load_model(last, device)
        else:
            model = EmbeddingModel(
                towers=training.evaluated.eval(),
                config=config,
                tokenizer=options.out / TOKENIZER,
                device=device,
            )
        with torch.no_grad():
            write_report(
                options.out,
                config,
                model,
                options.val_shards or options.training_shards(config),
                trained_on=not options.val_shards,
                workers=options.workers,
            )
    except WenlanError as error:
        # The model is saved: a report that cannot be written must not make the training look
        # failed.
        return str(error)
    return ""
