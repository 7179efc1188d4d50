"""Hostile YAML: bounded in time and memory, one error with exit code 4."""

from pathlib import Path

import pytest

from tests.bounds import bounded
from tests.mutations import mutations
from wenlan_data.errors import RecipeError, UsageError, WenlanError
from wenlan_data.model.config import load_config
from wenlan_data.recipe import load_recipe
from wenlan_data.settings import pipelines_folder, read_yaml
from wenlan_data.source_config import load_sources

BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdef", "bcdefg", strict=True)
)
HOSTILE: dict[str, str | bytes] = {
    "brackets": "[" * 200_000,
    "braces": "{" * 200_000,
    "brackets in a value": "a: " + "[" * 200_000 + "]" * 200_000,
    "dashes": "- " * 100_000 + "a",
    "question marks": "? " * 100_000 + "a",
    "indented keys": "".join(f"{' ' * depth}a:\n" for depth in range(1000)),
    "alias bomb": BOMB,
    "alias to itself": "a: &a [*a]",
    "a merge of aliases": "a: &a {b: 1}\nc: {<<: *a}",
    "tags of Python": "a: !!python/object/apply:os.system [true]",
    "tags of numbers": 'a: !!int "1:1:1"',
    "tags of sets": "a: !!set {b}",
    "a month that is none": "a: 2024-99-99",
    "a number of 5,000 digits": f"a: {'9' * 5000}",
    "a number of a million digits": f"a: {'9' * 1_000_000}",
    "a hexadecimal number": f"a: 0x{'f' * 900_000}",
    "a number in base 60": f"a: {'1:' * 400_000}1",
    "a fraction in base 60": f"a: {'1:' * 300}1.5",
    "underscores": f"a: 1{'_' * 900_000}1",
    "two documents": "a: 1\n---\nb: 2\n",
    "bytes of no encoding": b"a: \xff\xfe\xfa",
    "utf-16": "a: 1".encode("utf-16"),
    "a zero byte": "a: \0",
    "an escape": "a: \x1b[2J",
    "2 MB": "a: " + "x" * (2 << 20),
    "a list": "- a",
    "a text": "abc",
    "nothing": "",
    "keys that are lists": "? [a]\n: b",
    "keys that are mappings": "{{a: b}: c}",
    "tabs": "a:\n\t- b",
    "an open quote": 'a: "' + "x" * 100_000,
    "no key": ": " * 10_000,
    "directives": "%YAML 9.9\n---\na: 1",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_yaml_is_one_error(tmp_path: Path, case: str) -> None:
    content = HOSTILE[case]
    path = tmp_path / "a.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with bounded(seconds=20, mib=200):
        with pytest.raises(RecipeError, match=r"a\.yaml: ") as raised:
            read_yaml(path)
        assert raised.value.exit_code == 4
        assert len(str(raised.value)) < 600
        for load in (load_recipe, load_config):
            with pytest.raises(RecipeError):
                load(str(path))
        with pytest.raises(RecipeError):
            load_sources([str(path)])


@pytest.mark.parametrize(
    "text",
    [
        "1: 2",
        "null: 1",
        "text: {rules: " + "[" * 20 + "]" * 20 + "}",
        "a: " + "x" * 900_000,
        "x" * 1000 + ": 1",
        "image: {min_side_px: .inf}",
        "image: {min_side_px: .nan}",
        "image: {min_side_px: 1e400}",
        "name: [a]",
        "".join(f"k{number}: 1\n" for number in range(5_000)),
        "text: {rules: [" + "{rule: 1}, " * 5_000 + "]}",
    ],
)
def test_hostile_values_of_settings_are_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, "utf-8")
    with bounded(seconds=40, mib=500):
        for load in (load_recipe, load_config):
            with pytest.raises(RecipeError) as raised:
                load(str(path))
            assert len(str(raised.value)) < 1500
        with pytest.raises(RecipeError):
            load_sources([str(path)])


@pytest.mark.parametrize("value", ["[" * 10_000, "2024-99-99", "9" * 5000, "!!int a", "*a", "{"])
def test_hostile_overrides_are_one_error(value: str) -> None:
    for load in (load_recipe, load_config):
        with bounded(seconds=20), pytest.raises(RecipeError, match="--set"):
            load("wenlan" if load is load_recipe else "brivl-tiny", [f"name={value}"])


def test_a_blocklist_in_another_encoding_or_without_end_is_one_error(tmp_path: Path) -> None:
    sources = tmp_path / "a.yaml"
    sources.write_text(
        "exclude: {domains: list.txt}\nsources: [{kind: folder, path: .}]\n", "utf-8"
    )
    (tmp_path / "list.txt").write_bytes("坏站.com\n".encode("gbk"))
    with pytest.raises(RecipeError, match="not UTF-8"):
        load_sources([str(sources)])
    (tmp_path / "list.txt").unlink()
    (tmp_path / "list.txt").symlink_to("/dev/zero")
    with bounded(seconds=20, mib=100), pytest.raises((RecipeError, UsageError)):
        load_sources([str(sources)])


def run_yaml_fuzz(folder: Path, count: int, seed: int = 0) -> int:
    """Reads mutated settings as recipe, config and sources; returns how many were sound."""
    paths = sorted(pipelines_folder().rglob("*.yaml"))
    samples = [path.read_bytes() for path in paths]
    samples.append(
        b"contact: a@b.org\nsources:\n- {kind: table, path: a.csv, text: [alt, title]}\n"
    )
    path, sound = folder / "a.yaml", 0
    for number, content in mutations(samples, count, seed):
        path.write_bytes(content)
        for load in (load_recipe, load_config, lambda name: load_sources([name])):
            try:
                load(str(path))
                sound += 1
            except WenlanError:
                continue
            except BaseException as error:
                raise AssertionError(f"mutation {number}, seed {seed}") from error
    return sound


def test_mutated_settings_raise_errors_of_the_project_only(tmp_path: Path) -> None:
    with bounded(seconds=600, mib=300):
        assert run_yaml_fuzz(tmp_path, 1000) > 20
