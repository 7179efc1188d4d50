"""Runs what README.md, CONTRIBUTING.md and docs/ show: YAML, Python, and commands with their
output.

`...` in the output matches anything.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from wenlan_data.demo.server import serve, sources_text
from wenlan_data.demo.site import write_folder, write_site
from wenlan_data.source_config import load_sources

pytest.importorskip("skimage", reason="the extra [demo] is not installed")
pytest.importorskip("sklearn", reason="the extra [demo] is not installed")

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@dataclass(frozen=True, slots=True)
class ShownCommand:
    """A line after `$ `, and the output shown under it."""

    line: str
    output: str


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a reader: sources.yaml, a running site, photos/; `wenlan-data` is on PATH."""
    (tmp_path / "site").mkdir()
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with serve(tmp_path / "site") as host:
        write_site(tmp_path / "site", host)
        write_folder(tmp_path / "photos")
        (tmp_path / "sources.yaml").write_text(sources_text(host), encoding="utf-8")
        yield tmp_path


def _blocks(page: Path, language: str) -> list[str]:
    return [body for found, body in _BLOCK.findall(page.read_text("utf-8")) if found == language]


def _commands(block: str) -> list[ShownCommand]:
    """Returns the commands of a block. Lines that begin with `>` continue a command."""
    found = re.findall(r"^\$ (.*(?:\n>.*)*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    return [ShownCommand(re.sub(r"\n> ?", "\n", line), output) for line, output in found]


def _pattern(output: str) -> str:
    """A line of `...` matches any lines, `...` inside a line any text in that line."""
    lines = (
        r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
        for line in output.splitlines()
    )
    return "".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_print_what_the_page_shows(page: Path, user_folder: Path) -> None:
    if page.name == "README.md":
        # Its first sources file must work as it is, on the folder that `make demo` writes.
        (user_folder / "sources.yaml").write_text(_blocks(page, "yaml")[0], encoding="utf-8")
        write_folder(user_folder / "demo-out" / "photos")
    for command in (command for block in _blocks(page, "console") for command in _commands(block)):
        done = subprocess.run(
            ["bash", "-c", command.line],
            cwd=user_folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command.line}\n{done.stdout}{done.stderr}"
        found = "".join(f"{line}\n" for line in done.stdout.splitlines())
        shown = command.output
        assert re.fullmatch(_pattern(shown), found), (
            f"{command.line}\nshown:\n{shown}\nfound:\n{found}"
        )
    for block in _blocks(page, "python"):
        done = subprocess.run(
            [sys.executable, "-c", block],
            cwd=user_folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shown_sources_files_are_valid(page: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    for name in ("domains", "urls", "sha256", "pdq"):
        (tmp_path / "lists" / f"{name}.txt").touch()
    for block in _blocks(page, "yaml"):
        if block.startswith("data:"):
            continue  # of a training config, which tests/train/test_data.py trains
        (tmp_path / "sources.yaml").write_text(block, encoding="utf-8")
        assert load_sources([str(tmp_path / "sources.yaml")]).sources


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    missing = [
        link for link in _LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()
    ]
    assert not missing


def test_the_make_targets_of_the_readme_exist() -> None:
    named = set(
        re.findall(r"^make (\w+)", "\n".join(_blocks(ROOT / "README.md", "sh")), re.MULTILINE)
    )
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert named == {"demo", "test"}
    assert named <= targets
