from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.load.corpora import IN_ORDER, write_corpus
from wenlan_data.load import Augment, ImageSettings, Loader, SamplingSettings
from wenlan_data.load.augment import AugmentParams, apply_augment, draw_params, transform_boxes

CPU = torch.device("cpu")


def _identity(batch: int) -> AugmentParams:
    one, none = torch.ones(batch), torch.zeros(batch)
    return AugmentParams(
        one, one, one, none, none, none, torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(batch, 1)
    )


def _images(batch: int, side: int = 12, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, generator=generator)


def test_identity_parameters_leave_an_image_as_it_is() -> None:
    images = _images(3)
    assert torch.equal(apply_augment(images, _identity(3)), images)


@pytest.mark.parametrize("seed", range(5))
def test_colours_vary_as_torchvision_varies_them_one_by_one(seed: int) -> None:
    reference = pytest.importorskip("torchvision.transforms.v2.functional")
    images = _images(8, seed=seed)
    params = draw_params(
        Augment(jitter_share=1, grey_share=0), np.arange(8) + 8 * seed, seed=1, epoch=0, device=CPU
    )
    found = apply_augment(images, params)
    for row in range(8):
        image = images[row].float() / 255
        image = reference.adjust_brightness(image, float(params.brightness[row]))
        image = reference.adjust_contrast(image, float(params.contrast[row]))
        image = reference.adjust_saturation(image, float(params.saturation[row]))
        image = reference.adjust_hue(image, float(params.hue[row]))
        assert float((found[row].float() - image * 255).abs().max()) < 1.5


def test_shares_and_ranges_are_those_requested() -> None:
    params = draw_params(
        Augment(flip_share=0.5, min_crop_area=0.2), np.arange(20_000), seed=1, epoch=0, device=CPU
    )
    varied = params.brightness != 1
    assert abs(float(varied.float().mean()) - 0.8) < 0.02
    assert abs(float(params.grey.mean()) - 0.2) < 0.02
    assert abs(float(params.flip.mean()) - 0.5) < 0.02
    assert 0.6 <= float(params.brightness.min()) < 0.61
    assert 1.39 < float(params.brightness.max()) <= 1.4
    assert 0.099 < float(params.hue.abs().max()) <= 0.1
    sides = params.crop[:, 2:] - params.crop[:, :2]
    assert float(params.crop.min()) >= 0
    assert float(params.crop.max()) <= 1 + 1e-6
    assert 0.19 < float(sides.prod(1).min()) < 0.25


def test_parameters_depend_on_the_index_alone() -> None:
    whole = draw_params(Augment(), np.arange(10), seed=4, epoch=2, device=CPU)
    part = draw_params(Augment(), np.arange(6, 10), seed=4, epoch=2, device=CPU)
    assert torch.equal(whole.hue[6:], part.hue)
    assert not torch.equal(
        draw_params(Augment(), np.arange(10), seed=4, epoch=3, device=CPU).hue, whole.hue
    )


def test_a_grey_image_has_one_value_in_its_channels() -> None:
    image = apply_augment(_images(2), replace(_identity(2), grey=torch.tensor([1.0, 0.0])))
    assert torch.equal(image[0, 0], image[0, 2])
    assert not torch.equal(image[1, 0], image[1, 2])


@given(st.integers(0, 10_000))
def test_a_box_stays_on_its_object_through_crop_and_flip(place: int) -> None:
    side = 96
    image = torch.zeros((1, 3, side, side), dtype=torch.uint8)
    x1, y1 = 20 + place % 30, 25 + place % 25
    image[..., y1 : y1 + 20, x1 : x1 + 24] = 255
    params = draw_params(
        Augment(jitter_share=0, grey_share=0, min_crop_area=0.5, flip_share=0.5),
        np.array([place]), seed=0, epoch=0, device=CPU,
    )  # fmt: skip
    boxes = torch.tensor([[[x1, y1, x1 + 24, y1 + 20], [0, 0, side, side]]], dtype=torch.float32)
    moved, mask = transform_boxes(boxes, torch.ones(1, 2, dtype=torch.bool), params, side)
    assert moved[0, 1].tolist() == pytest.approx([0, 0, side, side], abs=1e-3)
    assert mask[0, 1]
    seen = apply_augment(image, params)[0, 0] > 127
    if not mask[0, 0]:
        assert seen.float().mean() < 0.1
        return
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    found = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
    assert moved[0, 0].tolist() == pytest.approx(found, abs=1.6)


def test_a_region_that_a_crop_leaves_out_is_masked() -> None:
    params = replace(_identity(1), crop=torch.tensor([[0.5, 0.0, 1.0, 1.0]]))
    boxes = torch.tensor([[[0.0, 0, 40, 100], [40, 0, 60, 100], [0, 0, 0, 0]]])
    moved, mask = transform_boxes(boxes, torch.tensor([[True, True, False]]), params, 100)
    assert mask.tolist() == [[False, True, False]]
    assert moved[0].tolist() == [[0, 0, 0, 0], [0, 0, 20, 100], [0, 0, 0, 0]]


def test_a_loader_augments_the_same_after_resuming_and_on_other_ranks(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [16])
    augment = Augment(min_crop_area=0.5, flip_share=0.5)

    def images(
        batch_size: int, *, epoch: int = 0, position: int = 0, rank: int = 0, world_size: int = 1
    ) -> list[torch.Tensor]:
        loader = Loader(
            corpus,
            batch_size=batch_size,
            size_px=8,
            workers=0,
            epoch=epoch,
            position=position,
            sampling=SamplingSettings(rank=rank, world_size=world_size),
            images=ImageSettings(augment=augment),
        )
        return [batch["image"] for batch in loader]

    whole = images(4)
    assert torch.equal(torch.cat(images(4, position=2)), torch.cat(whole[2:]))
    ranks = [images(2, rank=rank, world_size=2) for rank in range(2)]
    assert torch.equal(torch.cat([ranks[0][1], ranks[1][1]]), whole[1])
    assert not torch.equal(torch.cat(images(4, epoch=1)), torch.cat(whole))


def test_the_devices_decoder_gives_the_same_batches(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    corpus = write_corpus(tmp_path / "c", [300], {5: b"\xff\xd8\xff no"})
    turbo, cuda = (
        list(
            Loader(
                corpus,
                batch_size=4,
                size_px=8,
                workers=1,
                sampling=IN_ORDER,
                images=ImageSettings(decoder=name),
            )
        )
        for name in ("turbo", "cuda")
    )
    for ours, theirs in zip(turbo, cuda, strict=True):
        assert ours["key"] == theirs["key"]
        difference = ours["image"].float() - theirs["image"].float()
        assert float(difference.abs().max()) <= 3
