"""Ranks x micro-batches, on both tiny configs at a small size: the same losses, weights and
queues. `benchmarks/train/matrix.py` compares all of them at full size."""

from pathlib import Path

import pytest

from benchmarks.train.matrix import LOSS_TOLERANCE, VALUE_TOLERANCE, compare
from tests.train.runs import SMALL, corpus


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "objective"), [("brivl-tiny", "brivl"), ("clip-tiny", "clip")])
def test_ranks_and_micro_batches_change_a_training_by_rounding_only(
    name: str, objective: str, tmp_path: Path
) -> None:
    shards = corpus(tmp_path / "corpus", (30, 34))
    size = [one for one in SMALL if not one.startswith(("negatives", "batch_size"))]
    more = ["max_steps=4", "batch_size=24", "optimizer.warmup_steps=100"]
    found = compare(shards, name, objective, [*size, *more], (1, 3, 4))
    assert set(found) == {"1x1", "3x1", "4x1", "1x2", "3x2", "4x2"}
    for run, largest in found.items():
        # Micro-batches of three pairs use other kernels than those of 24, as docs/training.md says.
        assert largest["losses"] <= 2 * LOSS_TOLERANCE, run
        assert largest["values"] <= VALUE_TOLERANCE, run
    # The runs are not one and the same: otherwise nothing was compared.
    assert any(one["values"] for one in found.values())
