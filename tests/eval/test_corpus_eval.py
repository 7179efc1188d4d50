"""A trained checkpoint evaluated and used through the command line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from tests.load.corpora import sample
from tests.train.runs import corpus, trained
from wenlan_data.cli.main import cli
from wenlan_data.errors import UsageError, WenlanError
from wenlan_data.eval.corpus_eval import read_texts, text_ids
from wenlan_data.eval.embed import Embeddings, embed_corpus, load_model
from wenlan_data.records import Text
from wenlan_data.testing import write_corpus


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    trained(shards, out, "max_steps=2")
    return out


def _call(*words: object) -> str:
    done = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_retrieval_prints_both_directions(shards: Path, run: Path) -> None:
    words = ("eval", "retrieval", "--checkpoint", run, "--shards", shards, "--workers", 0)
    found = json.loads(_call(*words, "--json"))
    assert found["image_to_text"]["queries"] == 27
    assert "R@10" in _call(*words)
    assert json.loads(_call(*words, "--json", "--texts", "all"))["text_to_image"]["queries"] > 27


def test_a_rank_without_samples_has_ids_of_the_type_of_the_others() -> None:
    assert text_ids([]).dtype == text_ids(["一只猫"]).dtype == torch.int64


def test_the_rule_for_equal_texts_is_printed_beside_the_numbers(run: Path, tmp_path: Path) -> None:
    captions = ["同一句话"] * 3 + ["别的话"]
    samples = [
        replace(
            sample(number), caption=caption, texts=(Text("caption", caption), Text("alt", "图"))
        )
        for number, caption in enumerate(captions)
    ]
    twice = write_corpus(tmp_path / "corpus", [samples])
    words = ("eval", "retrieval", "--checkpoint", run, "--shards", twice, "--workers", 0)
    for texts, rule, queries in (
        ("caption", "merge", 2), ("caption", "separate", 4),
        ("all", "merge", 3), ("all", "separate", 8),
    ):  # fmt: skip
        more = (*words, "--texts", texts, "--equal-texts", rule)
        found = json.loads(_call(*more, "--json"))
        assert (found["texts"], found["equal_texts"]) == (texts, rule)
        assert found["text_to_image"]["queries"] == queries
        assert found["image_to_text"]["queries"] == 4
        assert f"{rule}: " in _call(*more).splitlines()[-1]
    assert json.loads(_call(*words, "--json"))["equal_texts"] == "merge"


def test_vectors_are_laid_out_as_clip_retrieval_does_it(
    shards: Path, run: Path, tmp_path: Path
) -> None:
    _call(
        "eval",
        "embed",
        "--checkpoint",
        run,
        "--shards",
        shards,
        "--workers",
        0,
        "--out",
        tmp_path / "vectors",
    )
    image = np.load(tmp_path / "vectors/img_emb/img_emb_0.npy")
    text = np.load(tmp_path / "vectors/text_emb/text_emb_0.npy")
    table = pq.read_table(tmp_path / "vectors/metadata/metadata_0.parquet")
    assert image.shape == text.shape == (27, 16)
    assert image.dtype == text.dtype == np.float32
    assert np.allclose(np.linalg.norm(image, axis=1), 1, atol=1e-5)
    assert table.column_names[:2] == ["key", "caption"]
    assert len(table) == 27


def test_a_dry_run_prints_an_estimate_and_writes_nothing(shards: Path, tmp_path: Path) -> None:
    words = (
        "train",
        "--config",
        "brivl-tiny",
        "--shards",
        shards,
        "--out",
        tmp_path / "run",
        "--dry-run",
    )
    stdout = _call(*words)
    assert "image.projection" in stdout
    assert "queues" in stdout
    assert not (tmp_path / "run").exists()
    assert json.loads(_call(*words, "--json"))["samples"] == 27


def test_a_dry_run_refuses_what_a_training_would(shards: Path, tmp_path: Path) -> None:
    words = (
        "train",
        "--config",
        "brivl-tiny",
        "--shards",
        shards,
        "--out",
        tmp_path / "run",
        "--dry-run",
    )
    empty = tmp_path / "empty.safetensors"
    save_file({}, empty)
    for more, message in (
        (("--val-shards", tmp_path / "nosuch"), "nosuch: there is no such"),
        (
            ("--set", f"image.weights={tmp_path / 'nosuch.safetensors'}"),
            "nosuch.safetensors: cannot be read as safetensors",
        ),
        (("--set", f"image.weights={empty}"), "parameters are missing"),
        (("--set", "attention.heads=3"), "attention.heads"),
        (("--init", empty), "holds no tokenizer"),
    ):
        with pytest.raises(WenlanError, match=message):
            _call(*words, *more)


def test_vectors_appear_whole_or_not_at_all(
    shards: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("eval", "embed", "--checkpoint", run, "--workers", 0, "--out", tmp_path / "vectors")
    cut = tmp_path / "cut.tar"
    cut.write_bytes((shards / "shards" / "wenlan-000000.tar").read_bytes()[:20_000])
    for wrong in (tmp_path / "nosuch", cut):
        with pytest.raises(WenlanError, match=wrong.name):
            _call(*words, "--shards", wrong)
        assert sorted(one.name for one in tmp_path.iterdir()) == ["cut.tar"]
    for out, message in ((cut, "not a folder"), (Path("/"), "not empty")):
        with pytest.raises(UsageError, match=message):
            _call(*words[:-1], out, "--shards", shards)
    (tmp_path / "vectors").mkdir(mode=0o700)
    save, seen = np.save, []

    def watched(path: Path, rows: object) -> None:
        seen.append([one.name[:9] for one in (tmp_path / "vectors").iterdir()])
        save(path, rows)

    monkeypatch.setattr(np, "save", watched)
    _call(*words, "--shards", shards)
    assert seen == [[".partial-"], [".partial-"]]
    assert (tmp_path / "vectors").stat().st_mode & 0o777 == 0o700
    assert sorted(one.name for one in (tmp_path / "vectors").iterdir()) == [
        "img_emb",
        "metadata",
        "text_emb",
    ]
    with pytest.raises(UsageError, match="not empty"):
        _call(*words, "--shards", shards)


@pytest.mark.parametrize("choose", ["caption", "random", "mixed"])
def test_an_image_is_evaluated_with_its_caption_whatever_text_trained(
    choose: str, shards: Path, tmp_path: Path
) -> None:
    trained(
        shards,
        tmp_path / "run",
        "max_steps=1",
        "checkpoints.every_steps=1",
        f"text.choose={choose}",
    )
    found = [
        pair
        for part in embed_corpus(load_model(tmp_path / "run"), [shards], workers=0)
        for pair in pairs(part)
    ]
    all_texts = read_texts([shards], {key for key, _ in found})
    assert max(map(len, all_texts.values())) > 1
    assert dict(found) == {key: texts[0] for key, texts in all_texts.items()}


def pairs(part: Embeddings) -> list[tuple[str, str]]:
    """Keys with the texts that were embedded."""
    return list(zip(part.keys, part.texts, strict=True))
