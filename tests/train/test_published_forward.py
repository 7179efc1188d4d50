"""The comparison with the published model; its code is no part of this repository.

`BRIVL_CHECKOUT` names a checkout of BAAI-WuDao/BriVL at bb8d95b.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.train.published_model import MODEL_FILES, code_folder

ROOT = Path(__file__).parent.parent.parent
CHECKOUT = os.environ.get("BRIVL_CHECKOUT", "")


def test_a_checkout_without_the_model_code_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (None, *MODEL_FILES[:-1]):
        if name:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        with pytest.raises(SystemExit) as stopped:
            code_folder(tmp_path)
        assert stopped.value.code == 2
    assert "utils/loss.py is missing" in capsys.readouterr().err
    (tmp_path / MODEL_FILES[-1]).touch()
    assert code_folder(tmp_path) == tmp_path


@pytest.mark.slow
@pytest.mark.skipif(not CHECKOUT, reason="BRIVL_CHECKOUT names no checkout")
def test_the_published_forward_pass_and_ours_agree() -> None:
    command = [sys.executable, "-m", "benchmarks.train.published_forward", "--checkout", CHECKOUT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["holds"]
