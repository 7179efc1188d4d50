"""Files that finished generations recorded, found by their plans and receipts and not by what is
still there: a lost one is an error, not a smaller corpus."""

from itertools import count
from pathlib import Path
from typing import Any

from wenlan_data.errors import DamageError
from wenlan_data.layout import FETCH_RESULTS, IMAGE_WARC, RECEIPT, StepTree
from wenlan_data.part_files import load_receipt

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
    folders: list[Path] = []
    for number in count():
        lists = _list_count(tree.part(generation, "slice", number))
        last = [tree.part(generation, "fetch", len(folders) + one) for one in range(lists)]
        for one in last:
            _recorded(one, FETCH_RESULTS)
            _recorded(one, IMAGE_WARC)
        folders += last
        # What a pass leaves, such as redirects into other hosts, is fetched in the next one.
        if not any(_details(one).get("later") for one in last):
            break
    return folders


def _list_count(folder: Path) -> int:
    """Returns the number of fetch lists that a pass was cut into."""
    details = _details(folder)
    # Older builds named the list `slices`.
    lists = details.get("fetch_lists", details.get("slices"))
    if not isinstance(lists, list):
        raise DamageError(f"{folder / RECEIPT}: lists no fetch lists: {_LOST}")
    return len(lists)


def _details(folder: Path) -> dict[str, Any]:
    details = _receipt(folder).get("details")
    return details if isinstance(details, dict) else {}


def _recorded(folder: Path, name: str) -> Path:
    _receipt(folder)
    path = folder / name
    if not path.is_file():
        cause = " (`gc --warcs` removes such files)" if name == IMAGE_WARC else ""
        raise DamageError(f"{path}: is missing{cause}: {_LOST}")
    return path


def _receipt(folder: Path) -> dict[str, Any]:
    value = load_receipt(folder)
    if value is None:
        raise DamageError(f"{folder / RECEIPT}: this receipt of a part is missing: {_LOST}")
    return value
