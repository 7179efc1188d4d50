"""The rules that keep the tree easy to walk, checked."""

import ast
import json
import re
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path

import click
import pytest

from wenlan_data import plugins
from wenlan_data.cli.main import cli

PACKAGE = Path(__file__).parent.parent / "wenlan_data"
FILES = sorted(PACKAGE.rglob("*.py"))
BENCHMARKS = sorted((PACKAGE.parent / "benchmarks").rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "common", "helpers", "base", "misc"}
OPTIONS = {
    "build": [
        "--contact", "--dry-run", "--executor", "--from", "--from-work", "--generation-rows", "--json", "--limit",
        "--max-failed-share", "--offline", "--out", "--plugins", "--ray", "--recipe",
        "--retry-failed", "--set", "--sources", "--work", "--worker-timeout", "--workers",
    ],
    "detect": [
        "--detector", "--device", "--json", "--max-side-px", "--out", "--plugins", "--set",
        "--weights",
    ],
    "eval embed": ["--checkpoint", "--json", "--out", "--regions", "--shards", "--workers"],
    "eval retrieval": [
        "--checkpoint", "--equal-texts", "--json", "--shards", "--texts", "--workers",
    ],
    "extract": [
        "--allow", "--contact", "--html", "--json", "--out", "--plugins", "--recipe", "--set",
        "--url",
    ],
    "gc": ["--dry-run", "--json", "--warcs", "--work"],
    "load bench": [
        "--augment", "--batch-size", "--decoder", "--device", "--json", "--seconds", "--size-px", "--tokenizer",
        "--workers",
    ],
    "recipes list": ["--json", "--plugins"],
    "recipes plugins": ["--json", "--plugins"],
    "recipes schema": ["--plugins"],
    "recipes show": ["--json", "--plugins", "--set"],
    "shards extract": ["--json", "--limit", "--out"],
    "shards html": ["--json", "--out", "--work"],
    "shards index": ["--json"],
    "shards near": ["--json", "--radius"],
    "shards ls": ["--json", "--samples"],
    "shards show": ["--json", "--number"],
    "shards stat": ["--json"],
    "shards verify": ["--json"],
    "text try": ["--drop", "--explain", "--json", "--jsonl", "--plugins", "--set"],
    "train": [
        "--batch-size", "--changed-corpus", "--config", "--dry-run", "--grown-corpus", "--init", "--json",
        "--max-failures", "--max-steps", "--nproc", "--out", "--ray", "--resume", "--save-every",
        "--set", "--shards", "--val-shards", "--workers",
    ],
}  # fmt: skip


