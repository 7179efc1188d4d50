"""1, 2 and 4 gloo ranks at one global batch, and a rank that dies (P8)."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.train.runs import corpus, losses, ranks_command, run_ranks, wordless
from wenlan_data.model.checkpoint import list_checkpoints, load_checkpoint

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
                assert torch.allclose(value, other.tensors[file][name], rtol=0, atol=1e-5), name


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
