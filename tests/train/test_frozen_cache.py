from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.train.runs import corpus, losses, trained
from wenlan_data.train.frozen_cache import FrozenOutputs, frozen_parts

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
    part = Counted(2, 2)
    part.requires_grad_(False)
    return part


def test_a_frozen_part_is_asked_once_for_a_batch_and_again_for_another() -> None:
    part, first, second = _frozen(), torch.ones(1, 2), torch.ones(1, 2)
    outputs = FrozenOutputs([part])
    with outputs.remembering():
        assert part(first) is part(first)
        assert part.calls == 1
        assert part(second) is not part(first)
    part(first)
    part(first)
    assert part.calls == 5


def test_an_output_that_something_wrote_into_is_computed_again() -> None:
    part, given = _frozen(), torch.ones(1, 2)
    with FrozenOutputs([part]).remembering():
        before = part(given).clone()
        part(given).mul_(3)
        assert torch.equal(part(given), before)


def test_the_largest_parts_that_are_called_are_found_and_lists_are_looked_into() -> None:
    module = nn.Sequential(
        nn.ModuleList([_frozen(), _frozen()]), nn.Sequential(_frozen(), nn.Linear(2, 2)), nn.ReLU()
    )
    assert list(frozen_parts(module)) == [module[0][0], module[0][1], module[1][0]]


def test_momentum_towers_take_what_frozen_parts_gave_and_losses_stay_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = corpus(tmp_path / "corpus")
    with_it = trained(shards, tmp_path / "once", *HALF_FROZEN)
    assert with_it.keys is not None
    assert (
        with_it.keys.text.backbone.encoder.layer[0] is with_it.towers.text.backbone.encoder.layer[0]
    )
    assert (
        with_it.keys.text.backbone.encoder.layer[2]
        is not with_it.towers.text.backbone.encoder.layer[2]
    )
    monkeypatch.setattr("wenlan_data.train.state.frozen_parts", lambda _: ())
    without = trained(shards, tmp_path / "twice", *HALF_FROZEN)
    assert losses(tmp_path / "once") == losses(tmp_path / "twice")
    for one, other in zip(with_it.towers.parameters(), without.towers.parameters(), strict=True):
        assert torch.equal(one, other)


def test_each_frozen_block_and_layer_runs_once_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counting(
        number: int, forward: Callable[..., object], *given: object, **named: object
    ) -> object:
        calls.append(number)
        return forward(*given, **named)

    def counted(towers: nn.Module) -> list[nn.Module]:
        parts = list(frozen_parts(towers))
        for number, part in enumerate(parts):
            part.forward = partial(counting, number, part.forward)
        return parts

    monkeypatch.setattr("wenlan_data.train.state.frozen_parts", counted)
    trained(corpus(tmp_path / "corpus"), tmp_path / "run", *HALF_FROZEN)
    assert calls
    assert all(calls.count(number) == 6 for number in set(calls))
