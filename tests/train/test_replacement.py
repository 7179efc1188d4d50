"""A checkpoint that is saved again at the same step: killed at any call, one of the two is whole.

The kill comes before each call that Python announces to audit hooks: open, mkdir, rename, remove,
rmdir, listing folders, and calls through ctypes. It does not see write and fsync, which change no
names: the files that they write are hidden until the rename.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.model.strangers import read_state, small_checkpoint
from wenlan_data.model import checkpoint as module
from wenlan_data.model.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    prune,
    restore_replaced,
    save_checkpoint,
)


def _save_and_die(run: Path, at: int) -> bool:
    """Saves the checkpoint of `run` again, with other metrics, in a child that dies at its call
    number `at`; returns whether it had fewer calls."""
    checkpoint = load_checkpoint(list_checkpoints(run)[-1])
    tensors = {stem: checkpoint.tensors[stem] for stem in checkpoint.tensors}
    others = {"tokenizer.json": (checkpoint.path / "tokenizer.json").read_bytes()}
    again = checkpoint.state.model_copy(update={"metrics": {"mean_recall": 0.5}})
    pid = os.fork()
    if pid == 0:
        calls = 0

        def count(event: str, _: object) -> None:
            nonlocal calls
            if event.startswith(("open", "os.", "shutil.", "ctypes.")):
                calls += 1
                if calls == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            save_checkpoint(run, again, tensors, others)
            prune(run, 3, None)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("can_exchange", [True, False])
def test_at_any_kill_one_of_both_is_whole(
    can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_exchange:
        monkeypatch.setattr(module, "exchange", lambda *_: False)
    small_checkpoint(tmp_path / "made")
    found: list[dict[str, float]] = []
    for at in range(1, 1000):
        run = shutil.copytree(tmp_path / "made", tmp_path / "run")
        is_done = _save_and_die(run, at)
        if can_exchange:
            # Whoever only looks finds it as well.
            assert [path.name for path in list_checkpoints(run)] == ["step-00000000"]
        restore_replaced(run)
        (path,) = list_checkpoints(run)
        found.append(load_checkpoint(path).state.metrics)
        # What a run that resumes does after its first save.
        prune(run, 3, None)
        assert [one.name for one in (run / "checkpoints").iterdir()] == ["step-00000000"]
        assert load_checkpoint(path).state.metrics == found[-1]
        shutil.rmtree(run)
        if is_done:
            break
    assert len(found) > 20
    assert found == sorted(found, key=len)
    assert found[0] == {}
    assert found[-1] == {"mean_recall": 0.5}


def test_a_checkpoint_of_one_step_is_replaced(tmp_path: Path) -> None:
    path = small_checkpoint(tmp_path)
    small_checkpoint(tmp_path)
    assert list_checkpoints(tmp_path) == [path]
    assert read_state(path)["step"] == 0
