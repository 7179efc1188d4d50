"""The bounds of the recipe's `image` part."""

import pytest

from wenlan_data.errors import RecipeError
from wenlan_data.recipe import load_recipe


@pytest.mark.parametrize(
    "override",
    [
        "image.formats=[tiff]",
        "image.min_side_px=0",
        "image.max_aspect=0.9",
        "image.min_bytes=-1",
        "image.min_contrast=-1",
        "image.min_contrast=128",
        "image.min_entropy_bits=-0.1",
        "image.min_entropy_bits=5.1",
        "image.max_icon_side_px=-1",
        "image.max_side_px=15",
    ],
)
def test_a_recipe_refuses_image_rules_out_of_bounds(override: str) -> None:
    with pytest.raises(RecipeError, match=override.partition("=")[0].replace(".", r"\.")):
        load_recipe("wenlan", [override])


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("min_side_px=1", 1),
        ("max_aspect=1", 1),
        ("min_bytes=0", 0),
        ("min_contrast=127", 127),
        ("min_entropy_bits=5", 5),
        ("max_icon_side_px=0", 0),
        ("max_side_px=16", 16),
    ],
)
def test_a_recipe_accepts_image_rules_at_their_bounds(override: str, value: int) -> None:
    rules = load_recipe("wenlan", [f"image.{override}"]).image
    assert getattr(rules, override.partition("=")[0]) == value
