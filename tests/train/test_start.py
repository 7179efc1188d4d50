"""The start of a run, and what is refused before its first step."""

import os
import shutil
import tarfile
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.train.runs import brivl_of, config, losses, ranks_command, trained, wordless
from wenlan_data.errors import DamageError, RecipeError, UsageError
from wenlan_data.folder_lock import LOCK, FolderLock
from wenlan_data.model.checkpoint import list_checkpoints
from wenlan_data.model.towers import make_towers
from wenlan_data.train.resume import load_initial_weights


def test_validation_shards_are_checked_before_the_first_step(shards: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.tar"
    tarfile.open(empty, "w").close()  # without members
    for path, message in (
        (tmp_path / "nosuch", "nosuch: there is no such"),
        (empty, "--val-shards .*no sample"),
    ):
        with pytest.raises(UsageError, match=message):
            trained(shards, tmp_path / "run", "max_steps=2", val_shards=(path,))
    gone = shutil.copytree(shards, tmp_path / "gone")
    (gone / "shards" / "wenlan-000001.tar").unlink()
    for given in ({"val_shards": (gone,)}, {"val_shards": ()}):
        with pytest.raises(DamageError, match=r"000001\.tar: listed in the manifest"):
            trained(
                shards if given["val_shards"] else gone, tmp_path / "run", "max_steps=2", **given
            )
    assert not (tmp_path / "run").exists()


def test_a_validation_that_fails_loses_no_step(shards: Path, tmp_path: Path) -> None:
    images = wordless(shards, tmp_path / "wordless.tar")
    with pytest.raises(DamageError, match=r"no_text \(it has jpg\): 100 samples"):
        trained(
            shards, tmp_path / "run", "max_steps=7", "checkpoints.every_steps=100", "validation.every_steps=3",
            val_shards=(images,),
        )  # fmt: skip
    assert [path.name for path in list_checkpoints(tmp_path / "run")] == ["step-00000003"]
    assert trained(shards, tmp_path / "run", "max_steps=7", resume="auto").step == 7


def test_a_run_that_is_refused_for_missing_weights_leaves_no_files(
    shards: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"missing\.safetensors"):
        trained(
            shards,
            tmp_path / "runs" / "a",
            f"image.weights={tmp_path / 'missing.safetensors'}",
            "max_steps=1",
        )
    assert list(tmp_path.iterdir()) == []
    kept = tmp_path / "mine"
    kept.mkdir()
    (kept / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"missing\.safetensors"):
        trained(shards, kept, f"image.weights={tmp_path / 'missing.safetensors'}", "max_steps=1")
    assert [one.name for one in kept.iterdir()] == ["notes.txt"]


def test_a_run_is_not_written_over_by_accident(shards: Path, run: Path) -> None:
    with pytest.raises(UsageError, match="--resume auto"):
        trained(shards, run, "max_steps=6")


def test_a_checkpoint_of_another_run_is_not_resumed_over_a_run(
    shards: Path, run: Path, copy: Path
) -> None:
    with pytest.raises(UsageError, match="holds a run already"):
        trained(shards, copy, "max_steps=7", resume=str(list_checkpoints(run)[-1]))
    assert trained(shards, copy, "max_steps=6", resume=str(list_checkpoints(copy)[0])).step == 6
    elsewhere = (copy / "checkpoints").rename(copy.parent / "elsewhere")
    (copy / "checkpoints").symlink_to(elsewhere)
    assert trained(shards, copy, "max_steps=6", resume=str(list_checkpoints(copy)[0])).step == 6


def test_a_run_needs_a_folder(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="file: not a folder: choose another --out"):
        trained(shards, tmp_path / "file", "max_steps=1")


def test_weights_of_another_shape_or_without_their_vocabulary_are_refused(
    shards: Path, run: Path, tmp_path: Path
) -> None:
    file = list_checkpoints(run)[-1] / "model.safetensors"
    with pytest.raises(UsageError, match="holds no tokenizer"):
        trained(shards, tmp_path / "tuned", "max_steps=1", init=file)
    assert not (tmp_path / "tuned").exists()
    with pytest.raises(
        UsageError, match=r"model\.safetensors: \d+ parameters are missing or have another shape"
    ):
        load_initial_weights(make_towers(config("embedding=8"), 50), file)
    resumed = trained(
        shards, shutil.copytree(run, tmp_path / "on"), "max_steps=7", init=file, resume="auto"
    )
    assert resumed.step == 7
    normed = config("image.backbone=test_resnet")
    source, target = make_towers(normed, 50), make_towers(normed.model_copy(update={"seed": 1}), 50)
    weights = {
        name: one
        for name, one in source.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(weights, tmp_path / "normed.safetensors")
    load_initial_weights(target, tmp_path / "normed.safetensors")
    assert all(torch.equal(target.state_dict()[name], one) for name, one in weights.items())
    with pytest.raises(
        RecipeError, match=r"attention\.heads: a width of \d+ cannot be divided into 7 heads"
    ):
        trained(shards, tmp_path / "tuned", "max_steps=1", "attention.heads=7")
    with pytest.raises(RecipeError, match=r"image\.size_px 16: too small for convnext_atto"):
        trained(
            shards,
            tmp_path / "tuned",
            "max_steps=1",
            "image.backbone=convnext_atto",
            "image.size_px=16",
        )
    assert not (tmp_path / "tuned").exists()


def test_resume_auto_starts_from_scratch_where_there_is_nothing(
    shards: Path, tmp_path: Path
) -> None:
    assert trained(shards, tmp_path / "new", "max_steps=2", resume="auto").step == 2


def test_fine_tuning_starts_at_step_0_with_the_weights_of_another_run(
    shards: Path, run: Path, tmp_path: Path
) -> None:
    first = trained(shards, tmp_path / "tuned", "max_steps=1", init=run)
    assert first.step == 1
    scratch = trained(shards, tmp_path / "scratch", "max_steps=1")
    assert losses(tmp_path / "tuned") != losses(tmp_path / "scratch")
    assert brivl_of(scratch).queues.fill == brivl_of(first).queues.fill == 8


def test_a_second_training_in_one_folder_is_refused_at_once(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "run"
    with FolderLock(out, "training"):
        with pytest.raises(UsageError, match="run: another training is running here"):
            trained(shards, out, "max_steps=1")
        assert [path.name for path in out.iterdir()] == [LOCK]
    assert not out.parent.exists()
    assert trained(shards, out, "max_steps=1").step == 1
    assert not (out / LOCK).exists()


def test_the_lock_of_a_killed_training_is_free(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = ranks_command(shards, out, 1, "--max-steps", "100000")
    while not losses(out) and process.poll() is None:
        time.sleep(0.1)
    with pytest.raises(UsageError, match="another training is running here"):
        trained(shards, out, "max_steps=1", resume="auto")
    process.kill()
    process.communicate()
    assert (out / LOCK).exists()
    assert trained(shards, out, "max_steps=1", resume="auto").step >= 1


def test_a_forked_worker_does_not_keep_the_lock(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        FolderLock(tmp_path / "run", "training").__enter__()
        if os.fork() == 0:
            os.close(writer)
            os.read(reader, 1)
        os._exit(0)
    os.waitpid(pid, 0)
    # The worker lives still; its parent has died with the lock.
    assert (tmp_path / "run" / LOCK).exists()
    with FolderLock(tmp_path / "run", "training"):
        pass
    os.close(writer)
    os.close(reader)
