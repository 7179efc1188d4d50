"""Corpora, `--json` results and losses equal the recorded ones, byte for byte."""

import json
from pathlib import Path

import pytest

from tests.builds.golden_builds import BUILDS, HOWTOCOOK, RECORDED, environment, folder_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("golden")


@pytest.fixture(scope="module")
def recorded() -> dict[str, object]:
    value: dict[str, object] = json.loads(RECORDED.read_text("utf-8"))
    here, then = environment(), value["environment"]
    assert isinstance(then, dict)
    other = [
        f"{name} {here[name]} instead of {then.get(name)}"
        for name in here
        if here[name] != then.get(name)
    ]
    if other:
        pytest.skip(f"recorded with other libraries or another processor: {', '.join(other)}")
    return value


@pytest.mark.parametrize("name", list(BUILDS))
def test_a_build_gives_what_was_recorded(
    name: str, root: Path, recorded: dict[str, object]
) -> None:
    if name == "crawl" and not HOWTOCOOK.is_dir():
        pytest.skip("../shared/data/howtocook-site is not there")
    folder = folder_of(root, name)
    # Both use the corpus of `table`, which another process of the tests may have built elsewhere.
    if name in ("rebuilt", "training") and not (folder / "corpus").is_dir():
        BUILDS["table"](folder)
    found = json.loads(json.dumps(BUILDS[name](folder)))
    assert found == recorded[name]
