"""The `data` section of a config: what it changes in a training, and on resuming."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

from tests.train.runs import ROOT, WORDS, config, corpus, losses, run_ranks, trained
from wenlan_data.errors import RecipeError, UsageError
from wenlan_data.model.config import TrainConfig
from wenlan_data.settings import parse_yaml
from wenlan_data.train import loop as loop_module
from wenlan_data.train.batches import START, Batch, TrainingData, batches
from wenlan_data.train.distributed import Distributed
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.run_log import read_log
from wenlan_data.train.state import TrainingState
from wenlan_data.train.step import training_step
from wenlan_data.train.step_figures import StepFigures
from wenlan_data.train.trainer import run_training


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two corpora of 27 and 9 samples."""
    folder = tmp_path_factory.mktemp("mix")
    return {"news": corpus(folder / "news"), "wiki": corpus(folder / "wiki", (5, 4))}


def _corpora(mix: dict[str, Path], wiki_weight: float = 1) -> str:
    weights = {"news": 3, "wiki": wiki_weight}
    listed = [
        {"name": name, "paths": [str(path)], "weight": weights[name]} for name, path in mix.items()
    ]
    return f"data.corpora={json.dumps(listed)}"


def _trained(out: Path, *overrides: str, **options: object) -> TrainingState:
    given = TrainOptions(out=out, workers=0, **options)
    return run_training(config("checkpoints.every_steps=2", *overrides), given)


