"""Files that finished generations recorded, found by their plans and receipts and not by what is
still there: a lost one is an error, not a smaller corpus."""

from pathlib import Path
from typing import Any

from wenlan_data.errors import DamageError
from wenlan_data.layout import FETCH_RESULTS, IMAGE_WARC, RECEIPT, StepTree
from wenlan_data.part_files import redo_part
from wenlan_data.state_files import load_json

_LOST = "restore it from a copy of the work folder, or build from the sources into a new --out"


def extract_files(tree: StepTree, generation: int, parts: int, name: str) -> list[Path]:
    """Returns the file `name` of each of the `parts` extract parts of a generation, in order.

    Raises `DamageError` where a part or its file is missing.
    """
    return [_recorded(tree.part(generation, "extract", number), name) for number in range(parts)]


def fetch_folders(tree: StepTree, generation: int) -> list[Path]:
    """Returns the folders of the fetch parts of a generation, in order.

    Raises `DamageError` where a part, its results or its recorded responses are missing.
    """
    folder = tree.part(generation, "slice", 0)
    details = _receipt(folder).get("details")
    # Older builds named the list `slices`.
    lists = details.get("fetch_lists", details.get("slices")) if isinstance(details, dict) else None
    if not isinstance(lists, list):
        raise DamageError(f"{folder / RECEIPT}: lists no fetch lists: {_LOST}")
    folders = [tree.part(generation, "fetch", number) for number in range(len(lists))]
    for one in folders:
        _recorded(one, FETCH_RESULTS)
        _recorded(one, IMAGE_WARC)
    return folders


def _recorded(folder: Path, name: str) -> Path:
    _receipt(folder)
    path = folder / name
    if not path.is_file():
        cause = " (`gc --warcs` removes such files)" if name == IMAGE_WARC else ""
        raise DamageError(f"{path}: is missing{cause}: {_LOST}")
    return path


def _receipt(folder: Path) -> dict[str, Any]:
    value = load_json(folder / RECEIPT, redo_part(folder))
    if not isinstance(value, dict):
        raise DamageError(f"{folder / RECEIPT}: this receipt of a part is missing: {_LOST}")
    return value
