"""Features of mean 0 and deviation 1, measured before the first step."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.train.runs import config, corpus, run_ranks, trained
from wenlan_data.errors import RecipeError
from wenlan_data.eval.embed import load_model
from wenlan_data.model.checkpoint import list_checkpoints, load_checkpoint
from wenlan_data.model.standardise import Standardise
from wenlan_data.train.batches import START, Batch, TrainingData, batches
from wenlan_data.train.distributed import Distributed
from wenlan_data.train.measure_standard import measure_standardisation
from wenlan_data.train.state import TrainingState

BUFFERS = [
    f"{tower}.summary.standard.{name}"
    for tower in ("image", "text")
    for name in ("mean", "deviation")
]
SETTINGS = ("standardise=true", "max_steps=4", "dropout=0.0")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingState, Path]:
    out = tmp_path_factory.mktemp("run") / "run"
    return trained(shards, out, *SETTINGS), out


def _first_batches(shards: Path, out: Path, count: int) -> list[Batch]:
    stream = TrainingData(shards=[shards], tokenizer=out / "tokenizer.json", workers=0)
    source = batches(stream, config(*SETTINGS), Distributed(0, 1, torch.device("cpu")), START)
    return [next(source) for _ in range(count)]


def test_inputs_of_heads_get_mean_0_and_deviation_1(
    shards: Path, run: tuple[TrainingState, Path]
) -> None:
    training, out = run
    parts, towers = _first_batches(shards, out, 6), training.towers
    measure_standardisation(towers, iter(parts), config(*SETTINGS))
    towers.eval()
    read: dict[str, list[Tensor]] = {"image": [], "text": []}
    for name, rows in read.items():
        head = getattr(towers, name).summary.head
        head.register_forward_pre_hook(lambda _, given, rows=rows: rows.append(given[0].detach()))
    for part in parts:
        towers(part.inputs)
    for rows in read.values():
        found = torch.cat(rows)
        assert found.mean(0).abs().max() < 1e-3
        assert torch.allclose(found.std(0, correction=0), torch.ones(found.shape[1]), atol=1e-2)


def test_without_the_key_nothing_changes_and_no_checkpoint_has_it(
    shards: Path, tmp_path: Path
) -> None:
    training = trained(shards, tmp_path / "run", "max_steps=1", "checkpoints.every_steps=1")
    values = torch.randn(2, 3, 8)
    assert training.towers.image.summary.standard(values) is values
    assert not [name for name in _tensors(tmp_path / "run") if "standard" in name]


def _tensors(out: Path, file: str = "model") -> dict[str, Tensor]:
    return dict(load_checkpoint(list_checkpoints(out)[-1]).tensors[file])


def test_the_statistics_are_saved_with_towers_and_momentum_towers_and_loaded(
    run: tuple[TrainingState, Path],
) -> None:
    _, out = run
    kept = _tensors(out)
    assert set(BUFFERS) <= set(kept)
    assert (kept["image.summary.standard.deviation"] != 1).any()
    for name in BUFFERS:
        assert torch.equal(kept[name], _tensors(out, "momentum")[name])
    towers = load_model(out).towers
    assert isinstance(towers.text.summary.standard, Standardise)
    assert torch.equal(
        towers.state_dict()["text.summary.standard.mean"], kept["text.summary.standard.mean"]
    )


def test_resuming_keeps_the_statistics(
    run: tuple[TrainingState, Path], shards: Path, tmp_path: Path
) -> None:
    trained(shards, tmp_path / "run", "standardise=true", "max_steps=2", "dropout=0.0")
    trained(shards, tmp_path / "run", *SETTINGS, resume="auto")
    for name, value in _tensors(run[1]).items():
        assert torch.equal(_tensors(tmp_path / "run")[name], value), name


def test_a_start_from_a_run_takes_its_statistics(
    run: tuple[TrainingState, Path], shards: Path, tmp_path: Path
) -> None:
    other = ("max_steps=1", "checkpoints.every_steps=1", "seed=5")
    trained(shards, tmp_path / "run", "standardise=true", *other, init=run[1])
    assert torch.equal(_tensors(tmp_path / "run")[BUFFERS[0]], _tensors(run[1])[BUFFERS[0]])
    with pytest.raises(RecipeError, match="standard"):
        trained(shards, tmp_path / "other", *other, init=run[1])


def test_ranks_measure_the_same_statistics(shards: Path, tmp_path: Path) -> None:
    for ranks in (1, 2):
        run_ranks(
            shards, tmp_path / str(ranks), ranks, "--max-steps", "1", "--set", "standardise=true"
        )
    one, two = (_tensors(tmp_path / str(ranks)) for ranks in (1, 2))
    for name in BUFFERS:
        assert torch.allclose(one[name], two[name], rtol=1e-5, atol=1e-6), name


def test_released_towers_are_not_standardised() -> None:
    with pytest.raises(RecipeError, match="standardise: the released towers"):
        config("standardise=true", "compat=released")
