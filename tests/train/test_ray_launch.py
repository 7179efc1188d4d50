"""Ranks under Ray Train: a loss costs time alone, and an error of ours ends the job at once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.builds.clusters import Cluster
from tests.train.runs import ROOT, WORDS, corpus, losses, run_ranks
from wenlan_data.errors import UsageError
from wenlan_data.folder_lock import FolderLock
from wenlan_data.model.checkpoint import list_checkpoints, load_checkpoint
from wenlan_data.train.launch import RESTART, check_restarts, needs_restart
from wenlan_data.train.node_check import check_nodes, check_size, look, shared_folder
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.rank_ends import RankEnd, RankJob, cause_of_end, cause_of_restart
from wenlan_data.train.rank_process import RankProcess

CONSTANT = ("--set", "optimizer.min_lr_share=1.0")


def _start(
    shards: Path,
    out: Path,
    *more: str,
    address: str = "local",
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[str]":
    words = ["train", "--config", "brivl-tiny", *WORDS, *CONSTANT, "--workers", "0", "--nproc", "2"]
    words += ["--shards", str(shards), "--out", str(out), "--ray", address, *more]
    return subprocess.Popen(
        [sys.executable, "-m", "wenlan_data", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _rank_of(out: Path, rank: int) -> int:
    """The process id of a rank that has begun; 0 if there is none."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"--out={out}".encode() in words and f"RANK={rank}".encode() in variables:
            return int(entry.name)
    return 0


