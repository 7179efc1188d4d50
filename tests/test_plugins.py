"""Plug-ins of other packages: how they are found, and that nothing else is imported."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.builds.corpus_runs import content
from tests.cli.in_process import run
from tests.other_packages import (
    COMMAND,
    CORNERS,
    LINES,
    SHOUTING,
    environment,
    install,
    write_module,
)
from wenlan_data import plugins
from wenlan_data.cli.main import cli
from wenlan_data.errors import RecipeError, UsageError, WenlanError
from wenlan_data.plugins import DETECTORS, ROLES, RULES, SOURCES
from wenlan_data.recipe import load_recipe, parse_recipe, recipe_names
from wenlan_data.schema import recipe_schema
from wenlan_data.source_config import load_sources
from wenlan_data.testing import make_caption, make_image

MARK = "from pathlib import Path\nPath(__file__).with_suffix('.imported').touch()\n"
"""First lines of a module that records that it was imported."""
ENTRY_POINTS = """\
[wenlan_data.rules]
shouting = loud_package.rules:Shouting
dotted.name = loud_package.rules:Shouting
length = loud_package.rules:Shouting

[wenlan_data.detectors]
corners = loud_package.corners:Corners

[wenlan_data.sources]
lines = loud_package.lines:Lines
"""


@pytest.fixture(autouse=True)
def _no_modules_are_left(tmp_path: Path) -> Iterator[None]:
    yield
    plugins.use_modules(())
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of installed packages: `loud-package` with a rule, a detector and a source."""
    folder = tmp_path / "installed"
    modules = {"rules": SHOUTING, "corners": CORNERS, "lines": LINES}
    install(
        folder,
        "loud-package",
        {f"loud_package.{name}": MARK + text for name, text in modules.items()},
        ENTRY_POINTS,
    )
    return folder


def _imported(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.rglob("*.imported"))


