"""A folder of images with texts beside them: `cat.jpg` and `cat.txt`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from wenlan_data.errors import UsageError
from wenlan_data.protocols import SourcePart
from wenlan_data.reasons import Reason
from wenlan_data.records import Candidate, Drop, Origin, Text
from wenlan_data.sources.formats.planned_file import absolute_path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".avif"})
MAX_TEXT_BYTES = 1 << 20
"""Of a sidecar; a larger file is not a caption."""
MAX_PART_ROWS = 10_000


@dataclass(frozen=True)
class Folder:
    """Images by extension, at any depth, sorted by name in each folder.

    Links out of the folder are ignored.
    """

    path: str
    """As the operator wrote it; the images' paths in the corpus start with it."""
    base: str = ""
    """Folder that a relative path starts from."""

    @property
    def name(self) -> str:
        """`folder:` and the path as written."""
        return f"folder:{self.path}"

    def describe(self) -> str:
        """Returns an empty string: `name` describes the source."""
        return ""

    def crawl_seeds(self) -> tuple[str, ...]:
        """Returns none: nothing is crawled."""
        return ()

    def parts(self, *, source: int, max_rows: int) -> Iterator[SourcePart]:
        """Yields ranges of the images in walking order.

        Raises `UsageError` if there is no folder or no image.
        """
        root = absolute_path(self.base, self.path)
        if not root.is_dir():
            what = "a file, no folder" if root.exists() else "there is no such folder"
            raise UsageError(f"{root}: {what}: give a folder of images, or table:FILE or warc:FILE")
        if not os.access(root, os.R_OK | os.X_OK):
            raise UsageError(f"{root}: the folder cannot be read: change its rights")
        return self._planned(root, source, min(MAX_PART_ROWS, max_rows))

    def read(self, part: SourcePart) -> Iterator[Candidate | Drop]:
        """Yields the part's images; one without a sidecar is a candidate without texts."""
        root = Path(part.path)
        for relative, sidecar in islice(_walk(root), part.start, part.stop):
            yield self._candidate(root, relative, sidecar)

    def images(self, part: SourcePart) -> Iterator[tuple[str, int]]:  # noqa: ARG002
        """Yields nothing: each candidate has its origin."""
        return iter(())

    def _planned(self, root: Path, source: int, max_rows: int) -> Iterator[SourcePart]:
        start, images = 0, _walk(root)
        while rows := sum(1 for _ in islice(images, max_rows)):
            yield SourcePart(
                source=source, path=str(root), start=start, stop=start + rows, rows=rows
            )
            start += rows
        if not start:
            wanted = " ".join(sorted(IMAGE_SUFFIXES))
            raise UsageError(
                f"{root}: there is no image in this folder: files named {wanted} are read"
            )

    def _candidate(self, root: Path, relative: str, sidecar: str) -> Candidate | Drop:
        if not _is_unicode(relative):
            return Drop(Reason.BAD_URL, f"the file name {relative!a} is not UTF-8")
        url = str(PurePosixPath(self.path) / relative)
        text = _read_text(root / sidecar) if sidecar else ""
        if isinstance(text, Drop):
            return replace(text, detail=f"text of {url}: {text.detail}")
        return Candidate(
            url=url,
            texts=(Text("caption", text),) if text else (),
            source=self.name,
            origin=Origin(kind="file", path=str(root / relative)),
        )


def _walk(root: Path, subfolder: str = "") -> Iterator[tuple[str, str]]:
    """Yields the relative paths of each image and of its sidecar (empty: none)."""
    try:
        with os.scandir(root / subfolder) as entries:
            found = sorted((entry.name, _kind(entry, root)) for entry in entries)
    except PermissionError as error:
        raise UsageError(
            f"{root / subfolder}: the folder cannot be read: change its rights"
        ) from error
    prefix = f"{subfolder}/" if subfolder else ""
    sidecars = {_stem(name): name for name, kind in found if kind == "text"}
    for name, kind in found:
        if kind == "folder":
            yield from _walk(root, prefix + name)
        elif kind == "image":
            sidecar = sidecars.get(_stem(name), "")
            yield prefix + name, prefix + sidecar if sidecar else ""


def _kind(entry: os.DirEntry[str], root: Path) -> str:
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    # A linked folder is never entered: its images would occur twice, or the walk would not end.
    if not entry.is_file() or (
        entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root.resolve())
    ):
        return ""
    suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - no Path object for each of a million files
    return "image" if suffix in IMAGE_SUFFIXES else "text" if suffix == ".txt" else ""


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _read_text(path: Path) -> str | Drop:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        return Drop(Reason.UNREADABLE_TEXT, error.strerror or "")
    if len(raw) > MAX_TEXT_BYTES:
        return Drop(Reason.BAD_TEXT, f"the text file is larger than {MAX_TEXT_BYTES} bytes")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding).strip()
        except UnicodeDecodeError:
            continue
    return Drop(Reason.BAD_ENCODING, "neither UTF-8 nor GB18030")


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