PERMITTED_IMPORTS = {
    "printable": "",
    "errors": "printable",
    "reasons": "",
    "layout": "",
    "files": "errors",
    "folder_lock": "errors files",
    "state_files": "errors files",
    "part_files": "errors layout state_files",
    "bounded_json": "",
    "tables": "",
    "records": "reasons",
    "__init__": "records",
    "npy": "errors part_files",
    "arrow": "errors npy part_files",
    "parquet_pages": "",
    "bounded_tables": "errors files parquet_pages records",
    "seen_ids": "errors npy records",
    "protocols": "records part_files",
    "processes": "",
    "stop_signals": "errors processes",
    "bytecode": "",
    "settings": "bounded_json errors files",
    "plugins": "errors",
    "web": "errors files reasons records",
    "image": "errors reasons records",
    "clean": "errors files reasons records protocols",
    "detect": "errors files npy printable records image plugins protocols",
    "source_config": "errors plugins protocols settings web",
    "index": "errors npy",
    "recipe": "errors records image plugins protocols settings detect",
    "plan": "recipe",
    "schema": "plugins recipe",
    "extract": (
        "arrow errors layout part_files reasons records seen_ids tables protocols web clean "
        "source_config recipe"
    ),
    "sandbox": "errors reasons records image web extract",
    "fetch": (
        "arrow errors files layout npy part_files reasons records tables image protocols web index "
        "recipe sandbox"
    ),
    "crawl": (
        "arrow errors layout npy reasons records seen_ids tables protocols web extract sandbox "
        "fetch part_files"
    ),
    "shard": (
        "arrow bounded_json bounded_tables errors files layout npy part_files reasons records "
        "seen_ids tables image protocols clean detect recipe extract sandbox fetch"
    ),
    "sources": (
        "errors files layout parquet_pages part_files reasons records tables protocols web extract "
        "sandbox crawl"
    ),
    "dedupe": (
        "arrow bounded_tables errors files layout npy part_files reasons records tables image "
        "protocols web index source_config recipe sandbox shard"
    ),
    "report": (
        "bounded_tables errors files layout reasons records tables image settings web clean detect "
        "recipe extract sandbox shard dedupe"
    ),
    "load": "bounded_json errors files layout npy printable reasons records image clean shard",
    "testing": "layout records shard",
    "model": "bounded_json errors files plugins settings shard load",
    "run": (
        "arrow errors files layout npy part_files printable processes reasons records seen_ids "
        "state_files stop_signals image plugins protocols web source_config recipe plan extract "
        "sandbox fetch crawl shard dedupe report sources"
    ),
    "eval": "errors files shard load model",
    "train": (
        "bounded_json bounded_tables errors files folder_lock layout npy plugins printable "
        "stop_signals shard load model run eval"
    ),
    "demo": "errors files folder_lock records model run train",
    "cli": (
        "bounded_json bytecode errors files folder_lock layout plugins printable reasons records stop_signals settings "
        "web clean detect recipe plan schema extract sandbox shard dedupe load report model run "
        "eval train demo"
    ),
    "__main__": "bytecode errors printable stop_signals cli",
}
"""Package or top-level module to those that it may import, lowest first. A new arrow is a decision:
it goes into this table together with the code that needs it, and points to a row above its own."""

PLUG_INS = {"clean/rules", "detect/detectors", "sources", "train/objectives"}
"""Folders whose files hold a class that is found by the name of the file."""

HOUSE_WORDS = {
    "about": "constraints", "anew": "again", "answer": "response", "asked": "requested, fetched",
    "asks": "requests", "beyond": "constraints", "crowd": "dense bucket", "damaged": "corrupt",
    "dialled": "blocked by the address policy", "doomed": "rejected", "fate": "decision",
    "gone": "resumed", "intake": "candidate table", "judge": "check", "judged": "checked",
    "keeper": "recorder", "likeness": "similarity", "manners": "politeness",
    "material": "report data", "obey": "apply", "picture": "image", "prints": "signatures",
    "reckoned": "estimated", "reply": "response", "said": "reported, stated", "say": "report, state",
    "saying": "MinHash, near text", "says": "reports, states", "slice": "fetch list",
    "supply": "origin", "told": "reported, logged", "turn": "host state", "unsound": "corrupt",
    "vain": "failed", "verdict": "decision", "world": "distributed",
}  # fmt: skip
"""Words that no name holds, also in the plural, and the term of the field to use in their place."""

WORDS_IN_CONTRACTS = {
    "wenlan_data/reasons.py: NOT_ASKED": "drop reason `not_asked`",
    "wenlan_data/extract/image_urls.py: _picture_element_srcsets": "HTML element `picture`",
    "world_size": "term of torch.distributed",
    "wenlan_data/run/estimate.py: bytes_per_picture": "key of `build --dry-run --json`",
    "wenlan_data/sources/brivl.py: pictures": "parameter of the source",
    "wenlan_data/extract/candidate_tables.py: supply": "column of the work folder's tables",
}
"""Names that keep such a word, in one file or in all, and why."""


PRIVATE_ATTRIBUTES = {
    "web.connector: _factory": "aiohttp has no public way to use another protocol class; its version "
    "is bounded in pyproject.toml",
    "train.frozen_cache: _version": "torch has no public name for the number of writes to a tensor",
}
"""Private attributes of dependencies that are used, and why."""


def _module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def _trees() -> dict[str, ast.Module]:
    return {_module(path): ast.parse(path.read_text("utf-8")) for path in FILES}


