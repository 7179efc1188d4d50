"""Steps of several micro-batches, and where they go on."""

import json
import math
from pathlib import Path

import pytest
import torch

from tests.train.runs import config, corpus, losses, seal, trained
from wenlan_data.errors import RecipeError
from wenlan_data.model.checkpoint import list_checkpoints

CLIP = ("objective=clip", "negatives={queue: 0, batch: true}")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.mark.parametrize("learned", [False, True])
def test_clip_has_the_negatives_of_all_micro_batches(
    learned: bool, shards: Path, tmp_path: Path
) -> None:
    common = (*CLIP, "max_steps=5", "dropout=0", f"temperature.learned={learned}")
    one = trained(shards, tmp_path / "one", *common)
    four = trained(shards, tmp_path / "four", *common, "accumulation=4")
    assert losses(tmp_path / "four") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)
    for name, value in one.towers.state_dict().items():
        assert torch.allclose(value, four.towers.state_dict()[name], atol=1e-5), name


def test_the_second_pass_draws_the_dropout_of_the_first(shards: Path, tmp_path: Path) -> None:
    common = (*CLIP, "max_steps=3", "dropout=0.3", "accumulation=2")
    first = trained(shards, tmp_path / "first", *common)
    again = trained(shards, tmp_path / "again", *common)
    for name, value in first.towers.state_dict().items():
        assert torch.equal(value, again.towers.state_dict()[name]), name
    assert all(math.isfinite(loss) for loss in losses(tmp_path / "first"))


def test_batch_norm_that_trains_is_not_counted_twice() -> None:
    with pytest.raises(RecipeError, match="would count it twice"):
        config(*CLIP, "accumulation=2", "image.batch_norm=train")


def test_a_run_resumes_with_other_micro_batches_at_the_same_samples(
    shards: Path, tmp_path: Path
) -> None:
    """27 samples are 4 steps of 8 an epoch, whatever the micro-batches."""
    common = (*CLIP, "dropout=0", "optimizer.min_lr_share=1.0")
    whole = trained(shards, tmp_path / "whole", *common, "max_steps=10")
    trained(shards, tmp_path / "mixed", *common, "max_steps=3")
    trained(shards, tmp_path / "mixed", *common, "max_steps=6", "accumulation=4", resume="auto")
    mixed = trained(
        shards, tmp_path / "mixed", *common, "max_steps=10", "accumulation=2", resume="auto"
    )
    assert mixed.position == whole.position
    assert losses(tmp_path / "mixed") == pytest.approx(losses(tmp_path / "whole"), abs=1e-4)


def test_a_position_in_another_order_starts_the_next_epoch(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(shards, tmp_path / "run", "max_steps=2")
    checkpoint = list_checkpoints(tmp_path / "run")[-1]
    state = json.loads((checkpoint / "state.json").read_text("utf-8"))
    del state["order_version"], state["state_sha256"]
    seal(checkpoint, state)
    after = trained(shards, tmp_path / "run", "max_steps=3", resume="auto")
    assert (after.position.epoch, after.position.samples) == (1, 8)
    assert "in another order: starting a new epoch" in capsys.readouterr().err
