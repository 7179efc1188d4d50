"""Trainings on region features instead of images, and the files that hold them."""

import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from tests.load.corpora import jpeg, sample
from tests.train.runs import WORDS, config, losses, run_ranks, trained
from wenlan_data import testing
from wenlan_data.cli.main import cli
from wenlan_data.errors import DamageError, RecipeError, UsageError
from wenlan_data.eval.embed import corpus_loader, load_model
from wenlan_data.eval.region_features import embed_regions
from wenlan_data.load import ImageSettings
from wenlan_data.load.region_features import (
    features_path,
    read_regions_header,
    shard_identities,
)
from wenlan_data.model import image_tower
from wenlan_data.model.backbone_digest import backbone_digest
from wenlan_data.model.inputs import Inputs, no_boxes
from wenlan_data.records import Region, Sample
from wenlan_data.testing import make_caption, make_image
from wenlan_data.train import features as module
from wenlan_data.train import measure_standard
from wenlan_data.train.features import open_features
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.state import TrainingState
from wenlan_data.train.trainer import run_training

FROZEN = ("image.train=none", "augment={jitter_share: 0, grey_share: 0}")
BOXES = "regions={mode: boxes, most: 4}"
BAD = 5
"""The number of a sample whose image cannot be decoded."""


def _corpus(path: Path, counts: tuple[int, ...] = (14, 13)) -> Path:
    """A corpus with one to three boxes a sample, and one sample whose image is cut short."""
    numbers = iter(range(sum(counts)))

    def one(number: int) -> Sample:
        found = sample(number, image=make_image(number, width=32, height=32))
        boxes = tuple(
            Region(box_xyxy=(2 * at, at, 20 + 3 * at, 30), label="grid", score=1.0)
            for at in range(1 + number % 3)
        )
        jpeg_bytes = jpeg(1)[:40] if number == BAD else found.jpeg
        return replace(
            found, jpeg=jpeg_bytes, caption=make_caption(number), width=32, height=32, regions=boxes
        )

    shards = [[one(next(numbers)) for _ in range(count)] for count in counts]
    return testing.write_corpus(path, shards)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture(scope="module")