def _own_imports(tree: ast.Module, modules: set[str]) -> set[str]:
    """Modules of the package that a file imports, at its top, in functions or for types only."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wenlan_data"):
            base = (node.module or "").removeprefix("wenlan_data").lstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                found.add(inner if inner in modules else base)
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names if alias.name.startswith("wenlan_data."))
            found |= {name.removeprefix("wenlan_data.") for name in names}
    return found - {""}


def _graph() -> dict[str, set[str]]:
    trees = _trees()
    return {name: _own_imports(tree, set(trees)) for name, tree in trees.items()}


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """Nodes that import each other, directly or around corners; empty where imports go one way."""
    left = {node: {other for other in others if other != node} for node, others in graph.items()}
    while leaves := [node for node, others in left.items() if not others & left.keys()]:
        for node in leaves:
            del left[node]
    return sorted(left)


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


def _names(tree: ast.Module) -> set[str]:
    """Every name that a file defines: classes, functions, parameters, variables, attributes,
    aliases."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.arg():
                found.add(node.arg)
            case ast.Name(ctx=ast.Store()):
                found.add(node.id)
            case ast.Attribute(ctx=ast.Store()):
                found.add(node.attr)
            case ast.alias(asname=str(name)):
                found.add(name)
    return found


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def _house_words(name: str) -> dict[str, str]:
    """Returns the house words in a name, and what to use in their place."""
    singular = {word.removesuffix("s") for word in _words(name)} | _words(name)
    return {word: HOUSE_WORDS[word] for word in singular & HOUSE_WORDS.keys()}


def test_imports_between_packages_are_those_permitted() -> None:
    arrows: dict[str, set[str]] = {}
    for name, others in _graph().items():
        package = name.partition(".")[0]
        arrows.setdefault(package, set()).update(other.partition(".")[0] for other in others)
    permitted = {package: set(others.split()) for package, others in PERMITTED_IMPORTS.items()}
    assert {
        package: others - {package} for package, others in arrows.items() if package
    } == permitted


def test_packages_import_from_above_their_row_only() -> None:
    """So that no packages import each other in a circle."""
    above = set[str]()
    for package, others in PERMITTED_IMPORTS.items():
        assert set(others.split()) <= above, package
        above.add(package)


def test_no_files_import_each_other_in_a_circle() -> None:
    assert _circle(_graph()) == []


