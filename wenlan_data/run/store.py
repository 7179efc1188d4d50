"""Where a corpus is published: whole objects under their final names. A folder today, object stores later."""

import os
import shutil
from pathlib import Path
from typing import Protocol

from wenlan_data.run.ledger import sync


class Store(Protocol):
    """The role that publishing and reading go through."""

    def publish(self, source: Path, name: str) -> None:
        """Make the file `source` the object `name`, whole or not at all; again gives the same."""

    def read(self, name: str, start: int, length: int) -> bytes:
        """Bytes `start` to `start + length` of an object."""

    def names(self, prefix: str) -> list[str]:
        """The objects whose names begin with `prefix`, sorted."""


class FolderStore:
    """A corpus in a folder of this machine or of a shared file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def publish(self, source: Path, name: str) -> None:
        """Link `source` (copy it, where links cannot be made), then rename."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            # Another file system, or one without hard links: then it is a copy, flushed before it gets its name.
            shutil.copyfile(source, temporary)
            sync(temporary)
        temporary.replace(target)
        # A rename between two links of one file leaves both: so it is when a killed build had published this one.
        temporary.unlink(missing_ok=True)
        sync(target.parent)

    def read(self, name: str, start: int, length: int) -> bytes:
        """Bytes `start` to `start + length` of an object."""
        with (self.root / name).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def names(self, prefix: str) -> list[str]:
        """The objects whose names begin with `prefix`, sorted."""
        files = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(name for path in files if (name := path.relative_to(self.root).as_posix()).startswith(prefix))
