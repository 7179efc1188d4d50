"""BriVL's records: JSON Lines of `image_id`, `sentences` and `bbox`, and image files."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wenlan_data.errors import UsageError
from wenlan_data.protocols import SourcePart
from wenlan_data.reasons import Reason
from wenlan_data.records import Box, Candidate, Drop, Origin, RecordedResponse, Text
from wenlan_data.sources.folder import file_problem
from wenlan_data.sources.formats.delimited import next_json_line, ranges, read_range
from wenlan_data.sources.formats.json_lines import json_object
from wenlan_data.sources.formats.planned_file import absolute_path, planned_file

BRIVL_TEXT_TYPES = {
    "alt_text": "alt",
    "sur_text": "surrounding",
    "caption": "caption",
    "title": "title",
}
"""BriVL's text type to the type of this package."""
DERIVED_TYPES = frozenset({"easy", "first"})
MAX_BOXES = 1000
"""Of one image; the released records have 100."""
MAX_PART_ROWS = 10_000
_MAX_COORDINATE_PX = 32_767
"""`tables.BOXES` holds 16-bit numbers."""


@dataclass(frozen=True)
class Brivl:
    """One image a line.

    The detector `boxes` uses its boxes [x1, y1, x2, y2], in pixels of the image.
    """

    path: str
    """The JSON Lines file, as the operator wrote it."""
    pictures: str = ""
    """Folder of the images; empty: that of the file. An `image_id` is looked up as a path, then by
    its last part."""
    base: str = ""
    """Folder that relative paths start from."""

    @property
    def name(self) -> str:
        """`brivl:` and the path as written."""
        return f"brivl:{self.path}"

    def describe(self) -> str:
        """Returns an empty string: `name` describes the source."""
        return ""

    def crawl_seeds(self) -> tuple[str, ...]:
        """Returns none: nothing is crawled."""
        return ()

    def parts(self, *, source: int, max_rows: int) -> Iterator[SourcePart]:
        """Yields ranges of lines in file order.

        Raises `UsageError` for a missing or empty file or folder.
        """
        file, _ = self._paths()
        size_bytes, found = file.stat().st_size, False
        for start, stop, rows in ranges(file, 0, next_json_line, min(MAX_PART_ROWS, max_rows)):
            found = True
            yield SourcePart(
                source=source, path=str(file), start=start, stop=stop, rows=rows, bytes=size_bytes
            )
        if not found:
            raise UsageError(
                f"{file}: holds no line of JSON: give BriVL's records, one object a line"
            )

    def read(self, part: SourcePart) -> Iterator[Candidate | Drop]:
        """Yields the part's records.

        Raises `UsageError` if the size of the file is not that of the plan.
        """
        _, folder = self._paths()
        for line in read_range(planned_file(part), part.start, part.stop, next_json_line):
            yield self._candidate(line, folder)

    def images(self, part: SourcePart) -> Iterator[RecordedResponse]:  # noqa: ARG002
        """Yields nothing: each candidate has its origin."""
        return iter(())

    def _paths(self) -> tuple[Path, Path]:
        file = absolute_path(self.base, self.path)
        if not file.is_file():
            what = "not a regular file" if file.exists() else "there is no such file"
            raise UsageError(f"{file}: {what}: give BriVL's records as JSON Lines")
        folder = file.parent
        if self.pictures:
            folder = absolute_path(self.base, self.pictures)
        if not folder.is_dir():
            raise UsageError(
                f"{folder}: there is no such folder: set pictures: FOLDER in a sources file"
            )
        return file, folder

    def _candidate(self, line: list[str] | bytes | Drop, folder: Path) -> Candidate | Drop:
        record = _record(line)
        if isinstance(record, Drop):
            return record
        name = str(record.get("image_id") or "")
        texts = _texts(record)
        if isinstance(texts, Drop):
            return texts
        boxes = _boxes(record.get("bbox"))
        if isinstance(boxes, Drop):
            return boxes
        if not name:
            return Drop(Reason.BAD_ROW, "no image_id")
        inside = _path_inside(folder, name)
        if isinstance(inside, Drop):
            return inside
        return Candidate(
            url=str(PurePosixPath(self.pictures or PurePosixPath(self.path).parent) / inside),
            texts=texts,
            source=self.name,
            origin=Origin(kind="file", path=str(folder / inside)),
            boxes=boxes,
        )


def _record(line: list[str] | bytes | Drop) -> dict[str, object] | Drop:
    if not isinstance(line, bytes):
        return line if isinstance(line, Drop) else Drop(Reason.BAD_ROW, "not a line of JSON")
    return json_object(line)


def _texts(record: dict[str, object]) -> tuple[Text, ...] | Drop:
    listed = record.get("sentences", record.get("captions"))
    if not isinstance(listed, list):
        return Drop(Reason.BAD_ROW, "no list of sentences")
    found = []
    for one in listed:
        kind, text = one if isinstance(one, list) and len(one) == 2 else ("caption", one)
        if not isinstance(text, str) or not isinstance(kind, str):
            return Drop(Reason.BAD_ROW, "a sentence is no pair of type and text")
        # They are made from `sur_text`, so this package makes them again (`variants`).
        if kind not in DERIVED_TYPES and text.strip():
            found.append(Text(BRIVL_TEXT_TYPES.get(kind, "caption"), text.strip()))
    return tuple(found)


def _boxes(listed: object) -> tuple[Box, ...] | Drop:
    if listed is None:
        return ()
    wrong = Drop(Reason.BAD_ROW, "bbox is no list of boxes [x1, y1, x2, y2]")
    if not isinstance(listed, list) or len(listed) > MAX_BOXES:
        return wrong
    found = []
    for one in listed:
        if not (
            isinstance(one, list)
            and len(one) == 4
            and all(type(side) in {int, float} for side in one)
        ):
            return wrong
        if not all(0 <= side <= _MAX_COORDINATE_PX for side in one):
            return wrong
        x1, y1, x2, y2 = (round(side) for side in one)
        found.append((x1, y1, x2, y2))
    return tuple(found)


def _path_inside(folder: Path, name: str) -> str | Drop:
    """Returns the image's path relative to the folder, or why it has none; never outside of it,
    whatever `image_id` is."""
    whole = PurePosixPath(name)
    is_inside = not whole.is_absolute() and ".." not in whole.parts
    root = Path(os.path.realpath(folder))
    if is_inside and not file_problem(folder / whole, root):
        return str(whole)
    if not whole.name or whole.name == "..":
        return Drop(Reason.MISSING_FILE, f"{name[:200]}: not the name of a file", retryable=False)
    # A file that is not there (yet) is left to the fetch step, which `--retry-failed` repeats.
    problem = file_problem(folder / whole.name, root)
    if problem and (problem.reason != Reason.MISSING_FILE or not _may_exist(folder / whole.name)):
        return Drop(problem.reason, f"{name[:200]}: {problem.detail}", retryable=False)
    return whole.name


def _may_exist(path: Path) -> bool:
    """Whether a file could have this name: not longer than 255 bytes, no NUL, no link to itself."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False
