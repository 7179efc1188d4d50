import json
from dataclasses import fields

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from wenlan_data import plugins
from wenlan_data.cli.main import cli
from wenlan_data.errors import RecipeError
from wenlan_data.plugins import DETECTORS
from wenlan_data.recipe import load_recipe, parse_recipe, recipe_names
from wenlan_data.schema import recipe_schema
from wenlan_data.settings import pipelines_folder


def _run(*words: str) -> str:
    done = CliRunner().invoke(cli, list(words), catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_every_recipe_is_listed_and_shown_and_fits_the_schema() -> None:
    listed = [row["name"] for row in json.loads(_run("recipes", "list", "--json"))]
    assert listed == recipe_names()
    schema = json.loads(_run("recipes", "schema"))
    for name in listed:
        assert f"name: {name}" in _run("recipes", "show", name)
        jsonschema.validate(
            yaml.safe_load((pipelines_folder() / f"{name}.yaml").read_text("utf-8")), schema
        )


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "x", "image": {"min_side": 3}}, recipe_schema())


def test_the_schema_holds_each_detector_with_type_default_range_and_meaning() -> None:
    listed = json.loads(_run("recipes", "schema"))["$defs"]["DetectRules"]["anyOf"]
    kinds = {one["title"]: one["properties"] for one in listed if "title" in one}
    assert sorted(kinds) == plugins.names(DETECTORS)
    assert (
        kinds["grid"]["cells"].items()
        >= {"type": "integer", "default": 6, "minimum": 1, "maximum": 64}.items()
    )
    confidence = {"type": "number", "default": 0.3, "minimum": 0, "exclusiveMaximum": 1}
    assert kinds["yolox"]["confidence"].items() >= confidence.items()
    assert kinds["yolox"]["language"]["enum"] == ["en", "zh"]
    assert "time grows" in kinds["proposals"]["width_px"]["description"]
    for name, properties in kinds.items():
        own = {field.name for field in fields(plugins.find(DETECTORS, name))}
        assert set(properties) == own | {"detector", "max_regions", "device"}
        assert all({"type", "default"} <= set(properties[one]) for one in own)


@pytest.mark.parametrize(
    ("detect", "fits"),
    [
        ({}, True),
        ({"max_regions": 100, "cells": 3}, True),
        ({"detector": "yolox", "weights": "my.onnx", "language": "zh", "device": "cuda:1"}, True),
        (
            {
                "detector": "mix",
                "of": [{"detector": "grid", "cells": 2}, {"detector": "proposals"}],
            },
            True,
        ),
        ({"cells": 65}, False),
        ({"max_regions": 4096}, False),
        ({"detector": "parrot"}, False),
        ({"detector": "grid", "device": "cuda"}, False),
        ({"detector": "proposals", "strategy": "slow"}, False),
        ({"detector": "yolox", "confidence": 1}, False),
        ({"detector": "yolox", "cells": 3}, False),
        ({"detector": "mix", "of": [{"detector": "grid"}]}, False),
        ({"detector": "mix", "of": [{"detector": "grid"}, {"detector": "boxes"}]}, False),
        (
            {
                "detector": "mix",
                "of": [{"detector": "grid", "cells": 0}, {"detector": "proposals"}],
            },
            False,
        ),
    ],
)
def test_the_schema_and_the_loader_agree_on_detectors(
    detect: dict[str, object], fits: bool
) -> None:
    recipe = {"name": "x", "detect": detect}
    assert jsonschema.Draft202012Validator(recipe_schema()).is_valid(recipe) == fits
    if fits:
        parse_recipe(recipe, "x")
    else:
        with pytest.raises(RecipeError):
            parse_recipe(recipe, "x")


def test_a_shown_recipe_is_a_recipe_with_the_same_digest(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("r") / "mine.yaml"
    path.write_text(_run("recipes", "show", "wenlan"), "utf-8")
    assert load_recipe(str(path)).digest() == load_recipe("wenlan").digest()


def test_an_override_changes_the_digest() -> None:
    changed = load_recipe("wenlan", ["image.min_side_px=200"])
    assert changed.image.min_side_px == 200
    assert changed.digest() != load_recipe("wenlan").digest()


@pytest.mark.parametrize(
    ("override", "named"),
    [
        (
            "image.min_side=3",
            "image.min_side: there is no such key here; there are formats, min_side_px",
        ),
        ("images.min_side_px=3", "images: there is no such key here; there are name, image, text"),
        ("image.formats=jpeg", "image.formats: a list is expected"),
        ("image.min_side_px=0", "image.min_side_px"),
        ("image.min_side_px=wide", "image.min_side_px"),
        ("text.rules=[{rule: parrot}]", "text.rules[0]"),
        ("text.rules=[{rule: length, least: 2}]", "least: length has no such parameter"),
        ("detect.detector=parrot", "detect"),
        ("text.caption=[parrot]", "text.caption"),
        ("dedupe.radius_bits=9", "dedupe.radius_bits: 0 to 8 bits are expected, or off"),
        ("dedupe.radius_bits=true", "dedupe.radius_bits: 0 to 8 bits"),
        ("shard.max_bytes=many", "shard.max_bytes"),
        ("image", "--set image"),
    ],
)
def test_a_wrong_override_is_named(override: str, named: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("wenlan", [override])
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_near_duplicates_are_switched_off_by_the_word_that_yaml_takes_for_false() -> None:
    off = load_recipe("wenlan", ["dedupe.radius_bits=off"])
    assert off.dedupe.radius_bits == "off"
    assert off.digest() == load_recipe("wenlan", ["dedupe.radius_bits='off'"]).digest()
    assert off.digest() != load_recipe("wenlan", ["dedupe.radius_bits=0"]).digest()
    jsonschema.validate({"name": "x", "dedupe": {"radius_bits": "off"}}, recipe_schema())


def test_yaml_aliases_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("r") / "bomb.yaml"
    path.write_text("name: x\nimage: &a {min_side_px: 3}\ntext: *a\n", "utf-8")
    with pytest.raises(RecipeError, match="aliases"):
        load_recipe(str(path))