def start(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step: its checkpoint holds the frozen backbone."""
    out = tmp_path_factory.mktemp("run") / "run"
    trained(shards, out, *FROZEN, "max_steps=1")
    return out


@pytest.fixture(scope="module")
def folder(shards: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("features") / "bf16"
    _embed(shards, start, out)
    return out


def _embed(shards: Path, run: Path, out: Path, *kind: str) -> dict[str, object]:
    words = ("eval", "embed", "--checkpoint", run, "--shards", shards, "--workers", 0, "--out", out)
    given = [str(word) for word in (*words, "--regions", *kind, "--json")]
    done = CliRunner().invoke(cli, given, catch_exceptions=False)
    assert done.exit_code == 0
    found: dict[str, object] = json.loads(done.stdout)
    return found


def _weights(training: TrainingState) -> torch.Tensor:
    return torch.cat([one.detach().flatten() for one in training.towers.parameters()])


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("fp32", ("standardise=true",)),
        ("fp32", (BOXES, "compat=released")),
        ("bf16", ()),
        ("bf16", (BOXES,)),
    ],
)
def test_a_training_on_features_is_that_on_images(
    kind: str, more: tuple[str, ...], shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure_standard, "PAIRS", 16)
    overrides = (*FROZEN, *more, "max_steps=4")
    on_images = trained(shards, tmp_path / "images", *overrides)
    found = _embed(shards, tmp_path / "images", tmp_path / "features", kind)
    assert found["samples"] == 26
    assert found["type"] == kind

    def unused(*_: object) -> None:
        raise AssertionError("the backbone ran")

    monkeypatch.setattr(image_tower, "feature_map", unused)
    named = f"image.features={tmp_path / 'features'}"
    on_features = trained(shards, tmp_path / "run", *overrides, named)
    # Rounding of bf16 is 2**-9 of a value, and a temperature of 0.07 multiplies it by 14.
    tolerance = 1e-5 if kind == "fp32" else 0.03
    expected = losses(tmp_path / "images")
    assert np.allclose(losses(tmp_path / "run"), expected, rtol=0, atol=tolerance)
    assert len(expected) == 4
    difference = (_weights(on_images) - _weights(on_features)).norm()
    assert difference < tolerance * _weights(on_images).norm()
    assert on_features.position == on_images.position


def test_vectors_of_features_are_those_of_images_but_for_the_rounding(
    shards: Path, start: Path, folder: Path
) -> None:
    model = load_model(start, torch.device("cpu"))
    tower = model.towers.image
    features = open_features(config(*FROZEN, f"image.features={folder}"), [shards], tower)
    assert features is not None
    assert features.dtype is torch.bfloat16
    with corpus_loader(model, [shards], workers=0) as loader, torch.no_grad():
        for batch in loader:
            rows = [row for row, again in enumerate(batch["repeated"].tolist()) if not again]
            exact, mask = embed_regions(model, batch, rows)
            assert mask.all()
            stored = torch.zeros(len(rows), *features.row_shape, dtype=torch.uint8)
            for place, row in enumerate(rows):
                names = [path.name for path in sorted((shards / "shards").glob("*.tar"))]
                masks = [features.read(n, batch["key"][row], stored[place].numpy()) for n in names]
                assert sum(one is not None for one in masks) == 1
            regions = stored.view(torch.bfloat16).squeeze(-1)
            assert torch.equal(regions, exact.bfloat16())
            image = torch.zeros(len(rows), 3, 0, 0)
            boxes, _ = no_boxes(len(rows))
            tokens = torch.zeros(len(rows), 4, dtype=torch.long)
            given = Inputs(
                image=image,
                boxes=boxes,
                box_mask=mask,
                tokens=tokens,
                token_mask=tokens > 0,
                regions=regions,
            )
            found = model.towers.embed_images(given)
            expected = model.towers.embed_images(replace(given, regions=exact))
            assert (found * expected).sum(1).min() > 1 - 1e-4


def test_workers_and_ranks_deliver_the_same(shards: Path, folder: Path, tmp_path: Path) -> None:
    overrides = (*FROZEN, f"image.features={folder}", "max_steps=4")
    trained(shards, tmp_path / "here", *overrides)
    options = TrainOptions(shards=(shards,), out=tmp_path / "workers", workers=2)
    run_training(config(*overrides), options)
    assert losses(tmp_path / "workers") == losses(tmp_path / "here")
    sets = [word for one in overrides for word in ("--set", one)]
    run_ranks(shards, tmp_path / "ranks", 2, *sets)
    assert np.allclose(losses(tmp_path / "ranks"), losses(tmp_path / "here"), rtol=0, atol=1e-5)


def test_files_are_plain_safetensors_and_a_run_completes_them(
    shards: Path, start: Path, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    first, second = sorted(copy.iterdir())
    tensors = load_file(first)
    assert tensors["regions"].shape == (13, 10, tensors["regions"].shape[2])
    assert tensors["regions"].dtype is torch.bfloat16
    assert tensors["mask"].all()
    assert bytes(tensors["keys"][0].numpy()).decode() == f"{0:032x}"
    header, before = read_regions_header(first), first.stat().st_mtime_ns
    assert header.samples == 13
    model = load_model(start, torch.device("cpu"))
    assert header.backbone == backbone_digest(model.towers.image, model.config)
    data = second.read_bytes()
    second.unlink()
    assert _embed(shards, start, copy)["samples"] == 26
    assert second.read_bytes() == data
    assert first.stat().st_mtime_ns == before
    with pytest.raises(RecipeError, match="choose another --out"):
        _embed(shards, start, copy, "fp32")


def test_a_run_may_be_resumed_with_its_features_elsewhere(
    shards: Path, folder: Path, tmp_path: Path
) -> None:
    overrides = (*FROZEN, "optimizer.min_lr_share=1.0")
    trained(shards, tmp_path / "run", *overrides, f"image.features={folder}", "max_steps=4")
    moved = shutil.copytree(folder, tmp_path / "moved")
    named = f"image.features={moved}"
    trained(shards, tmp_path / "run", *overrides, named, "max_steps=8", resume="auto")
    trained(shards, tmp_path / "whole", *overrides, named, "max_steps=8")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


@pytest.mark.parametrize(
    "override",
    [
        "image.train=all",
        "image.train=[stages.3]",
        "image.batch_norm=train",
        "augment.grey_share=0.1",
        "augment.jitter_share=0.5",
        "augment.min_crop_area=0.5",
        "augment.flip_share=0.5",
    ],
)
def test_what_features_do_not_fit_is_one_error(override: str) -> None:
    with pytest.raises(RecipeError, match=r"image\.features: they are those of a frozen backbone"):
        config(*FROZEN, "image.features=features", override)


def test_features_of_something_else_are_refused(shards: Path, folder: Path, tmp_path: Path) -> None:
    def run(features: Path, *overrides: str, corpus: Path = shards) -> None:
        named = f"image.features={features}"
        trained(corpus, tmp_path / "run", *FROZEN, named, "max_steps=1", *overrides)

    for override in (
        "seed=1",
        "image.size_px=64",
        "regions.samples=2",
        "image.std=[0.2, 0.2, 0.2]",
    ):
        with pytest.raises(RecipeError, match="made by another image backbone"):
            run(folder, override)
    with pytest.raises(RecipeError, match="made by another image backbone"):
        run(folder, "regions.grid=2")
    other = _corpus(tmp_path / "other", (14, 12))
    with pytest.raises(RecipeError, match=r"wenlan-000001.*made of another wenlan-000001\.tar"):
        run(folder, corpus=other)
    with pytest.raises(UsageError, match="no region features of this shard: make them with"):
        run(tmp_path / "nosuch")
    mixed = shutil.copytree(folder, tmp_path / "mixed")
    features_path(mixed, "wenlan-000001.tar").unlink()
    with pytest.raises(UsageError, match=r"wenlan-000001\.regions\.safetensors: there are"):
        run(mixed)
    with pytest.raises(UsageError, match="has the name of"):
        shard_identities([shards, other])


def test_a_dry_run_looks_at_the_files(shards: Path, folder: Path, tmp_path: Path) -> None:
    sets = [word for one in FROZEN for word in ("--set", one)]
    where = ["--shards", str(shards), "--out", str(tmp_path / "run")]
    words = ["train", "--config", "brivl-tiny", *where, "--dry-run", *WORDS, *sets, "--set"]
    done = CliRunner().invoke(cli, [*words, f"image.features={folder}"], catch_exceptions=False)
    assert done.exit_code == 0
    with pytest.raises(UsageError, match="no region features"):
        CliRunner().invoke(cli, [*words, "image.features=nosuch"], catch_exceptions=False)


def test_corrupt_files_are_one_error(folder: Path, tmp_path: Path) -> None:
    path = features_path(tmp_path, "wenlan-000000.tar")
    data = features_path(folder, "wenlan-000000.tar").read_bytes()
    tensors = load_file(features_path(folder, "wenlan-000000.tar"))
    generator = np.random.default_rng(1)
    for cut in (0, 7, 8, 4000, 4104, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(DamageError, match="eval embed --regions"):
            read_regions_header(path)
    for _ in range(200):
        changed = bytearray(data)
        changed[int(generator.integers(0, 500))] = int(generator.integers(0, 256))
        path.write_bytes(changed)
        with suppress(DamageError):
            read_regions_header(path)
    metadata = {"format": "wenlan-regions", "format_version": "1", "shard_bytes": "1"}
    for name, value in (
        ("regions", tensors["regions"].double()),
        ("regions", tensors["regions"][0]),
        ("mask", tensors["mask"][:5]),
        ("keys", tensors["keys"][:5]),
        ("keys", tensors["keys"].to(torch.int16)),
        ("more", tensors["mask"]),
    ):
        save_file({**tensors, name: value.clone()}, path, metadata)
        with pytest.raises(DamageError, match="no file of region features"):
            read_regions_header(path)
    for wrong in ({}, {**metadata, "format_version": "2"}, {**metadata, "shard_bytes": "-1"}):
        save_file(tensors, path, wrong)
        with pytest.raises(DamageError, match="no file of region features"):
            read_regions_header(path)


def test_features_take_the_place_of_images_only(folder: Path, shards: Path, start: Path) -> None:
    model = load_model(start, torch.device("cpu"))
    named = config(*FROZEN, f"image.features={folder}")
    features = module.open_features(named, [shards], model.towers.image)
    with pytest.raises(UsageError, match="set max_regions to 0"):
        ImageSettings(features=features)
