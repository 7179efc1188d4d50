"""Runs the Python of docs/loading.md from top to bottom."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra [train] is not installed")

from tests.load.corpora import write_corpus

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```py\n(.*?)^```$",
    (ROOT / "docs" / "loading.md").read_text("utf-8"),
    re.MULTILINE | re.DOTALL,
)
READER_DEFINITIONS = """
import torch
rank, world_size, taken = 0, 1, []
step = lambda *tensors: taken.append([one.shape[0] for one in tensors])
save = lambda epoch, position: taken.append(position)
"""
"""Names that the page leaves to its reader."""
SMALLER = {'device="cuda:0"': 'device="cpu"', "workers=8": "workers=1", "epochs=10": "epochs=2"}
"""Replacements for a machine without a GPU, and for a short run."""


def test_the_python_of_the_page_runs(tmp_path: Path) -> None:
    for name in ("corpus", "news", "wiki"):
        write_corpus(tmp_path / name, [2] * 10)
    (tmp_path / "chinese-roberta-wwm-ext").mkdir()
    vocabulary = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"第张照片"])
    (tmp_path / "chinese-roberta-wwm-ext" / "vocab.txt").write_text(
        vocabulary + "\n", encoding="utf-8"
    )
    script = READER_DEFINITIONS + "\n".join(BLOCKS) + "\nprint(taken, len(loader))\n"
    for shown, replacement in SMALLER.items():
        assert shown in script
        script = script.replace(shown, replacement)
    (tmp_path / "page.py").write_text(script, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (
        len([line for line in lines if re.fullmatch(r"[0-9a-f]{32} \d+ 第\d+张照片", line)]) == 20
    )
    assert len([line for line in lines if re.fullmatch(r"\(16, 16\) 第\d+张照片", line)]) == 20
    assert lines[-1] == "[[64, 64, 64, 64, 64], 1, [64, 64, 64, 64, 64], 1] 1"
