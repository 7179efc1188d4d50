"""Checkpoints that are corrupt, changed or made by others; faults P2 to P4, P6, P7, P10."""

import errno
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save

from tests.train.runs import config, corpus, losses, seal, trained
from wenlan_data.errors import (
    DamageError,
    DescriptorError,
    DeviceError,
    DiskError,
    RecipeError,
    UsageError,
)
from wenlan_data.files import sha256_of
from wenlan_data.model import checkpoint as checkpoint_module
from wenlan_data.model.checkpoint import (
    best_checkpoint,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    load_state,
)
from wenlan_data.model.tensor_file import read_tensors, write_tensors
from wenlan_data.model.towers import make_towers
from wenlan_data.train.corpus_mark import CorpusShards
from wenlan_data.train.resume import load_initial_weights, load_newest_intact
from wenlan_data.train.state import checkpoint_tensors


def test_a_checkpoint_holds_everything_that_training_changes(
    shards: Path, run: Path, tmp_path: Path
) -> None:
    training = trained(shards, tmp_path / "again", "max_steps=6")
    saved = load_checkpoint(list_checkpoints(run)[-1])
    assert set(saved.tensors) == {"model", "momentum", "queues", "optimizer"}
    for name, tensors in checkpoint_tensors(training).items():
        assert set(saved.tensors[name]) == set(tensors)
        assert all(torch.equal(saved.tensors[name][one], value) for one, value in tensors.items())
    state = saved.state
    assert (state.step, state.samples, state.epoch, state.position) == (6, 48, 1, 16)
    assert (state.queue_fill, state.queue_pointer) == (24, 0)
    assert state.corpus == CorpusShards([shards]).mark
    listed = pq.read_table(list_checkpoints(run)[-1] / "shards.parquet").to_pylist()
    assert [one["name"] for one in listed] == ["wenlan-000000.tar", "wenlan-000001.tar"]
    assert listed[0]["sha256"] == sha256_of(shards / "shards" / "wenlan-000000.tar")


def test_resuming_gives_the_losses_of_an_uninterrupted_run(shards: Path, tmp_path: Path) -> None:
    constant = "optimizer.min_lr_share=1.0"
    trained(shards, tmp_path / "parts", "max_steps=5", constant)
    trained(shards, tmp_path / "parts", "max_steps=10", constant, resume="auto")
    trained(shards, tmp_path / "whole", "max_steps=10", constant)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


