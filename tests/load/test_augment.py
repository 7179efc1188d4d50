from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.load.corpora import write_corpus
from wenlan_data.load import Augment, Loader
from wenlan_data.load.augment import Drawn, augmented, drawn, moved_boxes

CPU = torch.device("cpu")


def _nothing(batch: int) -> Drawn:
    one, none = torch.ones(batch), torch.zeros(batch)
    return Drawn(
        one, one, one, none, none, none, torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(batch, 1)
    )


def _pictures(batch: int, side: int = 12, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, generator=generator)


def test_nothing_drawn_changes_nothing() -> None:
    pictures = _pictures(3)
    assert torch.equal(augmented(pictures, _nothing(3)), pictures)


@pytest.mark.parametrize("seed", range(5))
def test_colours_vary_as_torchvision_varies_them_one_by_one(seed: int) -> None:
    reference = pytest.importorskip("torchvision.transforms.v2.functional")
    pictures = _pictures(8, seed=seed)
    what = drawn(
        Augment(jitter_share=1, grey_share=0), np.arange(8) + 8 * seed, seed=1, epoch=0, device=CPU
    )
    found = augmented(pictures, what)
    for row in range(8):
        image = pictures[row].float() / 255
        image = reference.adjust_brightness(image, float(what.brightness[row]))
        image = reference.adjust_contrast(image, float(what.contrast[row]))
        image = reference.adjust_saturation(image, float(what.saturation[row]))
        image = reference.adjust_hue(image, float(what.hue[row]))
        assert float((found[row].float() - image * 255).abs().max()) < 1.5


def test_shares_and_ranges_are_those_that_were_asked_for() -> None:
    what = drawn(
        Augment(flip_share=0.5, min_crop_area=0.2), np.arange(20_000), seed=1, epoch=0, device=CPU
    )
    varied = what.brightness != 1
    assert abs(float(varied.float().mean()) - 0.8) < 0.02
    assert abs(float(what.grey.mean()) - 0.2) < 0.02
    assert abs(float(what.flip.mean()) - 0.5) < 0.02
    assert 0.6 <= float(what.brightness.min()) < 0.61
    assert 1.39 < float(what.brightness.max()) <= 1.4
    assert 0.099 < float(what.hue.abs().max()) <= 0.1
    sides = what.crop[:, 2:] - what.crop[:, :2]
    assert float(what.crop.min()) >= 0
    assert float(what.crop.max()) <= 1 + 1e-6
    assert 0.19 < float(sides.prod(1).min()) < 0.25


def test_what_is_drawn_belongs_to_the_place_alone() -> None:
    whole = drawn(Augment(), np.arange(10), seed=4, epoch=2, device=CPU)
    part = drawn(Augment(), np.arange(6, 10), seed=4, epoch=2, device=CPU)
    assert torch.equal(whole.hue[6:], part.hue)
    assert not torch.equal(
        drawn(Augment(), np.arange(10), seed=4, epoch=3, device=CPU).hue, whole.hue
    )


def test_a_grey_picture_has_one_value_in_its_channels() -> None:
    image = augmented(_pictures(2), replace(_nothing(2), grey=torch.tensor([1.0, 0.0])))
    assert torch.equal(image[0, 0], image[0, 2])
    assert not torch.equal(image[1, 0], image[1, 2])


@given(st.integers(0, 10_000))
def test_a_box_stays_on_its_object_through_crop_and_flip(place: int) -> None:
    side = 96
    picture = torch.zeros((1, 3, side, side), dtype=torch.uint8)
    x1, y1 = 20 + place % 30, 25 + place % 25
    picture[..., y1 : y1 + 20, x1 : x1 + 24] = 255
    what = drawn(
        Augment(jitter_share=0, grey_share=0, min_crop_area=0.5, flip_share=0.5),
        np.array([place]), seed=0, epoch=0, device=CPU,
    )  # fmt: skip
    boxes = torch.tensor([[[x1, y1, x1 + 24, y1 + 20], [0, 0, side, side]]], dtype=torch.float32)
    moved, mask = moved_boxes(boxes, torch.ones(1, 2, dtype=torch.bool), what, side)
    assert moved[0, 1].tolist() == pytest.approx([0, 0, side, side], abs=1e-3)
    assert mask[0, 1]
    seen = augmented(picture, what)[0, 0] > 127
    if not mask[0, 0]:
        assert seen.float().mean() < 0.1
        return
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    found = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
    assert moved[0, 0].tolist() == pytest.approx(found, abs=1.6)


def test_a_region_that_a_crop_leaves_out_is_masked() -> None:
    what = replace(_nothing(1), crop=torch.tensor([[0.5, 0.0, 1.0, 1.0]]))
    boxes = torch.tensor([[[0.0, 0, 40, 100], [40, 0, 60, 100], [0, 0, 0, 0]]])
    moved, mask = moved_boxes(boxes, torch.tensor([[True, True, False]]), what, 100)
    assert mask.tolist() == [[False, True, False]]
    assert moved[0].tolist() == [[0, 0, 0, 0], [0, 0, 20, 100], [0, 0, 0, 0]]


def test_a_loader_augments_the_same_after_going_on_and_on_other_ranks(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [16])
    vary = Augment(min_crop_area=0.5, flip_share=0.5)

    def images(batch_size: int, **options: int) -> list[torch.Tensor]:
        given = {"workers": 0, "augment": vary, **options}
        return [
            torch.as_tensor(one["image"])
            for one in Loader(corpus, batch_size=batch_size, size_px=8, **given)  # type: ignore[arg-type]
        ]

    whole = images(4)
    assert torch.equal(torch.cat(images(4, position=2)), torch.cat(whole[2:]))
    ranks = [images(2, rank=rank, ranks=2) for rank in range(2)]
    assert torch.equal(torch.cat([ranks[0][1], ranks[1][1]]), whole[1])
    assert not torch.equal(torch.cat(images(4, epoch=1)), torch.cat(whole))


def test_the_devices_decoder_gives_the_same_batches(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    corpus = write_corpus(tmp_path / "c", [300], {5: b"\xff\xd8\xff no"})
    turbo, cuda = (
        list(Loader(corpus, batch_size=4, size_px=8, workers=1, decoder=name, shuffle=None))
        for name in ("turbo", "cuda")
    )
    for ours, theirs in zip(turbo, cuda, strict=True):
        assert ours["key"] == theirs["key"]
        difference = (
            torch.as_tensor(ours["image"]).float() - torch.as_tensor(theirs["image"]).float()
        )
        assert float(difference.abs().max()) <= 3
