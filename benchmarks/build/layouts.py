"""Counts the true `surrounding` texts of two checkouts on the layout pages, which are not part of
this repository.

    git clone . /tmp/old && git -C /tmp/old checkout COMMIT
    python -m benchmarks.build.layouts /tmp/old . --data ../shared/data

`--data` holds the sites, in `layouts/`, and their checker, `check_layouts.py`, which grades a text:
A and R are true of the image, W is generic, X belongs to another image. Images that are no content
count as `decoy`. Prints one JSON line. The images are noise from a seed, so nothing that a model
learns from some of them helps with others; `pairing.py` trains on pages whose images show something.
"""

import argparse
import importlib.util
import json
import shutil
from collections import Counter
from pathlib import Path
from types import ModuleType

from benchmarks.build.pairing import build_pages


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("bench-out/layouts"))
    given = parser.parse_args()
    shutil.rmtree(given.work, ignore_errors=True)
    given.work.mkdir(parents=True)
    folders = sorted(path for path in (given.data / "layouts").iterdir() if path.is_dir())
    corpora = build_pages(given.work, folders, {"old": given.old, "new": given.new}, ())
    checker = _load(given.data / "check_layouts.py")
    truth = checker.Truth(json.loads((given.data / "layouts" / "TRUTH.json").read_text("utf-8")))
    found = {side: graded(checker, truth, corpus) for side, corpus in corpora.items()}
    print(json.dumps({"images": len(truth.content), **found}))


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def graded(checker: ModuleType, truth: object, corpus: Path) -> dict[str, int]:
    """Counts the `surrounding` texts of a corpus by grade."""
    found: Counter[str] = Counter()
    for sample in checker.samples(corpus):
        path = checker.path_of(sample["image_url"])
        content = truth.content_of(path)  # type: ignore[attr-defined]
        for text in sample["texts"]:
            if text["type"] == "surrounding":
                grade = truth.judge(text["text"], content) if content else "decoy"  # type: ignore[attr-defined]
                found[grade] += 1
    return dict(sorted(found.items()))


if __name__ == "__main__":
    main()
