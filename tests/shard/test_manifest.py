import json
from pathlib import Path

import pytest

from tests.shard.make_golden import GOLDEN, GOLDEN_1_0
from wenlan_data.errors import DamageError, RecipeError
from wenlan_data.shard.manifest import load_manifest, save_manifest

TEXT = (GOLDEN / "manifest.json").read_text("utf-8")


def _load(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    load_manifest(folder)


def test_a_manifest_survives_its_file(tmp_path: Path) -> None:
    manifest = load_manifest(GOLDEN)
    save_manifest(tmp_path, manifest)
    assert load_manifest(tmp_path) == manifest
    written = json.loads((tmp_path / "manifest.json").read_text("utf-8"))
    assert written == json.loads(TEXT)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_manifest_of_format_1_0_gets_the_defaults_of_later_keys() -> None:
    written = load_manifest(GOLDEN_1_0).model_dump(mode="json")
    assert (written["funnel"].pop("remarks"), written["funnel"].pop("pages")) == ({}, {})
    assert written == json.loads((GOLDEN_1_0 / "manifest.json").read_text("utf-8"))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "other"}', "[" * 100_000])
def test_what_is_no_manifest_is_corrupt(tmp_path: Path, text: str) -> None:
    with pytest.raises(DamageError, match=r"manifest\.json"):
        _load(tmp_path, text)


def test_a_missing_manifest_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(DamageError, match="no corpus"):
        load_manifest(tmp_path)


def test_a_newer_format_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="upgrade wenlan-data"):
        _load(tmp_path, TEXT.replace('"format_version": 1', '"format_version": 2, "new_key": 1'))


@pytest.mark.parametrize(
    "name", ["../x.tar", "a/b.tar", "a\\\\b.tar", "..", "a..tar", ".x", "", "x\\u001b.tar", "x\\n"]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DamageError, match=r"shards\[0\]\.name"):
        _load(tmp_path, TEXT.replace('"wenlan-000000.tar"', f'"{name}"'))


def test_an_unknown_type_names_the_place(tmp_path: Path) -> None:
    value = json.loads(TEXT)
    value["shards"][1]["bytes"] = "many"
    with pytest.raises(DamageError, match=r"shards\[1\]\.bytes"):
        _load(tmp_path, json.dumps(value))


def test_lost_candidates_are_noticed() -> None:
    manifest = load_manifest(GOLDEN)
    lost = manifest.funnel.model_copy(update={"candidates": manifest.funnel.candidates + 1})
    with pytest.raises(DamageError, match="lost or doubled"):
        manifest.model_copy(update={"funnel": lost}).check_counts()


def test_a_corpus_with_unknown_keys_is_read_but_not_extended(tmp_path: Path) -> None:
    value = json.loads(TEXT)
    value["later"] = value["funnel"]["later"] = value["shards"][0]["later"] = {"a": [1]}
    _load(tmp_path, json.dumps(value))
    assert load_manifest(tmp_path) == load_manifest(GOLDEN)
    with pytest.raises(RecipeError, match=r"later.*upgrade wenlan-data"):
        load_manifest(tmp_path, to_extend=True)