@pytest.mark.parametrize("lost", ["momentum", "queues", "optimizer"])
def test_a_lost_file_changes_the_next_losses(
    shards: Path, copy: Path, lost: str, tmp_path: Path
) -> None:
    whole, without = copy, shutil.copytree(copy, tmp_path / "without")
    path = list_checkpoints(without)[-1]
    file = path / f"{lost}.safetensors"
    tensors = {
        name: torch.zeros_like(one) for name, one in load_checkpoint(path).tensors[lost].items()
    }
    data = save(tensors)
    file.write_bytes(data)
    state = json.loads((path / "state.json").read_text("utf-8"))
    state["files"][file.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    seal(path, state)
    trained(shards, whole, "max_steps=9", resume="auto")
    trained(shards, without, "max_steps=9", resume="auto")
    assert losses(whole)[6:] != losses(without)[6:]


def test_the_newest_checkpoints_stay_and_the_best(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    trained(
        shards, out, "max_steps=10", "validation={every_steps: 2, metric: mean_recall, max_samples: 20}",
        "checkpoints={every_steps: 2, keep: 2}", val_shards=(shards,),
    )  # fmt: skip
    kept = list_checkpoints(out)
    best = best_checkpoint(out, "mean_recall")
    assert [path.name for path in kept if path != best][-2:] == [
        f"step-{step:08d}" for step in (8, 10)
    ][-2:] or best in kept[-2:]
    assert checkpoint_path(out) == best
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    scores = {
        one["step"]: one["metrics"]["mean_recall"] for one in entries if one["kind"] == "validation"
    }
    assert best is not None
    assert load_state(best).metrics["mean_recall"] == max(scores.values())


@pytest.mark.parametrize(
    "file",
    [
        "model.safetensors",
        "momentum.safetensors",
        "queues.safetensors",
        "optimizer.safetensors",
        "tokenizer.json",
        "shards.parquet",
        "state.json",
    ],
)
@pytest.mark.parametrize("how", ["cut", "flipped", "missing"])
def test_a_corrupt_newest_checkpoint_is_skipped_for_the_one_before(
    copy: Path, file: str, how: str
) -> None:
    path = list_checkpoints(copy)[-1] / file
    data = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 0x80
        path.write_bytes(data)
    messages: list[str] = []
    found, newer = load_newest_intact(copy, messages.append)
    assert found is not None
    assert newer == list_checkpoints(copy)[-1:]
    assert found.path == list_checkpoints(copy)[-2]
    assert file in messages[0]


def test_a_corrupt_checkpoint_is_quarantined_and_never_the_best(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, validated = tmp_path / "run", ("validation.every_steps=1000", "validation.max_samples=20")
    trained(shards, out, "max_steps=5", *validated, val_shards=(shards,))
    assert checkpoint_path(out) == list_checkpoints(out)[-1]
    (list_checkpoints(out)[-1] / "model.safetensors").write_bytes(b"")
    trained(shards, out, "max_steps=6", *validated, resume="auto")
    assert "quarantined as step-00000005.unusable" in capsys.readouterr().err
    assert [path.name for path in list_checkpoints(out)] == [
        "step-00000002",
        "step-00000004",
        "step-00000006",
    ]
    assert checkpoint_path(out).name == "step-00000006"
    assert (out / "checkpoints" / "step-00000005.unusable").is_dir()


def test_an_older_state_that_cannot_be_read_stops_neither_training_nor_evaluation(
    shards: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (list_checkpoints(copy)[0] / "state.json").write_bytes(b"{")
    assert trained(shards, copy, "max_steps=7", resume="auto").step == 7
    (list_checkpoints(copy)[0] / "state.json").write_bytes(b"{")
    capsys.readouterr()
    assert checkpoint_path(copy).name == "step-00000007"
    assert "state.json: not valid JSON" in capsys.readouterr().err
    for path in list_checkpoints(copy):
        (path / "state.json").write_bytes(b"{")
    with pytest.raises(DamageError, match="no checkpoint is intact"):
        checkpoint_path(copy)


_failing: list[tuple[str, int]] = []
"""End of a path and error number of each `open` that is to fail."""


def _fail_once(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _failing and str(arguments[0]).endswith(_failing[0][0]):
        end, number = _failing.pop(0)
        raise OSError(number, os.strerror(number), end)


@pytest.fixture(scope="module")
def failing_opens() -> Iterator[list[tuple[str, int]]]:
    sys.addaudithook(_fail_once)
    yield _failing
    _failing.clear()


@pytest.mark.parametrize("file", ["state.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EACCES])
def test_a_checkpoint_that_cannot_be_read_now_is_not_corrupt(
    copy: Path, file: str, number: int, failing_opens: list[tuple[str, int]], shards: Path
) -> None:
    newest, names = list_checkpoints(copy)[-1], [path.name for path in list_checkpoints(copy)]
    one = (f"{newest.name}/{file}", number)
    if number != errno.EACCES:
        failing_opens.append(one)
        assert load_checkpoint(newest).state.step == 6
    failing_opens[:] = [one] * 2
    with pytest.raises((DeviceError, DescriptorError, UsageError), match=file):
        trained(shards, copy, "max_steps=7", resume="auto")
    failing_opens.clear()
    assert sorted(path.name for path in (copy / "checkpoints").iterdir()) == names


def test_a_checkpoint_under_the_name_of_another_step_is_passed_over(
    shards: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    oldest = list_checkpoints(copy)[0]
    oldest.rename(oldest.with_name("step-00000099"))
    assert trained(shards, copy, "max_steps=7", resume="auto").step == 7
    assert "step-00000099: holds step 2" in capsys.readouterr().err
    assert sorted(path.name for path in (copy / "checkpoints").iterdir()) == [
        "step-00000004",
        "step-00000006",
        "step-00000007",
        "step-00000099.unusable",
    ]


def test_where_all_are_corrupt_no_run_starts_from_scratch(shards: Path, copy: Path) -> None:
    for path in list_checkpoints(copy):
        (path / "model.safetensors").write_bytes(b"")
    with pytest.raises(DamageError, match="no checkpoint is intact"):
        trained(shards, copy, "max_steps=9", resume="auto")


@pytest.mark.parametrize("kept", range(7))
def test_a_kill_at_any_write_leaves_the_checkpoint_before(
    shards: Path, copy: Path, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends after `kept` files of the new checkpoint: what is there is what the disk
    holds then."""
    written: list[Path] = []

    def dying(write: Callable[[Path, Any], None]) -> Callable[[Path, Any], None]:
        def wrapper(path: Path, data: Any) -> None:
            write(path, data)
            if len(written) == kept:
                os.truncate(path, path.stat().st_size // 2)
                raise KeyboardInterrupt
            written.append(path)

        return wrapper

    for name in ("write_tensors", "write_synced"):
        monkeypatch.setattr(checkpoint_module, name, dying(getattr(checkpoint_module, name)))
    with pytest.raises(KeyboardInterrupt):
        trained(shards, copy, "max_steps=8", resume="auto")
    monkeypatch.undo()
    found, _ = load_newest_intact(copy, lambda _: None)
    assert found is not None
    assert found.state.step == 6
    trained(shards, copy, "max_steps=8", resume="auto")
    assert load_checkpoint(list_checkpoints(copy)[-1]).state.step == 8
    assert not list((copy / "checkpoints").glob(".*"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_ends_the_run_and_the_old_checkpoint_is_untouched(
    shards: Path, copy: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {
        path: path.read_bytes() for path in (copy / "checkpoints").rglob("*") if path.is_file()
    }

    def full(path: Path, tensors: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(checkpoint_module, "write_tensors", full)
    with pytest.raises(DiskError, match=r"model|step-00000008"):
        trained(shards, copy, "max_steps=8", resume="auto")
    assert {
        path: path.read_bytes() for path in (copy / "checkpoints").rglob("*") if path.is_file()
    } == before


def test_another_corpus_is_refused_and_a_longer_one_can_be_permitted(
    shards: Path, copy: Path, tmp_path: Path
) -> None:
    longer, other = corpus(tmp_path / "longer", (14, 13, 9)), corpus(tmp_path / "other", (13, 14))
    with pytest.raises(RecipeError, match="--grown-corpus"):
        trained(longer, copy, "max_steps=7", resume="auto")
    with pytest.raises(RecipeError, match=r"\(shard 1: another file\).*--changed-corpus"):
        trained(other, copy, "max_steps=7", resume="auto", grown_corpus=True)
    assert (
        trained(longer, copy, "max_steps=7", resume="auto", grown_corpus=True).position.epoch == 2
    )
    assert (
        trained(other, copy, "max_steps=8", resume="auto", changed_corpus=True).position.epoch == 3
    )


@pytest.mark.parametrize("version", [1, 2])
def test_a_checkpoint_that_lists_its_shards_in_the_state_is_resumed(
    version: int, shards: Path, copy: Path, tmp_path: Path
) -> None:
    path = list_checkpoints(copy)[-1]
    state = json.loads((path / "state.json").read_text("utf-8"))
    listed = pq.read_table(path / "shards.parquet").to_pylist()
    (path / "shards.parquet").unlink()
    del state["files"]["shards.parquet"]
    state["format_version"] = version
    state["corpus"] = {"digest": state["corpus"]["digest"], "shards": listed}
    if version == 1:
        del state["state_sha256"]
        (path / "state.json").write_text(json.dumps(state), encoding="utf-8")
    else:
        seal(path, state)
    assert load_state(path).corpus == CorpusShards([shards]).mark
    longer, other = corpus(tmp_path / "longer", (14, 13, 9)), corpus(tmp_path / "other", (13, 14))
    with pytest.raises(RecipeError, match="from 2 to 3 shards: --grown-corpus"):
        trained(longer, copy, "max_steps=7", resume="auto")
    with pytest.raises(RecipeError, match=r"\(other shards\).*--changed-corpus"):
        trained(other, copy, "max_steps=7", resume="auto", grown_corpus=True)
    assert trained(shards, copy, "max_steps=7", resume="auto").position.epoch == 1


def test_a_state_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    for count in (1, 300):
        for number in range(count):
            (tmp_path / str(count)).mkdir(exist_ok=True)
            (tmp_path / str(count) / f"{number:06}.tar").write_bytes(b"")
    few, many = (CorpusShards([tmp_path / count]) for count in ("1", "300"))
    assert len(many.mark.model_dump_json()) - len(few.mark.model_dump_json()) == 2
    (tmp_path / "list.parquet").write_bytes(many.parquet())
    assert pq.read_table(tmp_path / "list.parquet").num_rows == 300


def test_a_tensor_file_has_the_bytes_and_rights_of_any_other_and_reports_a_full_disk(
    tmp_path: Path,
) -> None:
    # Not contiguous, as the weights of convolutions in `channels_last` are not.
    tensors = {"a": torch.arange(60_000.0).reshape(2, 3, 100, 100), "b": torch.tensor(3)}
    tensors["a"] = tensors["a"].to(memory_format=torch.channels_last)
    write_tensors(tmp_path / "one", tensors)
    plain = {name: one.contiguous() for name, one in tensors.items()}
    assert (tmp_path / "one").read_bytes() == save(plain)
    assert torch.equal(read_tensors(tmp_path / "one")["a"], tensors["a"])
    (tmp_path / "other").write_bytes(b"")
    assert (tmp_path / "one").stat().st_mode == (tmp_path / "other").stat().st_mode
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="two") as raised:
            write_tensors(tmp_path / "two", tensors)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert raised.value.errno == errno.EFBIG


def test_another_config_is_refused_by_the_name_of_the_key(shards: Path, copy: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"momentum 0\.5 \(was 0\.99\), optimizer\.lr 0\.25 \(was 0\.0005\)\)"
    ):
        trained(shards, copy, "max_steps=8", "momentum=0.5", "optimizer.lr=0.25", resume="auto")


def test_resuming_with_another_last_step_is_reported_in_one_line(
    shards: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(shards, copy, "max_steps=7", resume="auto")
    messages = [line for line in capsys.readouterr().err.splitlines() if "another config" in line]
    assert len(messages) == 1
    assert messages[0].endswith("max_steps 7 (was 6)")
    trained(shards, copy, "max_steps=7", resume="auto")
    assert "another config" not in capsys.readouterr().err


def test_a_checkpoint_older_than_a_key_had_its_default(shards: Path, copy: Path) -> None:
    path = list_checkpoints(copy)[-1]
    state = json.loads((path / "state.json").read_text("utf-8"))
    del state["config"]["head_dropout"]
    seal(path, state)
    assert trained(shards, copy, "max_steps=7", resume="auto").step == 7
    with pytest.raises(RecipeError, match="head_dropout"):
        trained(shards, copy, "max_steps=8", "head_dropout=0.5", resume="auto")


def test_a_refused_run_quarantines_nothing(shards: Path, copy: Path) -> None:
    (list_checkpoints(copy)[-1] / "model.safetensors").write_bytes(b"")
    with pytest.raises(RecipeError, match="momentum"):
        trained(shards, copy, "max_steps=7", "momentum=0.5", resume="auto")
    assert len(list_checkpoints(copy)) == 3
    for _ in range(2):
        (list_checkpoints(copy)[-1] / "model.safetensors").write_bytes(b"")
        trained(shards, copy, "max_steps=6", resume="auto")
    aside = sorted(path.name for path in (copy / "checkpoints").glob("*.unusable*"))
    assert aside == ["step-00000006.unusable", "step-00000006.unusable-2"]


class _Marker:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize(
    "name", ["model.pt", "model.pth", "pytorch_model.bin", "model.pkl", "model.safetensors"]
)
def test_a_checkpoint_that_holds_code_is_refused_and_runs_nothing(
    name: str, run: Path, tmp_path: Path
) -> None:
    evil, marker = tmp_path / name, tmp_path / "marker"
    torch.save({"weights": _Marker(marker)}, evil)
    with pytest.raises(UsageError):
        load_initial_weights(make_towers(config(), 50), evil)
    assert not marker.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"../../escape.safetensors": {"bytes": 1, "sha256": "0" * 64}}},
        {"format": "another"},
        {"format_version": 4},
        {"step": "6"},
        {"unknown": 1},
    ],
)
def test_a_state_that_is_not_ours_is_refused(copy: Path, change: dict[str, object]) -> None:
    path = list_checkpoints(copy)[-1]
    seal(path, {**json.loads((path / "state.json").read_text("utf-8")), **change})
    with pytest.raises(DamageError, match=r"state\.json"):
        load_checkpoint(path)
