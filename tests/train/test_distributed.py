"""1, 2 and 4 gloo ranks at one global batch, and a rank that dies (P8)."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.train.runs import (
    ROOT,
    WORDS,
    config,
    corpus,
    losses,
    ranks_command,
    run_ranks,
    wordless,
)
from wenlan_data.model.backbones import share_batch_norm
from wenlan_data.model.checkpoint import list_checkpoints, load_checkpoint
from wenlan_data.model.towers import make_towers
from wenlan_data.train.launch import free_port
from wenlan_data.train.run_log import read_log

STEPS = 30


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("objective", ["brivl", "clip"])
def test_the_number_of_ranks_does_not_change_losses_weights_and_queues(
    objective: str, tmp_path: Path
) -> None:
    shards = corpus(tmp_path / "corpus", (70, 70))
    # The warm-up of brivl-tiny: at a full rate, rounding errors grow tenfold every few steps, on
    # any number of ranks. Its batch too: vectors differ in their last bits, which a temperature of
    # 0.07 makes 1e-6 of a pair's loss.
    more = ["--max-steps", str(STEPS), "--batch-size", "32", "--set", "optimizer.warmup_steps=100"]
    more += ["--set", "negatives.queue=96"]
    if objective == "clip":
        more += ["--set", "objective=clip", "--set", "negatives={queue: 0, batch: true}"]
    for ranks in (1, 2, 4):
        run_ranks(shards, tmp_path / str(ranks), ranks, *more)
    one = load_checkpoint(list_checkpoints(tmp_path / "1")[-1])
    for ranks in (2, 4):
        pairs = zip(losses(tmp_path / "1"), losses(tmp_path / str(ranks)), strict=True)
        assert max(abs(first - second) for first, second in pairs) < 1e-6
        other = load_checkpoint(list_checkpoints(tmp_path / str(ranks))[-1])
        # The digests of files differ with the last bits of vectors, and so does that of the state.
        same = {"files": one.state.files, "state_sha256": one.state.state_sha256}
        assert other.state.model_copy(update=same) == one.state
        for file in ("model", "momentum", "queues"):
            assert set(one.tensors.get(file, {})) == set(other.tensors.get(file, {}))
            for name, value in one.tensors.get(file, {}).items():
                assert torch.allclose(value, other.tensors[file][name], rtol=0, atol=2e-5), name


@pytest.mark.slow
def test_a_run_resumes_with_another_number_of_ranks(tmp_path: Path) -> None:
    shards = corpus(tmp_path / "corpus")
    constant = ("--set", "optimizer.min_lr_share=1.0")
    run_ranks(shards, tmp_path / "mixed", 1, "--max-steps", "6", *constant)
    run_ranks(shards, tmp_path / "mixed", 2, "--max-steps", "12", "--resume", "auto", *constant)
    run_ranks(shards, tmp_path / "whole", 1, "--max-steps", "12", *constant)
    assert losses(tmp_path / "mixed") == pytest.approx(losses(tmp_path / "whole"), abs=1e-6)


@pytest.mark.slow
def test_when_a_rank_is_killed_the_job_ends_with_an_error_and_can_be_resumed(
    tmp_path: Path,
) -> None:
    shards = corpus(tmp_path / "corpus")
    process = ranks_command(shards, tmp_path / "run", 2, "--max-steps", "100000")
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list_checkpoints(tmp_path / "run"):
            time.sleep(0.1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[1]), signal.SIGKILL)
        process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode not in (0, None)
    step = len(losses(tmp_path / "run"))
    run_ranks(shards, tmp_path / "run", 2, "--max-steps", str(step + 2), "--resume", "auto")
    assert len(losses(tmp_path / "run")) == step + 2


@pytest.mark.slow
def test_sigterm_to_the_launcher_saves_once_and_exits_with_11(tmp_path: Path) -> None:
    shards = corpus(tmp_path / "corpus")
    process = ranks_command(
        shards,
        tmp_path / "run",
        2,
        "--max-steps",
        "100000",
        "--set",
        "checkpoints.every_steps=100000",
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and len(losses(tmp_path / "run")) < 3:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 11
    assert stderr.decode().count("stopped at step") == 1
    assert len(list_checkpoints(tmp_path / "run")) == 1


def test_a_batch_that_ranks_do_not_divide_is_refused_once_before_any_starts(tmp_path: Path) -> None:
    process = ranks_command(corpus(tmp_path / "corpus"), tmp_path / "run", 3, "--batch-size", "8")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2
    assert stderr.decode().count("cannot be divided by 3 ranks") == 1
    assert not (tmp_path / "run").exists()


def test_batch_norm_that_trains_is_refused_on_ranks_that_cannot_share_it(tmp_path: Path) -> None:
    words = ("--set", "image.batch_norm=train")
    process = ranks_command(corpus(tmp_path / "corpus"), tmp_path / "run", 2, *words)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2
    assert stderr.decode().count("ranks without GPUs cannot share its statistics") == 1
    assert not (tmp_path / "run").exists()


def test_ranks_on_gpus_share_the_statistics_of_batch_norm() -> None:
    towers = make_towers(config("image.backbone=test_resnet", "image.batch_norm=train"), 300)
    shared = share_batch_norm(towers.image.backbone)
    kinds = [type(one) for one in shared.modules() if isinstance(one, torch.nn.SyncBatchNorm)]
    assert kinds
    assert not any(isinstance(one, torch.nn.BatchNorm2d) for one in shared.modules())
    # The optimizer and the momentum towers hold the same parameters as before.
    assert {id(one) for one in shared.parameters()} <= {id(one) for one in towers.parameters()}


def test_a_rank_with_another_corpus_is_named_before_the_first_step(tmp_path: Path) -> None:
    """As where the nodes of a cluster have different copies: the second rank sees other shards."""
    for name, counts in (("0", (14, 13)), ("1", (14, 12))):
        corpus(tmp_path / name / "corpus", counts)
    port = str(free_port())
    words = ["train", "--config", "brivl-tiny", "--shards", "corpus", "--out", "../run", *WORDS]
    words += ["--workers", "0", "--max-steps", "4"]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "wenlan_data", *words],
            cwd=tmp_path / str(rank),
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
                "WORLD_SIZE": "2",
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
            },
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    shown = [process.communicate(timeout=120)[1].decode() for process in ranks]
    assert [process.returncode for process in ranks] == [2, 2]
    assert "rank 1 of 2 has another corpus than rank 0" in shown[0]


def test_a_missing_corpus_is_reported_once_before_any_rank_starts(tmp_path: Path) -> None:
    shards = corpus(tmp_path / "corpus")
    for given in (tmp_path / "nosuch",), (shards, "--val-shards", tmp_path / "nosuch"):
        process = ranks_command(given[0], tmp_path / "run", 2, *map(str, given[1:]))
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 2
        assert stderr.decode().count("nosuch: there is no such corpus") == 1


@pytest.mark.slow
def test_ranks_agree_when_a_validation_fails_and_when_a_checkpoint_is_corrupt(
    tmp_path: Path,
) -> None:
    shards = corpus(tmp_path / "corpus")
    images = wordless(shards, tmp_path / "wordless.tar")
    out, every = tmp_path / "run", ("--max-steps", "4", "--save-every", "2")
    process = ranks_command(
        shards, out, 2, *every, "--val-shards", str(images), "--set", "validation.every_steps=3"
    )
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "no_text (it has jpg)" in stderr.decode()
    assert [path.name for path in list_checkpoints(out)] == ["step-00000002", "step-00000003"]
    (list_checkpoints(out)[-1] / "model.safetensors").write_bytes(b"")
    run_ranks(shards, out, 2, *every, "--resume", "auto")
    assert [path.name for path in list_checkpoints(out)] == ["step-00000002", "step-00000004"]
    assert (out / "checkpoints" / "step-00000003.unusable").is_dir()


@pytest.mark.slow
def test_ranks_validate_their_parts_and_agree_on_the_metrics(tmp_path: Path) -> None:
    shards, val = corpus(tmp_path / "corpus"), corpus(tmp_path / "val", (9, 8))
    more = ["--max-steps", "2", "--val-shards", str(val), "--set",
            "validation={every_steps: 2, max_samples: 10}"]  # fmt: skip
    found = []
    for ranks in (1, 2, 3):
        out = tmp_path / str(ranks)
        run_ranks(shards, out, ranks, *more, "--batch-size", "12")
        [entry] = [entry for entry in read_log(out) if entry["kind"] == "validation"]
        found.append(entry["metrics"])
    assert found[0]["text_to_image_queries"] == 10
    assert found[1] == pytest.approx(found[0])
    assert found[2] == pytest.approx(found[0])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("objective", ["brivl", "clip"])
@pytest.mark.parametrize("backbone", ["test_convnext", "mobilenetv3_small_050"])
def test_ranks_and_micro_batches_make_the_same_steps(
    objective: str, backbone: str, tmp_path: Path
) -> None:
    """Both backbones have parameters that no forward pass reads."""
    shards = corpus(tmp_path / "corpus", (30, 34))
    common = ["--max-steps", "6", "--set", f"image.backbone={backbone}", "--set", "dropout=0"]
    # Without keys of the batch: those of one micro-batch are no negatives of another.
    negatives = "{queue: 24, batch: false}" if objective == "brivl" else "{queue: 0, batch: true}"
    common += ["--set", f"objective={objective}", "--set", f"negatives={negatives}"]
    found = {}
    for ranks, accumulation in ((1, 1), (2, 1), (4, 1), (1, 2), (2, 2), (4, 2)):
        out = tmp_path / f"{ranks}-{accumulation}"
        run_ranks(shards, out, ranks, *common, "--set", f"accumulation={accumulation}")
        found[ranks, accumulation] = losses(out)
    for (ranks, accumulation), values in found.items():
        # Keys of brivl's first micro-batch are negatives of the second one.
        other = (1, accumulation if objective == "brivl" else 1)
        assert values == pytest.approx(found[other], abs=2e-5), (ranks, accumulation)
