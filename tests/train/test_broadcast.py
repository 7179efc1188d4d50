"""Checkpoints and weights that the main rank alone reads, for all ranks."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tests.train.runs import ROOT, WORDS, config, losses, ranks_command, run_ranks, trained
from wenlan_data.errors import DamageError, OtherRankError
from wenlan_data.model.checkpoint import Checkpoint, list_checkpoints, load_checkpoint
from wenlan_data.model.towers import make_towers
from wenlan_data.train.broadcast import PIECE_BYTES, broadcast_checkpoint, broadcast_tensors
from wenlan_data.train.distributed import Distributed
from wenlan_data.train.launch import free_port
from wenlan_data.train.state import checkpoint_tensors, restore_training, start_training

# A server that has imported everything and computed nothing: its forks start in milliseconds.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.train.test_broadcast"])


def _join(rank: int, ranks: int, port: int) -> Distributed:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    return Distributed(rank, ranks, torch.device("cpu"))


def _restore(rank: int, ranks: int, port: int, path: Path, vocabulary: int) -> None:
    distributed = _join(rank, ranks, port)

    def load() -> Checkpoint:
        assert distributed.is_main
        return load_checkpoint(path)

    found = broadcast_checkpoint(distributed, load)
    direct = load_checkpoint(path)
    assert found is not None
    assert found.path == path
    assert found.state == direct.state
    made = config("max_steps=6")
    training = start_training(
        make_towers(made, vocabulary, found.state.text_encoder), made, distributed.device
    )
    restore_training(training, found)
    for stem, named in checkpoint_tensors(training).items():
        assert set(named) == set(direct.tensors[stem])
        for name, one in named.items():
            assert one.dtype == direct.tensors[stem][name].dtype
            assert torch.equal(one, direct.tensors[stem][name]), name
    assert broadcast_checkpoint(distributed, lambda: None) is None


def _fail(rank: int, ranks: int, port: int, path: Path, vocabulary: int) -> None:
    distributed = _join(rank, ranks, port)
    found = broadcast_checkpoint(distributed, lambda: load_checkpoint(path))
    assert found is not None
    name = next(iter(found.tensors["model"]))
    expected = DamageError if distributed.is_main else OtherRankError
    if distributed.is_main:
        path.rename(path.with_name("elsewhere"))
    for load in (lambda: load_checkpoint(path), lambda: load_checkpoint(path.with_name("nosuch"))):
        with pytest.raises(expected) as raised:
            broadcast_checkpoint(distributed, load)
        assert raised.value.exit_code == 1
    # What was opened before can still be read.
    assert found.tensors["model"][name].numel() > 0


def _large(rank: int, ranks: int, port: int, path: Path, vocabulary: int) -> None:
    distributed = _join(rank, ranks, port)
    size = 2 * PIECE_BYTES // 4 + 3
    tensors = [
        torch.arange(size, dtype=torch.float32),
        torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.tensor(True),
        torch.zeros(0),
        torch.tensor(2.5, dtype=torch.bfloat16),
    ]
    for one in tensors[:2] if rank else []:
        one.zero_()
    broadcast_tensors(distributed, tensors)
    assert torch.equal(tensors[0], torch.arange(size, dtype=torch.float32))
    assert bool((tensors[1] == 1).all())


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("body", [_restore, _fail, _large])
def test_ranks_get_what_the_main_rank_reads(
    body: object, ranks: int, copy: Path, tmp_path: Path
) -> None:
    path = list_checkpoints(copy)[-1]
    vocabulary = load_checkpoint(path).tensors.specs["model"][
        "text.backbone.embeddings.word_embeddings.weight"
    ]
    port = free_port()
    processes: list[BaseProcess] = [
        _SERVER.Process(target=body, args=(rank, ranks, port, path, vocabulary.shape[0]))
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * ranks


def _ranks_apart(
    tmp_path: Path, ranks: int, shards: Path, *more: str
) -> list[subprocess.Popen[bytes]]:
    """Ranks that were started on machines of their own: rank N works in the folder N."""
    words = ["train", "--config", "brivl-tiny", "--shards", str(shards), "--out", "run", "--workers", "0",
             *WORDS, *more]  # fmt: skip
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    return [
        subprocess.Popen(
            [sys.executable, "-m", "wenlan_data", *words],
            cwd=tmp_path / str(rank),
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(ranks)
    ]


@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_only_the_main_rank_has_the_checkpoint(ranks: int, shards: Path, tmp_path: Path) -> None:
    size = ("--batch-size", "12")
    trained(shards, tmp_path / "start", "max_steps=4", "batch_size=12")
    shutil.copytree(tmp_path / "start", tmp_path / "0" / "run")
    for rank in range(1, ranks):
        (tmp_path / str(rank) / "run").mkdir(parents=True)
        # The data of a rank needs the tokenizer.
        shutil.copy(tmp_path / "start" / "tokenizer.json", tmp_path / str(rank) / "run")
    more = ("--max-steps", "8", "--resume", "auto", *size)
    shown = [
        (process.communicate(timeout=200)[1].decode(), process.returncode)
        for process in _ranks_apart(tmp_path, ranks, shards, *more)
    ]
    assert [code for _, code in shown] == [0] * ranks, shown
    run_ranks(shards, tmp_path / "start", ranks, *more)
    assert losses(tmp_path / "0" / "run") == losses(tmp_path / "start")
    assert not (tmp_path / "1" / "run" / "checkpoints").exists()


def test_only_the_main_rank_has_the_initial_weights(
    shards: Path, run: Path, tmp_path: Path
) -> None:
    for rank in ("0", "1"):
        (tmp_path / rank / "run").mkdir(parents=True)
        shutil.copy(run / "tokenizer.json", tmp_path / rank / "run")
    shutil.copytree(run, tmp_path / "0" / "initial")
    (tmp_path / "1" / "initial").write_bytes(b"not weights")
    more = ("--max-steps", "2", "--init", "initial")
    processes = _ranks_apart(tmp_path, 2, shards, *more)
    shown = [process.communicate(timeout=200)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], shown
    run_ranks(shards, tmp_path / "whole", 2, "--max-steps", "2", "--init", str(run))
    assert losses(tmp_path / "0" / "run") == losses(tmp_path / "whole")


def test_a_checkpoint_that_cannot_be_used_is_one_error_of_all_ranks(
    shards: Path, copy: Path
) -> None:
    for path in list_checkpoints(copy):
        (path / "model.safetensors").write_bytes(b"")
    process = ranks_command(shards, copy, 2, "--max-steps", "8", "--resume", "auto")
    _, stderr = process.communicate(timeout=200)
    shown = stderr.decode()
    assert process.returncode == 1
    assert shown.count("no checkpoint is intact") == 1
    assert shown.count("wenlan-data:") == 1
