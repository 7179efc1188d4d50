"""The locks: complete, with hashes, and without the address of a registry."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; .*?)? \\$")


def _pins(path: Path) -> dict[str, list[str]]:
    pins: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        if match := PIN.match(line):
            pins.setdefault(canonicalize_name(match[1]), []).append(match[2])
    return pins


def _required() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    lines = [*project["project"]["dependencies"], *(one for extra in extras for one in extra)]
    return [Requirement(line) for line in [*lines, *project["dependency-groups"]["dev"]]]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_line_is_a_pin_or_a_hash(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    other = [one for one in lines if not (PIN.match(one) or HASH.match(one))]
    assert all(one.startswith("#") for one in other)
    assert not re.search(r"https?:|//|@|index-url|find-links|trusted-host", "\n".join(lines))


def test_the_locks_hold_what_the_project_requires() -> None:
    packages = _pins(ROOT / "requirements" / "packages.lock")
    for torch in ("torch.lock", "torch-cpu.lock"):
        pins = packages | _pins(ROOT / "requirements" / torch)
        for one in _required():
            found = pins.get(canonicalize_name(one.name), [])
            assert found, f"{one}: run `make lock`"
            assert any(one.specifier.contains(version) for version in found), (
                f"{one}: run `make lock`"
            )


def test_the_locks_agree() -> None:
    """pip installs several of them in one command, and refuses two versions of a package."""
    every = {path.stem: _pins(path) for path in LOCKS}
    for other in ("build", "torch", "torch-cpu"):
        shared = every["packages"].keys() & every[other].keys()
        assert {
            name for name in shared if not set(every[other][name]) <= set(every["packages"][name])
        } == set()
    for name in ("torch", "torchvision"):
        assert every["torch-cpu"][name] == [f"{every['torch'][name][0]}+cpu"]