def _run(*words: object, paths: tuple[Path, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        env=environment(*paths), cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _photos(folder: Path, count: int = 6) -> Path:
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(make_image(number))
    rows = [
        {"image": f"{number}.jpg", "text": make_caption(number) + "！" * (5 * (number % 2))}
        for number in range(count)
    ]
    path = folder / "images.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _recipe(folder: Path) -> Path:
    path = folder / "loud.yaml"
    rules = "[{rule: shouting, max: 2}]"
    path.write_text(
        f"name: loud\ntext: {{rules: {rules}}}\n"
        "detect: {detector: mix, of: [{detector: corners, side_px: 60}, {detector: grid}]}\n",
        "utf-8",
    )
    return path


# Recipes, sources and configs do not import


HOSTILE_NAMES = (
    "unittest.__main__",
    "os.path",
    "wenlan_data.clean.rules.length",
    "tests.extract.test_step",
    "antigravity",
    "this",
    "__main__",
    "os",
    "..clean.rules.length",
    ".length",
    "length.",
    "length:Length",
    "clean/rules/length",
    "/etc/passwd",
    "length\x00",
    "length ",
    "Length",
    "",
    "_private",
    "__init__",
    "importlib.import_module",
)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_of_a_recipe_imports_nothing(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = set(sys.modules)
    for value in (
        {"text": {"rules": [{"rule": name}]}},
        {"detect": {"detector": name}},
        {"detect": {"detector": "mix", "of": [{"detector": name}, {"detector": "grid"}]}},
    ):
        with pytest.raises(RecipeError) as caught:
            parse_recipe({"name": "x", **value}, "x.yaml")
        assert "wenlan_data.rules" in str(caught.value) or "wenlan_data.detectors" in str(
            caught.value
        )
        assert "--plugins" in str(caught.value)
    with pytest.raises((RecipeError, UsageError)):
        load_sources([f"{name}:there"])
    new = {one for one in set(sys.modules) - before if not one.startswith("wenlan_data.")}
    assert not new & {name, "unittest.__main__", "antigravity", "this", "tests.extract.test_step"}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["recipes", "show", "bad.yaml"], 4),
        (["recipes", "show", "wenlan", "--set", "text.rules=[{rule: unittest.__main__}]"], 4),
        (["text", "try", "bad.yaml"], 4),
        (["extract", "page.html", "--recipe", "bad.yaml"], 4),
        (["detect", "page.html", "--detector", "unittest.__main__"], 4),
        (["build", "--sources", "sources.yaml", "--out", "out"], 4),
        (["build", "--sources", "unittest.__main__:x", "--out", "out"], 2),
        (["build", "--sources", "folder:.", "--recipe", "bad.yaml", "--out", "out"], 4),
    ],
)  # fmt: skip
def test_commands_name_both_ways(
    words: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("name: bad\ntext: {rules: [{rule: unittest.__main__}]}\n")
    (tmp_path / "sources.yaml").write_text("sources: [{kind: unittest.__main__}]\n")
    (tmp_path / "page.html").write_text("<p>页面")
    done = CliRunner().invoke(cli, words)
    assert isinstance(done.exception, WenlanError)
    assert done.exception.exit_code == code
    line = str(done.exception)
    assert "entry point of wenlan_data." in line
    assert "--plugins unittest.__main__" in line
    assert not (tmp_path / "out").exists()


def test_the_path_of_a_class_leads_to_the_option_with_its_module() -> None:
    for name in ("my_rules.ExclamationMarks", "my_rules.exclamation_marks"):
        with pytest.raises(RecipeError) as raised:
            load_recipe("wenlan", [f"text.rules=[{{rule: {name}}}]"])
        module = "my_rules" if name.endswith("Marks") else name
        assert f"(--plugins {module})" in str(raised.value)


# Entry points of installed packages


def test_both_kinds_of_plug_ins_are_used_in_every_worker_and_imported_by_need(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = load_recipe("wenlan").digest()
    code = tmp_path / "code"
    write_module(code, "mine.of_json", MARK + LINES.replace("Lines", "OfJson"))
    _photos(tmp_path)
    recipe = _recipe(tmp_path)
    (tmp_path / "sources.yaml").write_text("sources: [{kind: of_json, path: images.jsonl}]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(installed)
    assert json.loads(run("recipes", "show", "wenlan", "--json").out)["digest"] == digest
    for words in (["list"], ["plugins"], ["schema"]):
        listed = run("recipes", *words)
        assert "loud-package 1.2" in listed.out, listed.err
        assert "dotted.name" not in listed.out
    assert _imported(tmp_path) == [], "nothing is imported before its name is used"

    for executor in ("local", "ray"):
        done = _run(
            "build", "--sources", "sources.yaml", "--recipe", recipe, "--out", executor,
            "--executor", executor, "--workers", 2, "--plugins", "mine.of_json", "--json",
            paths=(installed, code), folder=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["samples"] == 3
    assert content(tmp_path / "local") == content(tmp_path / "ray")
    assert _imported(tmp_path) == ["corners", "of_json", "rules"]
    rows = pq.read_table(tmp_path / "local" / "drops").to_pylist()
    assert [(row["step"], row["reason"]) for row in rows] == [("clean", "shouting")] * 3


def test_a_name_of_this_package_stays_what_it_is(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(installed)
    done = run("recipes", "show", "wenlan", "--set", "text.rules=[{rule: length, min: 3}]")
    assert "min: 3" in done.out
    assert _imported(installed) == []


BAD_ENTRY_POINTS = {
    "no_module = nowhere_to_be_found:Rule": "cannot be imported (ModuleNotFoundError",
    "no_module = bad_package.rules:Missing": "cannot be imported (AttributeError",
    "no_module = bad_package.rules:MARK": "is no dataclass",
    "no_module = bad_package.exits:Rule": "cannot be imported (SystemExit",
    "no_module = bad_package.fails:Rule": "cannot be imported (ZeroDivisionError",
    "no_module = bad_package.broken:Rule": "cannot be imported (SyntaxError",
}


@pytest.mark.parametrize(("line", "problem"), BAD_ENTRY_POINTS.items())
def test_an_entry_point_that_cannot_be_used_is_one_line(
    line: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {"exits": "raise SystemExit(0)", "fails": "1 / 0", "broken": "def"}
    modules["rules"] = f"MARK = 3\n{SHOUTING}"
    install(
        tmp_path, "bad-package", {f"bad_package.{name}": text for name, text in modules.items()},
        f"[wenlan_data.rules]\n{line}\n",
    )  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecipeError) as caught:
        load_recipe("wenlan", ["text.rules=[{rule: no_module}]"])
    assert problem in str(caught.value)
    assert "bad-package" in str(caught.value)
    for module in [one for one in sys.modules if one.startswith("bad_package")]:
        del sys.modules[module]


def test_entry_points_that_cannot_be_read_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "malformed", {}, "[wenlan_data.rules]\nno value here\n")
    monkeypatch.syspath_prepend(tmp_path)
    load_recipe("wenlan")
    with pytest.raises(RecipeError, match="entry points of an installed package cannot be read"):
        load_recipe("wenlan", ["text.rules=[{rule: shouting}]"])


def test_a_name_that_two_packages_declare_is_refused_when_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for package in ("one", "two"):
        install(tmp_path, package, {f"{package}_rules": SHOUTING},
                f"[wenlan_data.rules]\nshouting = {package}_rules:Shouting\n")  # fmt: skip
    load_recipe("wenlan")
    with pytest.raises(RecipeError, match=r"exists in one 1.2 and in two 1.2: uninstall one"):
        load_recipe("wenlan", ["text.rules=[{rule: shouting}]"])


# Modules that the operator names


def test_a_corpus_of_plug_ins_is_explained_and_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, "mine.loud", SHOUTING)
    write_module(tmp_path, "corner_boxes", CORNERS + LINES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    _photos(tmp_path)
    named = ["--plugins", "mine.loud", "--plugins", "corner_boxes"]
    out = ["--out", "out", "--executor", "local", "--json"]
    done = run("build", "lines:images.jsonl", "--recipe", _recipe(tmp_path), *out, *named)
    assert done.code == 0, done.err
    assert json.loads(done.out)["samples"] == 3
    explain = ["text", "try", "--explain", "out", "--drop", "1.jpg"]
    assert "shouting" in run(*explain, *named).out
    without = run(*explain)
    assert without.code == 4
    assert "--plugins" in without.err
    # Looks into the corpus without its rules.
    near = run("shards", "near", "out", "0.jpg")
    assert near.code == 0, near.err
    assert "shouting       mine.loud" in run("recipes", "plugins", *named).out


BAD_MODULES = {
    "nowhere": "there is no module 'nowhere'",
    "mine.nothing": "there is no module 'mine.nothing'",
    "mine/loud.py": "and no path",
    "./mine": "and no path",
    "": "and no path",
    ".mine": "and no path",
    "mine..loud": "and no path",
    "mine.loud\x1b[31m": "and no path",
    "json": "holds no plug-in",
    "needs_more": "it needs the package 'surely_not_installed'",
    "exits": "cannot be imported (SystemExit",
    "broken": "cannot be imported (SyntaxError",
    "takes_a_name": "the text rule 'length' exists already in wenlan-data",
}


@pytest.mark.parametrize(("module", "problem"), BAD_MODULES.items())
def test_a_module_that_cannot_be_used_is_named(
    module: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write_module(tmp_path, "mine.loud", SHOUTING)
    write_module(tmp_path, "needs_more", "import surely_not_installed")
    write_module(tmp_path, "exits", "raise SystemExit")
    write_module(tmp_path, "broken", "def")
    write_module(tmp_path, "takes_a_name", SHOUTING.replace("Shouting", "Length"))
    with pytest.raises(UsageError) as caught:
        plugins.use_modules([module])
    assert problem in str(caught.value)
    assert all(not plugins.plug_ins(role).get("shouting") for role in ROLES)


def test_a_module_offers_its_own_public_dataclasses_of_each_role(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    hidden = "\n\n@dataclass\nclass _Helper:\n    def __call__(self, text): return text\n"
    imported = "from wenlan_data.clean.rules.fold import Fold\n"
    write_module(tmp_path, "all_roles", imported + SHOUTING + CORNERS + LINES + hidden)
    plugins.use_modules(["all_roles"])
    own = {
        role.key: [
            name for name, one in plugins.plug_ins(role).items() if one.origin == "all_roles"
        ]
        for role in ROLES
    }  # fmt: skip
    assert own == {"rule": ["shouting"], "detector": ["corners"], "kind": ["lines"]}
    assert plugins.find(DETECTORS, "corners").__name__ == "Corners"
    assert plugins.find(SOURCES, "lines").__name__ == "Lines"
    schema = recipe_schema()
    fits = {"name": "x", "text": {"rules": [{"rule": "shouting", "max": 3}]}}
    jsonschema.validate({**fits, "detect": {"detector": "corners", "side_px": 3}}, schema)
    wrong = {"name": "x", "text": {"rules": [{"rule": "shouting", "most": 3}]}}
    assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)
    assert not jsonschema.Draft202012Validator(schema).is_valid(
        {**wrong, "text": {"rules": [{"rule": "a.b"}]}}
    )


def test_digests_do_not_depend_on_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [load_recipe(name).digest() for name in recipe_names()]
    monkeypatch.syspath_prepend(tmp_path)
    write_module(tmp_path, "loud_rules", SHOUTING)
    plugins.use_modules(["loud_rules"])
    assert [load_recipe(name).digest() for name in recipe_names()] == before
    assert "shouting" in plugins.names(RULES)
    plugins.use_modules(())
    assert "shouting" not in plugins.names(RULES)


# The example of the documentation


def test_the_package_of_the_documentation_works_when_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text("utf-8")
    [code] = re.findall(r"<<'END'\n(.*?)\n> END", page, re.DOTALL)
    [project] = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    package = tmp_path / "package"
    write_module(package, "my_rules", re.sub(r"^> ?", "", code, flags=re.MULTILINE))
    (package / "pyproject.toml").write_text(project, "utf-8")
    # As `pip install .`, but into a folder, and with the build tool that is here.
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--target", tmp_path / "installed", package],
        check=True, capture_output=True,
    )  # fmt: skip
    rules = "text.rules=[{rule: exclamation_marks, max: 7}]"
    monkeypatch.syspath_prepend(tmp_path / "installed")
    done = run("recipes", "show", "wenlan", "--set", rules)
    assert "max: 7" in done.out, done.err
