"""What is left when a training is over: the report, and a line that says where things are."""

import json
import os

import torch

from wenlan_data.errors import WenlanError
from wenlan_data.eval.vectors import Model
from wenlan_data.train.checkpoint import TOKENIZER
from wenlan_data.train.config import TrainConfig
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.report import write_report
from wenlan_data.train.resume import checkpoint_path
from wenlan_data.train.state import Training


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
            write_report(options.out, config, model, shards, seen=not options.val_shards, workers=options.workers)
    except WenlanError as error:
        # The model is saved: a report that cannot be written must not make the training look failed.
        problem = str(error)
    best = checkpoint_path(options.out)
    if as_json:
        facts = {"steps": training.step, "samples": training.samples, "skipped": training.skipped}
        return json.dumps({**facts, "checkpoint": str(best), "report": str(options.out / "report.html")})
    lines = [
        f"{training.step} steps, {training.samples} samples, {training.skipped} steps skipped",
        f"checkpoint: {best}",
        f"report: {problem or options.out / 'report.html'}",
    ]
    return "\n".join(lines)