def test_a_mix_of_corpora_trains_in_its_proportion_and_the_log_counts_it(
    mix: dict[str, Path], tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    _trained(run, _corpora(mix), "max_steps=6", "batch_size=12")
    epochs = [entry for entry in read_log(run) if entry["kind"] == "epoch"]
    assert [(one["epoch"], one["step"], one["samples"]) for one in epochs] == [
        (0, 3, 36),
        (1, 6, 36),
    ]
    assert [one["sources"] for one in epochs] == [{"news": 27, "wiki": 9}] * 2
    took = cast("dict[str, float]", epochs[0]["stage_s"])
    assert {"read", "decode", "text"} < {stage for stage, seconds in took.items() if seconds}
    _trained(other, _corpora(mix), "max_steps=4", "batch_size=12")
    moved = {"news": mix["news"], "wiki": shutil.copytree(mix["wiki"], tmp_path / "elsewhere")}
    _trained(other, _corpora(moved), "max_steps=6", "batch_size=12", resume="auto")
    assert len(losses(other)) == 6


def test_the_mix_of_the_documentation_trains(
    mix: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "training.md").read_text("utf-8")
    [block] = re.findall(r"^```yaml\n(data:\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(mix["news"].parent)
    data = parse_yaml(block)
    assert isinstance(data, dict)
    run = tmp_path / "run"
    _trained(run, f"data={json.dumps(data['data'])}", "max_steps=3", "batch_size=12")
    [epoch] = [entry for entry in read_log(run) if entry["kind"] == "epoch"]
    assert epoch["sources"] == {"news": 25, "wiki": 11}


def test_what_trains_is_named_once(mix: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--shards and data\.corpora both name what trains"):
        _trained(tmp_path / "run", _corpora(mix), "max_steps=1", shards=(mix["news"],))
    command = [sys.executable, "-m", "wenlan_data", "train", "--config", "brivl-tiny"]
    for words in ([], ["--dry-run"]):
        done = subprocess.run(
            [*command, "--out", str(tmp_path / "run"), *WORDS, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert "nothing to train on: give --shards, or data.corpora" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (
            "data.decoder=turbo",
            "data.decoder=pillow",
            r"data\.decoder pillow \(was turbo\).*--init",
        ),
        ("data.shuffle=none", "data.shuffle={scatter: true}", r"data\.shuffle .*--changed-corpus"),
        ("data.nodes=1", "data={shard_by: node, nodes: 2}", r"data\.nodes 2 .*--changed-corpus"),
    ],
)
def test_a_key_that_changes_samples_may_not_change(
    first: str, then: str, message: str, mix: dict[str, Path], tmp_path: Path
) -> None:
    shards = (mix["news"],)
    _trained(tmp_path / "run", first, "max_steps=2", shards=shards)
    with pytest.raises(RecipeError, match=message):
        _trained(tmp_path / "run", then, "max_steps=3", shards=shards, resume="auto")
    if "--init" in message:
        return
    changed = _trained(
        tmp_path / "run", then, "max_steps=3", shards=shards, resume="auto", changed_corpus=True
    )
    assert (changed.position.epoch, changed.position.samples) == (1, 8)


def test_weights_of_a_mix_may_not_change_but_how_it_is_read_may(
    mix: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    _trained(run, _corpora(mix), "max_steps=2")
    with pytest.raises(RecipeError, match=r"data\.corpora news x 3, wiki x 2 \(was news x 3, wik"):
        _trained(run, _corpora(mix, 2), "max_steps=3", resume="auto")
    how = ("data.prefetch=3", "data.check_share=1")
    assert _trained(run, _corpora(mix), *how, "max_steps=3", resume="auto").position.epoch == 0
    assert "data.check_share 1.0 (was 0.0), data.prefetch 3 (was 2)" in capsys.readouterr().err


def test_a_corrupt_shard_is_left_out_only_where_the_config_permits_it(
    mix: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards, run = shutil.copytree(mix["news"], tmp_path / "news"), tmp_path / "run"
    skip = "data.corrupt_shards=skip"
    _trained(run, skip, "max_steps=2", shards=(shards,))
    (shards / "shards" / "wenlan-000001.tar").unlink()
    with pytest.raises(RecipeError, match="the corpus is not that of the checkpoint"):
        _trained(run, skip, "max_steps=4", shards=(shards,), resume="auto")
    again = _trained(run, skip, "max_steps=4", shards=(shards,), resume="auto", changed_corpus=True)
    assert (again.position.epoch, again.position.samples) == (1, 16)
    capsys.readouterr()
    _trained(tmp_path / "new", skip, "max_steps=2", shards=(shards,))
    assert "left out, 13 samples lost: " in capsys.readouterr().err
    [epoch] = [entry for entry in read_log(tmp_path / "new") if entry["kind"] == "epoch"]
    assert (epoch["samples"], epoch["step"]) == (16, 2)  # 14 samples are left


def test_a_killed_loading_worker_changes_no_loss(
    mix: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = ("max_steps=7", "data.prefetch=1")
    trained(mix["news"], tmp_path / "whole", *settings)

    def killing(
        training: TrainingState,
        module: nn.Module,
        micro_batches: list[Batch],
        config: TrainConfig,
        distributed: Distributed,
    ) -> StepFigures:
        if training.step in (1, 4):
            for worker in multiprocessing.active_children():
                assert worker.pid is not None
                os.kill(worker.pid, signal.SIGKILL)
        return training_step(training, module, micro_batches, config, distributed)

    monkeypatch.setattr(loop_module, "training_step", killing)
    options = TrainOptions(shards=(mix["news"],), out=tmp_path / "killed", workers=1)
    run_training(config(*settings), options)
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert "loading workers were lost 1 times and replaced" in capsys.readouterr().err
    figures = [
        cast("dict[str, float]", entry["figures"])
        for entry in read_log(tmp_path / "killed")
        if entry["kind"] == "step"
    ]
    assert sum(one["workers_lost"] for one in figures) == 2


def test_shares_of_nodes_resume_to_the_same_losses(mix: dict[str, Path], tmp_path: Path) -> None:
    settings = ("data={shard_by: node, nodes: 4}", "optimizer.min_lr_share=1.0")
    trained(mix["news"], tmp_path / "whole", *settings, "max_steps=6")
    trained(mix["news"], tmp_path / "part", *settings, "max_steps=2", "accumulation=2")
    trained(mix["news"], tmp_path / "all", *settings[1:], "max_steps=2")
    assert losses(tmp_path / "whole")[0] != losses(tmp_path / "all")[0]
    parted = TrainOptions(shards=(mix["news"],), out=tmp_path / "run", workers=0, resume="auto")
    for steps in (3, 6):
        run_training(config(*settings, f"max_steps={steps}"), parted)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


@pytest.mark.slow
def test_shares_of_nodes_give_the_same_losses_on_two_ranks(
    mix: dict[str, Path], tmp_path: Path
) -> None:
    override = "data={shard_by: node, nodes: 2}"
    trained(mix["news"], tmp_path / "one", override, "max_steps=6", "dropout=0.0")
    words = ("--set", override, "--set", "dropout=0.0", "--max-steps", "6")
    run_ranks(mix["news"], tmp_path / "two", 2, *words)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=2e-5)


def test_fields_of_samples_come_with_a_batch(mix: dict[str, Path], tmp_path: Path) -> None:
    trained(mix["news"], tmp_path / "run", "max_steps=1")
    data = TrainingData(
        shards=[mix["news"]],
        tokenizer=tmp_path / "run" / "tokenizer.json",
        workers=0,
    )
    given = config("data.fields=[phash, image_url]")
    source = batches(data, given, Distributed(0, 1, torch.device("cpu")), START)
    fields = next(source).fields
    source.close()
    assert set(fields) == {"phash", "image_url"}
    numbers = [str(url).rpartition("/")[2].removesuffix(".jpg") for url in fields["image_url"]]
    assert sorted(map(int, numbers)) == sorted(set(map(int, numbers)))
    assert len(numbers) == 8
