"""Packages of other people with plug-ins: a real folder of installed packages, and modules."""

import os
import sys
from pathlib import Path

SHOUTING = '''\
"""Rejects texts that shout."""

from dataclasses import dataclass

from wenlan_data.records import Drop


@dataclass(frozen=True, slots=True)
class Shouting:
    """Rejects texts with more than `max` exclamation marks."""

    max: int = 3
    """Allowed marks."""

    def __call__(self, text: str) -> str | Drop:
        """Returns the text unchanged, or `shouting`."""
        return Drop("shouting") if text.count("！") > self.max else text
'''

CORNERS = '''\
from dataclasses import dataclass
from typing import ClassVar

from wenlan_data.records import Region


@dataclass(frozen=True)
class Corners:
    """One box in the upper left corner."""

    side_px: int = 40
    batch_size: ClassVar[int] = 8
    needs_pixels: ClassVar[bool] = False
    from_source: ClassVar[bool] = False

    def prepare(self) -> None: ...

    def load(self):
        return lambda images: [
            [Region(box_xyxy=(0, 0, self.side_px, self.side_px), label="corner", score=0.5)]
            for _ in images
        ]

    def load_boxes(self):
        return lambda boxes: []
'''

LINES = '''\
import json
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.protocols import SourcePart
from wenlan_data.records import Candidate, Origin, Text


@dataclass(frozen=True)
class Lines:
    """A line of JSON for each image."""

    path: str
    base: str = ""

    @property
    def name(self) -> str:
        return f"lines:{self.path}"

    def describe(self) -> str:
        return ""

    def parts(self, *, source, max_rows):
        path = Path(self.base, self.path).absolute()
        count = len(path.read_text("utf-8").splitlines())
        yield SourcePart(source=source, path=str(path), stop=count, rows=count)

    def read(self, part):
        for line in Path(part.path).read_text("utf-8").splitlines():
            value = json.loads(line)
            yield Candidate(
                url=value["image"],
                texts=(Text("caption", value["text"]),),
                source=self.name,
                origin=Origin(kind="file", path=str(Path(part.path).parent / value["image"])),
            )

    def images(self, part):
        return iter(())

    def crawl_seeds(self):
        return ()
'''


def write_module(folder: Path, name: str, text: str) -> None:
    """Writes a module, in packages where its name has dots."""
    *packages, last = name.split(".")
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        folder = folder / package
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
    (folder / f"{last}.py").write_text(text, "utf-8")


def install(folder: Path, package: str, modules: dict[str, str], entry_points: str) -> None:
    """Installs a package into `folder` as pip does: modules, and a dist-info with entry points."""
    for name, text in modules.items():
        write_module(folder, name, text)
    info = folder / f"{package.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(entry_points, "utf-8")


def environment(*folders: Path) -> dict[str, str]:
    """Returns the environment of a process in which the packages of `folders` can be imported."""
    paths = [*map(str, folders), str(Path(__file__).parents[1])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


COMMAND = [sys.executable, "-m", "wenlan_data"]
