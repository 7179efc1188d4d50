"""The format's contract: the golden corpora, read by every reader that users have."""

import hashlib
import json
import re
import tarfile
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from tests.shard.make_golden import GOLDEN, GOLDEN_1_0, draw
from wenlan_data.image.hash import (
    HASH_VERSION,
    colour_thumbnail,
    grey_thumbnail,
    perceptual_hashes,
    quarter_colours,
)
from wenlan_data.shard.format import encode_sample
from wenlan_data.shard.manifest import Manifest, load_manifest
from wenlan_data.shard.reader import read_corpus, shard_paths
from wenlan_data.shard.verify import verify
from wenlan_data.shard.writer import write_shard

CONTRACT = GOLDEN.parent
EXPECTED = json.loads((GOLDEN / "expected.json").read_text("utf-8"))
SAMPLES = EXPECTED["samples"]
CAPTIONS = {sample["key"]: sample["caption"] for sample in SAMPLES}
every_golden = pytest.mark.parametrize("golden", [GOLDEN_1_0, GOLDEN], ids=["1.0", "1.1"])


def _tars(golden: Path) -> list[str]:
    return [str(path) for path in shard_paths([golden])]


def _schema(name: str) -> dict[str, object]:
    schema: dict[str, object] = json.loads((CONTRACT / name).read_text("utf-8"))
    return schema


@every_golden
def test_our_reader_reads_the_golden_corpus(golden: Path) -> None:
    found = list(read_corpus(golden))
    assert {sample.key: sample.caption for sample in found} == CAPTIONS
    assert [sample.key for sample in found] == list(CAPTIONS)
    assert [f"{sample.phash:016x}" for sample in found] == [one["phash"] for one in SAMPLES]
    assert [sample.pdq.hex() for sample in found] == [one["pdq"] for one in SAMPLES]
    assert ["\n".join(sample.opt_out) for sample in found] == [one["opt_out"] for one in SAMPLES]


def test_relation_and_confidence_of_each_text_are_read() -> None:
    found = [[asdict(text) for text in sample.texts] for sample in read_corpus(GOLDEN)]
    assert found == [sample["texts"] for sample in SAMPLES]
    assert {text["confidence"] for texts in found for text in texts} == {0.3, 0.45, 0.9, 0.95, 1.0}


def test_texts_of_format_1_0_have_the_defaults() -> None:
    texts = [text for sample in read_corpus(GOLDEN_1_0) for text in sample.texts]
    assert {(text.relation, text.confidence) for text in texts} == {("given", 1.0)}


@every_golden
def test_webdataset_reads_the_golden_corpus(golden: Path) -> None:
    import webdataset  # here, since it imports torch

    found = list(webdataset.WebDataset(_tars(golden), shardshuffle=False, empty_check=False))
    assert {sample["__key__"]: sample["txt"].decode() for sample in found} == CAPTIONS
    assert all(set(sample) >= {"jpg", "json", "txt"} for sample in found)


@every_golden
def test_tarfile_reads_the_golden_corpus(golden: Path) -> None:
    texts = {}
    for path in _tars(golden):
        with tarfile.open(path) as tar:
            for member in tar:
                stem, _, extension = member.name.partition(".")
                file = tar.extractfile(member)
                if extension == "txt" and file:
                    texts[stem] = file.read().decode()
    assert texts == CAPTIONS


@every_golden
def test_hugging_face_datasets_reads_the_golden_corpus(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    import datasets  # here, since it reads the environment when it is imported

    datasets.disable_progress_bars()
    rows = datasets.load_dataset(
        "webdataset", data_files=_tars(golden), split="train", cache_dir=str(tmp_path / "cache")
    )
    rows = rows.cast_column("jpg", datasets.Image(decode=False))
    assert {row["__key__"]: row["txt"] for row in rows} == CAPTIONS
    assert [row["json"]["key"] for row in rows] == [row["__key__"] for row in rows]


def test_every_reader_that_the_contract_shows_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(
        r"```python\n(.*?)```", (CONTRACT / "README.md").read_text("utf-8"), re.DOTALL
    )
    assert len(examples) == 4
    monkeypatch.chdir(CONTRACT.parent)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for example in examples:
        if "load_dataset" in example:
            example = example.replace(
                'split="train"', f'split="train", cache_dir={str(tmp_path)!r}'
            )
        exec(compile(example, "shards/README.md", "exec"), {})
        assert SAMPLES[0]["key"] in capsys.readouterr().out


@every_golden
def test_the_golden_corpus_is_sound(golden: Path) -> None:
    assert verify(golden) == []
    load_manifest(golden).check_counts()


@every_golden
def test_the_golden_samples_conform_to_the_json_schema(golden: Path) -> None:
    schema = jsonschema.Draft202012Validator(_schema("sample.schema.json"))
    for path in _tars(golden):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if member.name.endswith(".json") and file:
                    schema.validate(json.loads(file.read()))


@every_golden
def test_the_golden_manifest_conforms_to_the_json_schema(golden: Path) -> None:
    manifest = json.loads((golden / "manifest.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(_schema("manifest.schema.json")).validate(manifest)


def test_the_manifest_schema_is_generated_from_the_code() -> None:
    written = _schema("manifest.schema.json")
    generated = Manifest.model_json_schema(mode="serialization")
    assert {key: written[key] for key in ("properties", "required", "$defs")} == {
        key: generated[key] for key in ("properties", "required", "$defs")
    }


def test_writing_the_golden_samples_again_gives_the_golden_bytes(tmp_path: Path) -> None:
    samples = ((sample.key, encode_sample(sample)) for sample in read_corpus(GOLDEN))
    for entry in load_manifest(GOLDEN).shards:
        written = write_shard(tmp_path / entry.name, islice(samples, entry.samples))
        assert (tmp_path / entry.name).read_bytes() == (GOLDEN / "shards" / entry.name).read_bytes()
        assert (written.bytes, written.sha256, written.samples) == (
            entry.bytes,
            entry.sha256,
            entry.samples,
        )


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample["key"][:8] for sample in SAMPLES])
def test_the_hashes_of_the_drawn_images_are_the_golden_ones(sample: dict[str, object]) -> None:
    pixels = draw(int(str(sample["number"])))
    assert pixels.dtype == np.uint8
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == sample["pixels_sha256"]
    phash, pdq = perceptual_hashes(grey_thumbnail(pixels))
    assert EXPECTED["hash_version"] == HASH_VERSION
    assert (f"{phash:016x}", pdq.hex()) == (sample["phash"], sample["pdq"])
    assert quarter_colours(colour_thumbnail(pixels)).hex() == sample["colours"]
