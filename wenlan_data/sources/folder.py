"""A folder of images with texts beside them: `cat.jpg` and `cat.txt`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from wenlan_data.errors import UsageError
from wenlan_data.files import open_regular
from wenlan_data.protocols import SourcePart
from wenlan_data.reasons import Reason
from wenlan_data.records import Candidate, Drop, Origin, RecordedResponse, Text
from wenlan_data.sources.formats.planned_file import absolute_path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".avif"})
MAX_TEXT_BYTES = 1 << 20
"""Of a sidecar; a larger file is not a caption."""
MAX_PART_ROWS = 10_000
MAX_DEPTH = 100
"""Folders inside each other; deeper ones are not entered. The whole path of a file has at most
4,096 bytes."""


@dataclass(frozen=True)
class Folder:
    """Images by extension, sorted by name in each folder, down to `MAX_DEPTH` folders.

    A link out of the folder, a linked folder, and what is named like an image and is no file are
    drops.
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
            what = "no folder" if root.exists() else "there is no such folder"
            what = "a file, no folder" if root.is_file() else what
            raise UsageError(f"{root}: {what}: give a folder of images, or table:FILE or warc:FILE")
        if not os.access(root, os.R_OK | os.X_OK):
            raise UsageError(f"{root}: the folder cannot be read: change its rights")
        return self._planned(root, source, min(MAX_PART_ROWS, max_rows))

    def read(self, part: SourcePart) -> Iterator[Candidate | Drop]:
        """Yields the part's images; one without a sidecar is a candidate without texts."""
        root = Path(part.path)
        for entry in islice(_walk(root), part.start, part.stop):
            yield self._candidate(root, entry)

    def images(self, part: SourcePart) -> Iterator[RecordedResponse]:  # noqa: ARG002
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

    def _candidate(self, root: Path, entry: "_Entry") -> Candidate | Drop:
        if not _is_unicode(entry.path):
            return Drop(Reason.BAD_URL, f"the file name {entry.path!a} is not UTF-8")
        url = str(PurePosixPath(self.path) / entry.path)
        if entry.problem:
            return replace(entry.problem, detail=f"{url}: {entry.problem.detail}")
        text = _read_text(root, entry.sidecar) if entry.sidecar else ""
        if isinstance(text, Drop):
            return replace(text, detail=f"text of {url}: {text.detail}")
        return Candidate(
            url=url,
            texts=(Text("caption", text),) if text else (),
            source=self.name,
            origin=Origin(kind="file", path=str(root / entry.path)),
        )


def file_problem(path: Path, root: Path) -> Drop | None:
    """Why a file is not read: it is not there, no regular file, or outside of the folder `root`,
    which has no links in it; None for one that may be read."""
    try:
        # Links are followed first: a link that leads to itself is still a link.
        real = os.path.realpath(path)
        if not Path(real).is_relative_to(root):
            return Drop(Reason.NOT_A_FILE, "a link out of the folder")
        if os.path.isfile(real):  # noqa: PTH113 - `Path.is_file` raises for some names
            return None
        if os.path.isdir(real):  # noqa: PTH112
            return Drop(Reason.NOT_A_FILE, "a folder")
        if os.path.lexists(real) and not os.path.islink(real):  # noqa: PTH114
            return Drop(Reason.NOT_A_FILE, "a pipe, a device or a socket")
        os.stat(real)  # noqa: PTH116 - states why there is no such file
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or "not the name of a file"
        return Drop(Reason.MISSING_FILE, detail, retryable=False)
    return None


def entries_below(root: Path) -> Iterator[Path]:
    """Yields everything below a folder, sorted by name in each folder, as far as it is read."""
    for scanned, entry in _entries(root):
        if entry:
            yield root / scanned.path / entry.name


class _Entry(NamedTuple):
    path: str
    """Relative, of an image or of what cannot be read."""
    sidecar: str = ""
    """Relative; empty if there is none."""
    problem: Drop | None = None


class _Scanned(NamedTuple):
    """A folder that was listed."""

    path: str
    """Relative to the source's folder."""
    entries: Iterator[os.DirEntry[str]]
    sidecars: dict[str, str]
    """Stem to the name of the text file."""

    @classmethod
    def of(cls, root: Path, path: str) -> "_Scanned":
        """Raises `OSError` if the folder cannot be read."""
        with os.scandir(root / path) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
        texts = [one.name for one in entries if _suffix(one.name) == ".txt"]
        return cls(path, iter(entries), {_stem(name): name for name in texts})

    def below(self, name: str) -> str:
        """Relative path of an entry."""
        return f"{self.path}/{name}" if self.path else name


def _entries(root: Path) -> Iterator[tuple[_Scanned, os.DirEntry[str] | None]]:
    """Yields each entry with its folder, subfolders in their place; None in place of the entries of
    a folder that cannot be read."""
    # A stack and not a recursion: a chain of folders would exceed the depth of calls.
    stack = [_Scanned.of(root, "")]
    while stack:
        scanned = stack[-1]
        entry = next(scanned.entries, None)
        if entry is None:
            stack.pop()
            continue
        yield scanned, entry
        if not entry.is_dir(follow_symlinks=False):
            continue
        path = scanned.below(entry.name)
        try:
            below = _Scanned.of(root, path) if len(stack) <= MAX_DEPTH else None
        except OSError:
            below = None
        if below is None:
            yield _Scanned(path, iter(()), {}), None
        else:
            stack.append(below)


def _walk(root: Path) -> Iterator[_Entry]:
    """Yields the images in order, and in their places what cannot be read."""
    try:
        yield from _images(root)
    except OSError as error:
        raise UsageError(
            f"{error.filename or root}: the folder cannot be read ({error.strerror}): "
            "change its rights"
        ) from error


def _images(root: Path) -> Iterator[_Entry]:
    real_root = Path(os.path.realpath(root))
    for scanned, entry in _entries(root):
        if entry is None:
            why = f"a folder that cannot be read, or below {MAX_DEPTH} others"
            yield _Entry(scanned.path, problem=Drop(Reason.NOT_A_FILE, why))
            continue
        path = scanned.below(entry.name)
        # `entry.is_dir()` raises for a link to itself.
        if entry.is_symlink() and os.path.isdir(root / path):  # noqa: PTH112
            # A linked folder is never entered: its images would occur twice, or the walk would not
            # end.
            yield _Entry(path, problem=Drop(Reason.NOT_A_FILE, "a link to a folder"))
        elif _suffix(entry.name) in IMAGE_SUFFIXES and not entry.is_dir(follow_symlinks=False):
            sidecar = scanned.sidecars.get(_stem(entry.name), "")
            # What is a plain file by the listing needs no look at the path, which costs more than
            # the rest.
            plain = entry.is_file(follow_symlinks=False)
            yield _Entry(
                path,
                scanned.below(sidecar) if sidecar else "",
                None if plain else file_problem(root / path, real_root),
            )


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a million files


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _read_text(root: Path, relative: str) -> str | Drop:
    path = root / relative
    try:
        if path.is_symlink() and (problem := file_problem(path, Path(os.path.realpath(root)))):
            return Drop(Reason.UNREADABLE_TEXT, problem.detail)
        with open_regular(path) as file:
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
