"""Towers divided among gloo ranks by FSDP2: the losses of DDP, and the same checkpoints."""

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from tests.train.runs import config, losses, ranks_command, run_ranks, trained
from wenlan_data.errors import RecipeError
from wenlan_data.model.checkpoint import list_checkpoints, load_checkpoint
from wenlan_data.model.sharded_tensor import copy_whole, gathered, local
from wenlan_data.model.towers import make_towers
from wenlan_data.train.distributed import Distributed
from wenlan_data.train.launch import free_port
from wenlan_data.train.run_log import read_log
from wenlan_data.train.sharding import gather_on_main
from wenlan_data.train.state import checkpoint_tensors, start_training

# A server that has imported everything and computed nothing: its forks start in milliseconds.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.train.test_sharding"])
SETTINGS = ("dropout=0", "optimizer.clip_norm=1", "text.train=1")
JSON = dict[str, float]


def _work(rank: int, ranks: int, port: int, path: Path, vocabulary: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    distributed = Distributed(rank, ranks, torch.device("cpu"))
    made = config("max_steps=6", "parallel=fsdp", "ema.decay=0.9", "text.train=1")
    saved = load_checkpoint(path)
    towers = make_towers(made, vocabulary, saved.state.text_encoder)
    whole = {name: one.clone() for name, one in towers.state_dict().items()}
    training = start_training(towers, made, distributed.device)
    units = [one for one in training.towers.modules() if isinstance(one, FSDPModule)]
    # Blocks of both backbones, layers of both poolings, and the towers themselves.
    assert len(units) >= 8
    held = sum(local(one).numel() for one in training.towers.parameters())
    assert held < 1.2 * sum(one.numel() for one in training.towers.parameters()) / ranks
    for name, one in training.towers.named_parameters():
        assert isinstance(one, DTensor) is (name != "log_scale")
        assert torch.equal(gathered(one.detach()), whole[name])
    [momentum] = training.objective.copies()
    own = dict(training.towers.named_parameters())
    for name, one in momentum.named_parameters():
        assert local(one).shape == local(own[name]).shape
    for one in training.towers.parameters():
        copy_whole(one, torch.full(one.shape, 2.0))
    training.objective.before_step()
    for name, one in momentum.named_parameters():
        changed = 0.99 * whole[name] + 0.01 * 2 if own[name].requires_grad else whole[name]
        assert torch.allclose(gathered(one), changed, atol=1e-6), name
    found = gather_on_main(checkpoint_tensors(training), distributed)
    assert set(found) == {"model", "momentum", "queues", "optimizer", "ema"}
    if rank:
        assert not any(found.values())
    else:
        assert all(bool((one == 2).all()) for name, one in found["model"].items() if name in own)
        assert not any(isinstance(one, DTensor) for one in found["momentum"].values())


@pytest.mark.parametrize("ranks", [2, 3])
def test_each_rank_holds_its_part_and_updates_it(ranks: int, copy: Path) -> None:
    path = list_checkpoints(copy)[-1]
    name = "text.backbone.embeddings.word_embeddings.weight"
    vocabulary = load_checkpoint(path).tensors.specs["model"][name].shape[0]
    port = free_port()
    _join([(_work, (rank, ranks, port, path, vocabulary)) for rank in range(ranks)])


def _train(
    rank: int, ranks: int, port: int, shards: Path, out: Path, overrides: tuple[str, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    trained(shards, out, *overrides, resume="auto", val_shards=(shards,))


def _run(ranks: int, shards: Path, out: Path, *overrides: str) -> None:
    """Trains on gloo ranks that share the imports of one process."""
    if ranks == 1:
        trained(shards, out, *overrides, resume="auto", val_shards=(shards,))
        return
    port = free_port()
    _join([(_train, (rank, ranks, port, shards, out, overrides)) for rank in range(ranks)])


def _join(calls: list[tuple[Callable[..., None], tuple[object, ...]]]) -> None:
    processes: list[BaseProcess] = [_SERVER.Process(target=run, args=args) for run, args in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join(250)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def _compare(one: Path, other: Path, *, abs_losses: float = 2e-6) -> None:
    assert losses(one) == pytest.approx(losses(other), abs=abs_losses)
    first, second = (load_checkpoint(list_checkpoints(out)[-1]) for out in (one, other))
    assert first.tensors.specs == second.tensors.specs
    for stem, named in first.tensors.items():
        for name, value in named.items():
            if stem != "optimizer":
                found = second.tensors[stem][name]
                assert torch.allclose(value.float(), found.float(), rtol=0, atol=2e-5), name


def test_sharded_ranks_train_as_ddp_does_and_resume_each_other(
    shards: Path, tmp_path: Path
) -> None:
    more = (*SETTINGS, "ema.decay=0.9", "optimizer.min_lr_share=1.0", "checkpoints.every_steps=4",
            "validation={every_steps: 4, max_samples: 9}")  # fmt: skip
    ddp, fsdp = tmp_path / "ddp", tmp_path / "fsdp"
    _run(2, shards, ddp, "max_steps=8", *more)
    _run(2, shards, fsdp, "max_steps=8", "parallel=fsdp", *more)
    _compare(ddp, fsdp)
    scores = [
        [cast("JSON", one["metrics"]) for one in read_log(out) if one["kind"] == "validation"]
        for out in (ddp, fsdp)
    ]
    assert len(scores[0]) == 2
    for one, other in zip(*scores, strict=True):
        assert other == pytest.approx(one)
    # From FSDP to one process, and from there to FSDP on another number of ranks.
    _run(1, shards, fsdp, "max_steps=10", *more)
    _run(4, shards, fsdp, "max_steps=12", "parallel=fsdp", *more)
    _run(2, shards, ddp, "max_steps=12", *more)
    _compare(ddp, fsdp, abs_losses=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        ("objective=clip", "negatives={queue: 0, batch: true}", "accumulation=2",
         "temperature.learned=true"),
        ("accumulation=2", "temperature.learned=true", "negatives={queue: 24, batch: false}"),
        ("precision=bf16", "recompute=true"),
        ("image.backbone=test_vit", "image.size_px=32", "standardise=true"),
        ("image.backbone=test_efficientnet", "image.size_px=64", "recompute=true"),
    ],
)  # fmt: skip
def test_sharded_ranks_train_as_ddp_does_with_other_settings(
    changes: tuple[str, ...], shards: Path, tmp_path: Path
) -> None:
    more = (*SETTINGS, "max_steps=6", *changes)
    _run(2, shards, tmp_path / "ddp", *more)
    _run(2, shards, tmp_path / "fsdp", "parallel=fsdp", *more)
    if "precision=bf16" in changes:
        assert losses(tmp_path / "fsdp") == pytest.approx(losses(tmp_path / "ddp"), abs=2e-2)
    else:
        _compare(tmp_path / "ddp", tmp_path / "fsdp")


@pytest.mark.slow
def test_sharded_ranks_write_a_report_and_save_at_a_signal(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_ranks(shards, out, 2, "--max-steps", "3", "--set", "parallel=fsdp")
    assert (out / "report.html").is_file()
    process = ranks_command(
        shards, out, 2, "--max-steps", "100000", "--resume", "auto", "--set", "parallel=fsdp"
    )
    while len(losses(out)) < 5 and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 11, stderr.decode()
    assert load_checkpoint(list_checkpoints(out)[-1]).state.step == len(losses(out))


def test_one_process_divides_nothing(shards: Path, run: Path, tmp_path: Path) -> None:
    trained(shards, tmp_path / "run", "max_steps=6", "parallel=fsdp")
    assert losses(tmp_path / "run") == losses(run)


def test_compiled_towers_are_not_divided() -> None:
    with pytest.raises(RecipeError, match="compile: not with parallel: fsdp"):
        config("parallel=fsdp", "compile=true")