def test_no_class_name_is_used_twice() -> None:
    places: dict[str, list[str]] = {}
    for path in FILES:
        folder = path.relative_to(PACKAGE).parent.as_posix()
        plug_in = path.stem.title().replace("_", "") if folder in PLUG_INS else ""
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name != plug_in:
                places.setdefault(node.name, []).append(_module(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def _reason_literals(tree: ast.Module) -> list[int]:
    """Lines of calls such as `Drop("word")`, `records.Drop("word")` and `Drop(reason="word")`."""
    lines = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
        if called == "Drop" or (isinstance(called, ast.Name) and called.id == "Drop"):
            given = [*node.args[:1], *(one.value for one in node.keywords if one.arg == "reason")]
            lines += [node.lineno for one in given if isinstance(one, ast.Constant | ast.JoinedStr)]
    return lines


def test_every_drop_has_a_reason_of_the_enumeration() -> None:
    assert {
        name: found for name, tree in _trees().items() if (found := _reason_literals(tree))
    } == {}


def test_a_literal_reason_is_found_however_it_is_passed() -> None:
    written = 'Drop("a")\nrecords.Drop("b")\nDrop(reason="c")\nDrop(Reason.EMPTY, "d")\n'
    assert _reason_literals(ast.parse(written)) == [1, 2, 3]


def test_names_are_the_terms_of_the_field() -> None:
    found = {
        (path.relative_to(PACKAGE.parent).as_posix(), name)
        for path in [*FILES, *BENCHMARKS]
        for name in _names(ast.parse(path.read_text("utf-8"))) | {path.stem, path.parent.name}
        if _house_words(name)
    }
    needed = {
        key
        for path, name in found
        for key in (name, f"{path}: {name}")
        if key in WORDS_IN_CONTRACTS
    }
    wrong = {
        f"{path}: {name}": _house_words(name)
        for path, name in sorted(found)
        if not {name, f"{path}: {name}"} & needed
    }
    assert wrong == {}
    assert WORDS_IN_CONTRACTS.keys() == needed, "an exception that no name needs any more"


def test_casts_ignored_types_and_long_lines_stay_few() -> None:
    lines = [line for path in FILES for line in path.read_text("utf-8").splitlines()]
    assert sum(bool(re.search(r"\bcast\(", line)) for line in lines) < 50
    assert sum("type: ignore" in line for line in lines) < 20
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    ).stdout.split()
    # Where git is missing (a source archive), the package alone is counted.
    paths = [PACKAGE.parent / name for name in tracked] or FILES
    long = [
        path for path in paths for line in path.read_text("utf-8").splitlines() if len(line) > 100
    ]
    assert len(long) < 300


def test_no_private_module_of_a_dependency_is_imported() -> None:
    private = {
        f"{_module(path)}: {name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if any(part.startswith("_") and part != "__future__" for part in name.split("."))
    }
    assert private == set()


def test_ray_is_imported_by_the_executor_and_by_training_only() -> None:
    assert _where("ray") == {"run/executors/ray.py", "train/ray_launch.py"}


def test_torch_is_imported_by_loading_training_and_evaluation_only() -> None:
    packages = {"load", "model", "train", "eval"}
    elsewhere = {name for name in _where("torch") if name.split("/")[0] not in packages}
    assert elsewhere == {"detect/detectors/faster_rcnn.py"}


def test_aiohttp_is_imported_by_the_web_package_only() -> None:
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


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not {path.stem for path in FILES} & FORBIDDEN_NAMES


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["build", "--help"],
        ["extract", "--help"],
        ["load", "--help"],
        ["shards", "--help"],
    ],
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


def test_every_plug_in_folder_holds_plug_ins_only() -> None:
    """Its modules are offered to the user as names, so each must be one."""
    for role in plugins.ROLES:
        for name in plugins.names(role):
            assert is_dataclass(plugins.find(role, name)), f"{role.package}.{name}"


def _prints(tree: ast.Module) -> set[str]:
    """Names of functions that print or log, as they are called."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name == "print" or name.endswith(
            ("click.echo", "click.secho", "console.print", "stderr.write", "stdout.write")
        ) or re.fullmatch(r"(logging|_?LOG(GER)?|log(ger)?)\.\w+|warnings\.warn", name):  # fmt: skip
            found.add(name)
    return found


PRINTING = {
    "__main__": {"print"},
    "cli.terminal": {"click.echo"},
    "cli.extract": {"console.print"},
    "cli.failures": {"print"},
    "errors": {"sys.stderr.write"},
    "detect.weights": {"console.print"},
    "load.loader": {"logging.getLogger", "_LOG.info"},
    "run.progress": {"self._progress.console.print"},
    "sources.formats.parquet_check": {"sys.stdout.write"},  # into a pipe, to the build
    "train.run_log": {"self._progress.console.print"},
}
"""Modules that write to a terminal or a log themselves: each escapes what it writes."""


def test_what_is_printed_passes_the_modules_that_escape_it() -> None:
    found = {name: used for name, tree in _trees().items() if (used := _prints(tree))}
    assert found == PRINTING


def _foreign_private_attributes(tree: ast.Module) -> set[str]:
    """Private attributes of other objects than `self` that the file does not define itself."""
    foreign, own = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.Attribute) and re.fullmatch(r"_[^_].*[^_]", node.attr):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            # `os._exit` and the `_value_` of an enumeration are public in spite of their names.
            if owner in {"self", "cls"}:
                own.add(node.attr)
            elif owner != "os":
                foreign.add(node.attr)
    return foreign - own


def test_private_attributes_of_dependencies_are_those_that_have_no_public_name() -> None:
    used = {
        f"{module}: {name}"
        for module, tree in _trees().items()
        for name in _foreign_private_attributes(tree)
    }
    assert used == PRIVATE_ATTRIBUTES.keys()
