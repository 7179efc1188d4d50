"""The image tower: from the feature map to attention pooling."""

from pathlib import Path

import pytest
import torch

from tests.train.runs import config, corpus, trained
from wenlan_data.errors import RecipeError
from wenlan_data.eval.embed import load_model
from wenlan_data.model.image_tower import feature_map
from wenlan_data.model.towers import make_towers


def test_without_projection_attention_pooling_reads_regions_of_the_map() -> None:
    towers = make_towers(config("image.projection=false"), 100).eval()
    assert not [name for name, _ in towers.named_parameters() if "projection" in name]
    image, read = towers.image, []
    image.summary.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    pixels = torch.randn(2, 3, image.size_px, image.size_px)
    with torch.no_grad():
        image(pixels)
        regions = image.pool(feature_map(image.backbone, pixels, image.width), None)
    assert torch.equal(read[0], regions)


def test_a_run_without_projection_is_loaded_without_it(tmp_path: Path) -> None:
    shards = corpus(tmp_path / "corpus")
    trained_on = trained(
        shards, tmp_path / "run", "image.projection=false", "max_steps=1"
    ).towers.state_dict()
    loaded = load_model(tmp_path / "run", torch.device("cpu")).towers.state_dict()
    assert loaded.keys() == trained_on.keys()
    assert all(torch.equal(value, trained_on[name]) for name, value in loaded.items())
    with pytest.raises(RecipeError, match=r"image\.projection True \(was False\)"):
        trained(shards, tmp_path / "run", "max_steps=2", resume="auto")


def test_the_released_towers_have_a_projection() -> None:
    with pytest.raises(RecipeError, match=r"image\.projection: the released towers"):
        config("image.projection=false", "compat=released")


def test_the_released_heads_are_as_wide_as_their_output() -> None:
    with pytest.raises(RecipeError, match=r"head_width: the released heads"):
        config("head_width=512", "compat=released")
    towers = make_towers(config("head_width=48"), 100)
    assert (
        towers.image.summary.head.fc1.out_features
        == towers.text.summary.head.fc1.out_features
        == 48
    )
