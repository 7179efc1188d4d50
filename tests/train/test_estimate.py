"""The figures of `--dry-run` are those of a training."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from tests.train.runs import WORDS, brivl_of, config, trained
from wenlan_data.cli.main import cli
from wenlan_data.load.shared_ring import SharedRing
from wenlan_data.model.checkpoint import list_checkpoints
from wenlan_data.model.config import TrainConfig, load_config
from wenlan_data.model.inputs import Inputs
from wenlan_data.model.towers import Towers, make_towers
from wenlan_data.train.activations import activation_bytes
from wenlan_data.train.estimate import describe_training, estimate_training
from wenlan_data.train.options import TrainOptions


@pytest.mark.parametrize("objective", ["brivl", "clip"])
def test_parts_of_the_memory_are_those_of_a_training(
    objective: str, shards: Path, tmp_path: Path
) -> None:
    more = ["max_steps=2"]
    if objective == "clip":
        more += ["objective=clip", "negatives={queue: 0, batch: true}"]
    run = trained(shards, tmp_path / "run", *more)
    found = estimate_training(
        config(*more), TrainOptions(shards=(shards,), out=tmp_path / "new"), 1
    )
    # The small encoder's vocabulary is that of the corpus, the estimate's the most that it may be:
    # these are the bytes of the embeddings of the rest.
    rest = (300 - run.towers.text.backbone.config.vocab_size) * 16 * 4
    trained_ones = [one for one in run.towers.parameters() if one.requires_grad]
    own = {id(one) for one in run.towers.parameters()}
    is_brivl = objective == "brivl"
    momentum = brivl_of(run).momentum_towers.parameters() if is_brivl else ()
    moments = [one for state in run.optimizer.state.values() for one in state.values() if one.dim()]
    assert found.memory["towers"] == _bytes(run.towers.parameters()) + rest
    assert found.memory["gradients"] == _bytes(trained_ones) + rest
    assert found.memory["optimizer"] == _bytes(moments) + 2 * rest
    copies = [one for one in momentum if id(one) not in own]
    assert found.memory["momentum towers (own part)"] == (_bytes(copies) + rest if copies else 0)
    queues = vars(brivl_of(run).queues).values() if is_brivl else ()
    assert found.memory["queues"] == _bytes(one for one in queues if isinstance(one, Tensor))
    assert found.memory["total"] == sum(
        size for name, size in found.memory.items() if name != "total"
    )
    files = list_checkpoints(tmp_path / "run")[-1].glob("*.safetensors")
    on_disk = sum(path.stat().st_size - _header_bytes(path) for path in files)
    parts = 4 if is_brivl else 3
    assert found.checkpoint_bytes == pytest.approx(on_disk + parts * rest, rel=0.01)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)


def _header_bytes(path: Path) -> int:
    with path.open("rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


@pytest.mark.parametrize("recompute", [False, True])
def test_activations_are_those_that_a_forward_pass_keeps(recompute: bool) -> None:
    tiny = load_config("brivl-tiny", [f"recompute={str(recompute).lower()}"])
    towers = make_towers(tiny, 8000, {})
    towers.set_training()
    found = activation_bytes(tiny, {}, torch.float32)
    assert 4 * found == pytest.approx(_kept_bytes(tiny, towers, 4), rel=0.05)
    half = activation_bytes(tiny, {}, torch.bfloat16)
    assert found / 2 <= half < found


def _kept_bytes(tiny: TrainConfig, towers: Towers, count: int) -> int:
    """Bytes that a forward pass on the CPU keeps, without parameters."""
    generator = torch.Generator().manual_seed(1)
    inputs = Inputs(
        image=torch.rand(count, 3, tiny.image.size_px, tiny.image.size_px, generator=generator),
        boxes=torch.zeros(count, 0, 4),
        box_mask=torch.zeros(count, 0, dtype=torch.bool),
        tokens=torch.randint(5, 8000, (count, tiny.text.max_tokens), generator=generator),
        token_mask=torch.ones(count, tiny.text.max_tokens, dtype=torch.bool),
    )
    own = {one.data_ptr() for one in (*towers.parameters(), *towers.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own:
            kept[place] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        towers(inputs)
    return sum(one.untyped_storage().nbytes() for one in kept.values())


def test_recomputation_and_micro_batches_take_less_memory(shards: Path, tmp_path: Path) -> None:
    def activations(*more: str, ranks: int = 1) -> int:
        options = TrainOptions(shards=(shards,), out=tmp_path / "new")
        return estimate_training(config(*more), options, ranks).memory["activations"]

    whole = activations()
    assert activations("accumulation=2") == whole // 2
    assert activations(ranks=4) == whole // 4
    assert 0 < activations("recompute=true") < whole


def test_host_memory_is_that_of_the_ring(shards: Path, tmp_path: Path) -> None:
    options = TrainOptions(shards=(shards,), out=tmp_path / "new", workers=3)
    found = estimate_training(config(), options, 2)
    ring = SharedRing(3 * 2, (4, 32, 32, 3))
    try:
        assert found.host_memory["loader's shared ring"] == _bytes(ring.slots)
    finally:
        ring.close()


def test_the_tables_state_what_is_left_out(shards: Path, tmp_path: Path) -> None:
    options = TrainOptions(shards=(shards,), out=tmp_path / "new")
    shown = describe_training(config("precision=bf16"), options, 8, as_json=False)
    assert "GPU memory of ranks, MiB" in shown
    assert "all 8" in shown
    assert shown.count("not counted: ") == 2
    assert "activations are estimated as bf16: at most" in shown
    assert "estimated as bf16" not in describe_training(config(), options, 8, as_json=False)


def test_the_command_prints_the_same_figures_as_json(shards: Path, tmp_path: Path) -> None:
    words = ["train", "--config", "brivl-tiny", *WORDS, "--shards", str(shards), "--dry-run"]
    words += ["--out", str(tmp_path / "new"), "--nproc", "8", "--json"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert (found["ranks"], found["batch_of_a_rank"]) == (8, 1)
    assert found["memory"]["total"] > found["memory"]["activations"] > 0
    assert found["activations_at_most"] == found["memory"]["activations"]
    assert found["host_memory"]["total"] > 0
    assert found["checkpoint_bytes"] > 0
    assert not (tmp_path / "new").exists()
