"""Configs: strict validation, sources of values, overrides."""

from pathlib import Path

import pytest

from wenlan_data.errors import RecipeError
from wenlan_data.model.config import config_folder, load_config
from wenlan_data.settings import names_in


def test_the_shipped_configs_are_valid() -> None:
    names = names_in(config_folder())
    assert names == ["brivl-base", "brivl-large", "brivl-tiny", "clip-base", "clip-tiny"]
    for name in names:
        assert load_config(name).name == name


def test_brivl_base_is_the_released_config() -> None:
    base = load_config("brivl-base")
    assert (base.negatives.queue, base.momentum, base.temperature.value, base.embedding) == (
        9600,
        0.99,
        0.07,
        2048,
    )
    assert (base.image.size_px, base.text.max_tokens, base.regions.most) == (380, 80, 37)
    assert not base.negatives.batch


def test_every_line_with_a_number_of_a_base_config_names_its_source() -> None:
    lines = (config_folder() / "brivl-large.yaml").read_text("utf-8").splitlines()
    own = [
        line
        for line in lines
        if line.startswith(("embedding", "momentum", "batch_size", "max_steps", "negatives"))
    ]
    assert all("#" in line for line in own)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.learning_rate=1", "optimizer.learning_rate: there is no such key"),
        ("precision=fp16", "precision"),
        ("dropout=1.5", "dropout"),
        ("batch_size=0", "batch_size"),
        ("negatives.mask=[author]", "negatives.mask"),
        ("accumulation=5", "accumulation"),
        ("negatives={queue: 0, batch: false}", "needs a queue"),
        ("temperature.value=0.9", "temperature.value"),
        ("optimizer.lr=.inf", "optimizer.lr"),
        ("optimizer.betas=[1, 1]", "optimizer.betas"),
        ("text.train=-1", "text.train: give a number of layers from 0, all or none"),
        (
            "text.choose=nonsense",
            r"text.choose: choose one of caption, random, mixed, sur_text, \S+ \S+ \w+",
        ),
        ("text.small.heads=3", "heads: must divide width, 128"),
        ("augment.jitter=[-1, 0, 0, 0]", "augment.jitter"),
        ("image.size_px=8", "image.size_px"),
        ("lr", "write it as KEY=VALUE"),
        ("text.min_confidence=2", "text.min_confidence"),
        ("data.corpora=[{name: a, paths: []}]", r"data.corpora\[0\].paths"),
        ("data.corpora=[{name: a, paths: [b], weight: 0}]", r"data.corpora\[0\].weight"),
        (
            "data.corpora=[{name: a, paths: b}, {name: a, paths: c}]",
            "data: corpora: two have the same name, a",
        ),
        ("data.shuffle={block_samples: 1000000, window_blocks: 1000}", "must be at most 16777216"),
        ("data.shard_by=node", "data: nodes: shard_by: node needs a number above 1"),
        ("data.nodes=2", "data: nodes: shard_by: node needs a number above 1, and all has none"),
        ("data={shard_by: node, nodes: 3}", "data.nodes: must divide batch_size / accumulation"),
        ("data.shuffle={block: 8}", "data.shuffle.block: there is no such key"),
        ("data.shuffle=never", "data.shuffle"),
        ("data.decoder=magic", "data.decoder"),
    ],
)
def test_an_error_names_its_key(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_config("brivl-tiny", [override])


def test_an_error_about_an_unknown_name_lists_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="brivl-tiny"):
        load_config("brivl-huge")


def test_a_digest_changes_with_a_value() -> None:
    assert load_config("brivl-tiny").digest() != load_config("brivl-tiny", ["seed=1"]).digest()
    assert load_config("brivl-tiny").digest() == load_config("brivl-tiny").digest()
