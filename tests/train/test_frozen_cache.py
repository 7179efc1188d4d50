from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.train.runs import brivl_of, corpus, losses, trained
from wenlan_data.train.frozen_cache import CachedModule, FrozenCache, frozen_modules

HALF_FROZEN = (
    "image.train=[stages.3, head]",
    "text.small={layers: 3, width: 16, heads: 2, vocabulary: 300}",
    "text.train=1",
    "max_steps=6",
)


class Counted(nn.Linear):
    calls = 0

    def forward(self, input: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(input)


def _frozen() -> Counted:
    module = Counted(2, 2)
    module.requires_grad_(False)
    return module


def test_a_frozen_module_computes_once_for_a_batch_and_again_for_another() -> None:
    module, first, second = _frozen(), torch.ones(1, 2), torch.ones(1, 2)
    cache = FrozenCache()
    cached = cache.share(module)
    with cache.recording():
        output = module(first)
        assert cached(first) is output
        assert cached(first) is output
        assert module.calls == 1
        assert cached(second) is not output
        assert module.calls == 2
    cached(second)
    cached(second)
    assert module.calls == 4


def test_nothing_is_kept_outside_of_a_batch() -> None:
    module, given = _frozen(), torch.ones(1, 2)
    cache = FrozenCache()
    cached = cache.share(module)
    output = module(given)
    assert cached(given) is not output
    with cache.recording():
        module(given)
    assert cache.lookup(module, given) is None


def test_an_output_that_was_written_to_is_computed_again() -> None:
    module, given = _frozen(), torch.ones(1, 2)
    cache = FrozenCache()
    cached = cache.share(module)
    with cache.recording():
        before = module(given).clone()
        cached(given).mul_(3)
        assert torch.equal(cached(given), before)


def test_a_cached_module_has_the_attributes_of_its_original_and_none_of_its_parameters() -> None:
    module = _frozen()
    cached = FrozenCache().share(module)
    assert isinstance(cached, CachedModule)
    assert cached.original is module
    assert cached.in_features == 2
    assert not list(cached.parameters())
    assert not cached.state_dict()
    module.eval()
    cached.train()
    assert not module.training
    with pytest.raises(AttributeError, match="no_such_name"):
        cached.no_such_name  # noqa: B018


def test_no_forward_method_is_replaced() -> None:
    module = _frozen()
    FrozenCache().share(module)
    assert "forward" not in vars(module)


def test_the_largest_modules_that_are_called_are_found_and_lists_are_searched() -> None:
    module = nn.Sequential(
        nn.ModuleList([_frozen(), _frozen()]), nn.Sequential(_frozen(), nn.Linear(2, 2)), nn.ReLU()
    )
    assert list(frozen_modules(module)) == [module[0][0], module[0][1], module[1][0]]


def test_momentum_towers_reuse_outputs_of_frozen_modules_and_losses_stay_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = corpus(tmp_path / "corpus")
    with_cache = trained(shards, tmp_path / "once", *HALF_FROZEN)
    layers = with_cache.towers.text.backbone.encoder.layer
    momentum_layers = brivl_of(with_cache).momentum_towers.text.backbone.encoder.layer
    assert momentum_layers[0].original is layers[0]
    assert not isinstance(momentum_layers[2], CachedModule)
    assert momentum_layers[2] is not layers[2]
    monkeypatch.setattr(FrozenCache, "share", lambda self, module: module)  # noqa: ARG005
    without = trained(shards, tmp_path / "twice", *HALF_FROZEN)
    assert (
        brivl_of(without).momentum_towers.text.backbone.encoder.layer[0]
        is (without.towers.text.backbone.encoder.layer[0])
    )
    assert losses(tmp_path / "once") == losses(tmp_path / "twice")
    for one, other in zip(with_cache.towers.parameters(), without.towers.parameters(), strict=True):
        assert torch.equal(one, other)
    for file in ("model", "momentum", "optimizer", "queues"):
        one, other = (
            (tmp_path / name / "checkpoints" / "step-00000006" / f"{file}.safetensors").read_bytes()
            for name in ("once", "twice")
        )
        assert one == other, file


def test_each_frozen_block_and_layer_runs_once_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[nn.Module] = []
    share: Callable[[FrozenCache, nn.Module], nn.Module] = FrozenCache.share

    def counted(self: FrozenCache, module: nn.Module) -> nn.Module:
        module.register_forward_hook(lambda called, _, __: calls.append(called))
        return share(self, module)

    monkeypatch.setattr(FrozenCache, "share", counted)
    trained(corpus(tmp_path / "corpus"), tmp_path / "run", *HALF_FROZEN)
    assert calls
    # Of 6 steps, and once to count operations.
    assert all(calls.count(module) == 7 for module in set(calls))
