"""The rules that keep the tree easy to walk, checked."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from wenlan_data.cli.main import cli

PACKAGE = Path(__file__).parent.parent / "wenlan_data"
FILES = sorted(PACKAGE.rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "common", "helpers", "base", "misc"}
OPTIONS = {
    "build": [
        "--contact", "--dry-run", "--executor", "--from", "--from-work", "--generation-rows", "--json", "--limit",
        "--max-failed-share", "--out", "--ray", "--recipe", "--retry-failed", "--set", "--sources", "--work",
        "--workers",
    ],
    "detect": ["--detector", "--device", "--json", "--max-side-px", "--out", "--set", "--weights"],
    "eval embed": ["--checkpoint", "--json", "--out", "--shards", "--workers"],
    "eval retrieval": ["--checkpoint", "--json", "--shards", "--texts", "--workers"],
    "gc": ["--dry-run", "--json", "--warcs", "--work"],
    "load bench": [
        "--augment", "--batch-size", "--decoder", "--device", "--json", "--seconds", "--size-px", "--tokenizer",
        "--workers",
    ],
    "recipes list": ["--json"],
    "recipes schema": [],
    "recipes show": ["--json", "--set"],
    "shards extract": ["--json", "--limit", "--out"],
    "shards html": ["--json", "--out", "--work"],
    "shards near": ["--json", "--radius"],
    "shards ls": ["--json", "--samples"],
    "shards show": ["--json", "--number"],
    "shards stat": ["--json"],
    "shards verify": ["--json"],
    "train": [
        "--batch-size", "--changed-corpus", "--config", "--dry-run", "--grown-corpus", "--init", "--json",
        "--max-steps", "--nproc", "--out", "--resume", "--save-every", "--set", "--shards", "--val-shards", "--workers",
    ],
}  # fmt: skip


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def _where(library: str) -> set[str]:
    return {path.relative_to(PACKAGE).as_posix() for path in FILES if library in _imports(path)}


def test_ray_is_imported_in_one_file() -> None:
    assert _where("ray") == {"run/executors/ray.py"}


def test_torch_is_imported_by_loading_training_and_evaluation_only() -> None:
    elsewhere = {
        name
        for name in _where("torch")
        if name.split("/")[0] not in {"load", "model", "train", "eval"}
    }
    assert elsewhere == {"detect/detectors/faster_rcnn.py"}


def test_aiohttp_is_imported_by_web_only() -> None:
    assert {name.split("/")[0] for name in _where("aiohttp")} == {"web"}


def test_nothing_unpickles_or_evaluates() -> None:
    calls = {
        node.func.id
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"eval", "exec"}
    assert _where("pickle") == set()


def test_no_file_is_named_after_nothing() -> None:
    assert not {path.stem for path in FILES} & FORBIDDEN_NAMES


@pytest.mark.parametrize(
    "words", [["--help"], ["build", "--help"], ["load", "--help"], ["shards", "--help"]]
)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    script = (
        "import json, sys\n"
        "from wenlan_data.cli.main import cli\n"
        f"try: cli.main({words!r}, standalone_mode=False)\n"
        "finally: sys.stderr.write(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stderr)) - set(sys.stdlib_module_names)
    assert {name for name in loaded if not name.startswith("_")} <= {
        "click",
        "wenlan_data",
        "sitecustomize",
    }


def test_options_are_those_written_down() -> None:
    found: dict[str, list[str]] = {}

    def walk(prefix: str, command: click.Command) -> None:
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                walk(f"{prefix} {name}".strip(), inner)
        else:
            options = [one for one in command.params if isinstance(one, click.Option)]
            found[prefix] = sorted(one.opts[-1] for one in options)

    walk("", cli)
    assert {name: found[name] for name in OPTIONS} == OPTIONS