def _wait_for_losses(process: "subprocess.Popen[str]", out: Path, count: int) -> None:
    deadline = time.monotonic() + 240
    while len(losses(out)) < count:
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _files(out: Path) -> dict[str, object]:
    """Digests of the tensors of the last checkpoint, and what decides how a run goes on."""
    state = load_checkpoint(list_checkpoints(out)[-1]).state
    return {
        **dict(state.files.items()),
        "config": state.config_digest,
        "position": (state.step, state.epoch, state.position),
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_ranks_and_workers_change_no_bit_of_the_result(tmp_path: Path) -> None:
    shards = corpus(tmp_path / "corpus")
    out, whole = tmp_path / "killed", tmp_path / "whole"
    every = ("--max-steps", "160", "--set", "checkpoints.every_steps=20", "--json")
    process = _start(shards, out, *every)
    _wait_for_losses(process, out, 30)
    os.kill(_rank_of(out, 1), signal.SIGKILL)
    _wait_for_losses(process, out, 80)
    # The main rank together with its worker of Ray.
    os.kill(_parent(_rank_of(out, 0)), signal.SIGKILL)
    output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors[-3000:]
    assert json.loads(output)["steps"] == 160
    assert "rank 1 on " in errors
    assert "was killed by signal 9: starting all ranks again from step-" in errors
    assert "(1 of at most 3 times)" in errors
    # The other rank may be the first to report, by the error of its collective.
    assert "(2 of at most 3 times)" in errors
    assert "Traceback" not in errors
    assert not list(out.glob(".nodes-*"))
    run_ranks(shards, whole, 2, *every, *CONSTANT)
    assert losses(out) == losses(whole)
    assert _files(out) == _files(whole)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_loss_more_than_permitted_ends_the_job(tmp_path: Path) -> None:
    shards, out = corpus(tmp_path / "corpus"), tmp_path / "run"
    process = _start(shards, out, "--max-steps", "100000", "--max-failures", "0")
    _wait_for_losses(process, out, 3)
    os.kill(_rank_of(out, 1), signal.SIGKILL)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 9, errors[-3000:]
    last = errors.splitlines()[-1]
    assert "was killed by signal 9, and --max-failures is 0: remove the cause" in last
    assert "Traceback" not in errors
    assert _rank_of(out, 0) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_error_of_one_rank_ends_the_job_with_its_line_and_code(tmp_path: Path) -> None:
    shards, out = corpus(tmp_path / "corpus"), tmp_path / "run"
    # The main rank alone takes the lock; the other one waits for it.
    with FolderLock(out, "training"):
        process = _start(shards, out, "--max-steps", "4")
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, output) == (2, "")
    assert errors.count("wenlan-data: ") == 1
    assert "another training" in errors.splitlines()[-1]
    assert "starting all ranks again" not in errors


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sigterm_to_the_driver_saves_once_and_exits_with_11(tmp_path: Path) -> None:
    shards, out = corpus(tmp_path / "corpus"), tmp_path / "run"
    rarely = ("--set", "checkpoints.every_steps=100000")
    process = _start(shards, out, "--max-steps", "100000", *rarely)
    _wait_for_losses(process, out, 3)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (11, "")
    assert errors.count("stopped at step") == 1
    assert "checkpoint saved" in errors.splitlines()[-1]
    assert len(list_checkpoints(out)) == 1
    assert _rank_of(out, 0) == 0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as found:
        # One after the other: two that start at once on one address may choose the same port.
        for count in (2, 3):
            found.add_node()
            found.wait_for_nodes(count)
        yield found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nodes_of_a_cluster_give_the_same_bits(tmp_path: Path, cluster: Cluster) -> None:
    shards = corpus(tmp_path / "corpus")
    steps = ("--max-steps", "6")
    process = _start(
        shards,
        tmp_path / "cluster",
        *steps,
        address=cluster.address,
        environment=cluster.environment,
    )
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors[-3000:]
    run_ranks(shards, tmp_path / "here", 2, *steps, *CONSTANT, "--set", "checkpoints.every_steps=2")
    assert _files(tmp_path / "cluster") == _files(tmp_path / "here")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_that_is_too_small_is_refused(tmp_path: Path, cluster: Cluster) -> None:
    process = _start(
        corpus(tmp_path / "corpus"), tmp_path / "run", "--max-steps", "6", "--nproc", "4",
        address=cluster.address, environment=cluster.environment,
    )  # fmt: skip
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 2, errors
    assert "--nproc 4: each rank takes a CPU, and the cluster of --ray has 2" in errors
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_folder_that_a_node_does_not_see_is_named(tmp_path: Path, cluster: Cluster) -> None:
    shards = corpus(tmp_path / "corpus")
    # A folder of the driver alone: its mount namespace has another /srv than the nodes.
    script = 'mount -t tmpfs none /srv && exec "$@"'
    words = [
        "train",
        "--config",
        "brivl-tiny",
        *WORDS,
        "--shards",
        str(shards),
        "--out",
        "/srv/run",
    ]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh",
         sys.executable, "-m", "wenlan_data", *words, "--nproc", "2", "--ray", cluster.address],
        env={**cluster.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    if "Operation not permitted" in done.stderr:
        pytest.skip("this user may not make a mount namespace")
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert "does not see what the driver writes to /srv/run: checkpoints need storage" in last


def test_ray_is_not_started_where_torchrun_started_the_ranks(tmp_path: Path) -> None:
    process = _start(corpus(tmp_path / "corpus"), tmp_path / "run", environment={"RANK": "0"})
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 2
    assert "--ray starts the ranks itself: give it without torchrun" in errors


def test_an_address_without_a_cluster_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    process = _start(corpus(tmp_path / "corpus"), tmp_path / "run", address="127.0.0.1:9")
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 2
    assert "--ray 127.0.0.1:9: no cluster responds there" in errors.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def _end(rank: int, code: int, start: int = 1) -> RankEnd:
    return RankEnd(rank=rank, host="a", start=start, code=code, reasons=[], output="")


def test_the_cause_is_the_rank_that_did_not_end_for_another_one() -> None:
    # The collectives of rank 0 failed because rank 1 had ended.
    assert cause_of_end([_end(0, RESTART), _end(1, 2)], 1) == _end(1, 2)
    assert cause_of_end([_end(0, 11), _end(1, 4)], 1) == _end(1, 4)
    assert cause_of_end([_end(1, 11), _end(0, 11)], 1) == _end(0, 11)
    assert cause_of_end([_end(0, 0), _end(1, 0)], 1) is None
    assert cause_of_end([_end(1, 2, start=1), _end(1, RESTART, start=2)], 2) is None
    assert cause_of_restart([_end(0, RESTART), _end(1, -9)], 1) == _end(1, -9)
    assert cause_of_restart([_end(1, RESTART), _end(0, RESTART)], 1) == _end(1, RESTART)
    assert cause_of_restart([_end(0, RESTART)], 2) is None


def test_a_job_ends_by_an_error_of_its_current_start_only() -> None:
    job = RankJob()
    assert (job.begin(), job.begin()) == (1, 2)
    job.end(_end(0, 2, start=1))
    assert job.exchange(2, ["a"]) == (False, 0)
    assert job.exchange(1, ["b"]) == (False, 2)
    job.stop()
    assert job.exchange(2, []) == (True, 0)
    assert job.take() == (2, ["a", "b"], [_end(0, 2, start=1)])
    assert job.take() == (2, [], [_end(0, 2, start=1)])


def test_only_what_another_start_may_cure_makes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from wenlan_data.errors import DamageError, DeviceError, WorkerLostError

    errors = [RuntimeError("NCCL"), WorkerLostError("a"), DeviceError("b"), DamageError("c")]
    assert [needs_restart(one) for one in errors] == [False] * 4
    monkeypatch.setenv("WENLAN_RAY_TRAIN", "1")
    assert [needs_restart(one) for one in errors] == [True, True, True, False]


def test_a_rank_ends_with_its_own_code_and_the_line_of_its_error_apart(tmp_path: Path) -> None:
    calls: list[list[str]] = []

    def exchange(lines: list[str]) -> tuple[bool, int]:
        calls.append(lines)
        return False, 0

    words = ["shards", "stat", str(tmp_path / "nosuch")]
    process = RankProcess(words, {**os.environ, "PYTHONPATH": str(ROOT)}, tmp_path)
    process.watch(exchange)
    assert process.exit_code() == 2
    [line] = process.reasons()
    assert line.startswith("wenlan-data: ")
    assert "nosuch" in line
    assert calls
    assert not any(calls)
    assert process.output() == ""


def test_an_older_checkpoint_than_the_newest_is_refused(tmp_path: Path) -> None:
    check_restarts(tmp_path, "no")
    for step in (2, 4):
        (tmp_path / "checkpoints" / f"step-{step:08}").mkdir(parents=True)
    check_restarts(tmp_path, "auto")
    check_restarts(tmp_path, str(tmp_path / "checkpoints" / "step-00000004"))
    with pytest.raises(UsageError, match="holds a run already"):
        check_restarts(tmp_path, "no")
    with pytest.raises(UsageError, match="holds step-00000004, from which ranks"):
        check_restarts(tmp_path, str(tmp_path / "checkpoints" / "step-00000002"))


def test_nodes_are_compared_with_the_driver(tmp_path: Path) -> None:
    out = tmp_path / "a" / "run"
    with shared_folder(out) as marker:
        versions, missing = look([marker, tmp_path, tmp_path / "no"])
        assert missing == [tmp_path / "no"]
        check_nodes([("node 1", (versions, []))], out, marker)
        with pytest.raises(UsageError, match="node 2: does not see what the driver writes to"):
            check_nodes([("node 2", (versions, [marker, tmp_path]))], out, marker)
        with pytest.raises(UsageError, match=r"node 3: .*/no: no such file or folder"):
            check_nodes([("node 3", (versions, missing))], out, marker)
        with pytest.raises(UsageError, match=r"node 4: torch 0 \(the driver has torch "):
            check_nodes([("node 4", ({**versions, "torch": "0"}, []))], out, marker)
    assert not (tmp_path / "a").exists()


def test_ranks_have_gpus_where_the_cluster_has_any() -> None:
    assert check_size({"CPU": 8.0, "GPU": 4.0}, 4)
    assert not check_size({"CPU": 8.0}, 8)
    with pytest.raises(UsageError, match="each rank takes a GPU, and the cluster of --ray has 4"):
        check_size({"CPU": 64.0, "GPU": 4.0}, 8)
    with pytest.raises(UsageError, match="each rank takes a CPU, and the cluster of --ray has 0"):
        check_size({}, 1)


def test_options_are_the_same_on_the_command_line_of_a_rank(tmp_path: Path) -> None:
    options = TrainOptions(
        shards=(Path("a"), Path("/b")),
        out=Path("run"),
        val_shards=(Path("c"),),
        resume="old/step-00000002",
        init=Path("w"),
        workers=3,
        grown_corpus=True,
        changed_corpus=True,
    ).absolute()
    here = Path.cwd()
    assert list(options.words()) == [
        f"--shards={here / 'a'}", "--shards=/b", f"--val-shards={here / 'c'}",
        f"--out={here / 'run'}",
        f"--resume={here / 'old/step-00000002'}", "--workers=3", f"--init={here / 'w'}",
        "--grown-corpus", "--changed-corpus",
    ]  # fmt: skip
    plain = TrainOptions(shards=(tmp_path,), out=tmp_path)
    assert list(plain.words())[1:] == [f"--out={tmp_path}", "--resume=no", "--workers=2"]
