"""Parses every command line that the documentation shows, without running it.

`test_docs.py` runs the commands of `console` blocks. Others take hours, a GPU or data that the
reader must supply: of scripts, modules and arguments are checked; of `wenlan-data`, the names of
commands and options.
"""

import argparse
import ast
import importlib
import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from wenlan_data.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    ROOT / "shards" / "README.md",
    ROOT / "pipelines" / "train" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
SCRIPTS = sorted((ROOT / "benchmarks").rglob("*.py"))
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
AFTER_COMMAND = re.compile(r"\s(?:#|[|>&]|\|\||&&)\s.*|;.*")
"""A comment, pipe, redirection or second command."""
MODULE = r"(?:python|\.venv/bin/python) -m (?=benchmarks\.|tests\.)"
OURS = r"(?:wenlan-data|torchrun .*-m wenlan_data) (?=[a-z])"

Shown = list[tuple[str, list[str]]]
"""Pages and the words of a command that each shows."""


class _ParsedError(Exception):
    """Raised once the arguments are parsed, before a script does anything."""


def _lines(page: Path) -> list[str]:
    """Returns the lines of the blocks of a page, and the code in its text."""
    text = page.read_text("utf-8")
    blocks = "\n".join(FENCED.findall(text)).replace("\\\n", " ").splitlines()
    prose = FENCED.sub("", text)
    indented = [line for line in prose.splitlines() if line.startswith("    ")]
    return [
        *blocks,
        *indented,
        *(" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)),
    ]


def _docstring_lines(script: Path) -> list[str]:
    text = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""
    return text.replace("\\\n", " ").splitlines()


def _shown(pattern: str, lines: dict[Path, list[str]]) -> Shown:
    """Returns the words after `pattern` in the lines that begin with it."""
    found = {
        (path.relative_to(ROOT).as_posix(), AFTER_COMMAND.sub("", line[match.end() :]).strip())
        for path, some in lines.items()
        for line in some
        if (match := re.match(rf"(?:\$ |\s)*(?:\w+=\S+ |ulimit .*; )?{pattern}", line))
    }
    return [(page, shlex.split(line)) for page, line in sorted(found)]


def _ids(shown: Shown) -> list[str]:
    return [f"{page}: {' '.join(words)}" for page, words in shown]


SHOWN_MODULES = _shown(
    MODULE,
    {page: _lines(page) for page in PAGES} | {one: _docstring_lines(one) for one in SCRIPTS},
)
SHOWN_COMMANDS = _shown(OURS, {page: _lines(page) for page in PAGES})


def test_command_lines_are_found() -> None:
    assert len(SHOWN_MODULES) > 40
    assert len(SHOWN_COMMANDS) > 30


@pytest.mark.parametrize(("page", "words"), SHOWN_MODULES, ids=_ids(SHOWN_MODULES))
def test_scripts_accept_the_arguments_that_a_page_shows(
    page: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # `[--runs 5]` is an option that may be left out, `FOLDER...` stands for folders.
    optional = [word.strip("[]").removesuffix("...") for word in words]
    module, *arguments = filter(None, optional)
    spec = find_spec(module)
    assert spec is not None, f"{page}: there is no module {module}"
    source = Path(spec.origin or "").read_text("utf-8")
    if "ArgumentParser" not in source:
        assert "sys.argv" in source or not arguments, f"{page}: {module} takes no arguments"
        return
    parse_args = argparse.ArgumentParser.parse_args

    def parse(parser: argparse.ArgumentParser) -> None:
        parse_args(parser)
        raise _ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    # Scripts import other programs only where they run them, so that every module can be imported.
    script = importlib.import_module(module)
    # argparse exits on an argument that it does not accept.
    with pytest.raises((_ParsedError, SystemExit)) as end:
        script.main()
    assert end.type is _ParsedError, f"{page}: {capsys.readouterr().err}"


@pytest.mark.parametrize(("page", "words"), SHOWN_COMMANDS, ids=_ids(SHOWN_COMMANDS))
def test_commands_have_the_options_that_a_page_shows(page: str, words: list[str]) -> None:
    command: click.Command = cli
    rest = words
    while isinstance(command, click.Group) and rest:
        name, *rest = rest
        assert name in command.commands, f"{page}: there is no command {name}"
        command = command.commands[name]
    command.make_parser(click.Context(command)).parse_args(list(rest))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scripts_that_a_page_names_exist(page: Path) -> None:
    prose = FENCED.sub("", page.read_text("utf-8"))
    named = re.findall(r"\b(?:benchmarks|tests|wenlan_data)/[\w/]+\.py\b", prose)
    assert not [path for path in named if not (ROOT / path).is_file()]
