"""A source of JSON Lines with several addresses of one image in each, the best first."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.protocols import SourcePart
from wenlan_data.records import Candidate, Drop, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCopies:
    """Reads `{"urls": [...], "text": "..."}`, `rows` lines a part."""

    path: str
    rows: int = 30
    base: str = ""

    @property
    def name(self) -> str:
        """The name in the corpus."""
        return f"image_copies:{self.path}"

    def describe(self) -> str:
        """Returns nothing."""
        return ""

    def parts(self, *, source: int, max_rows: int) -> Iterator[SourcePart]:
        """Yields ranges of lines."""
        path = Path(self.base, self.path)
        count, step = len(path.read_text("utf-8").splitlines()), min(self.rows, max_rows)
        for start in range(0, count, step):
            stop = min(count, start + step)
            yield SourcePart(
                source=source, path=str(path), start=start, stop=stop, rows=stop - start
            )

    def read(self, part: SourcePart) -> Iterator[Candidate | Drop]:
        """Yields a candidate for each line."""
        for line in Path(part.path).read_text("utf-8").splitlines()[part.start : part.stop]:
            row = json.loads(line)
            yield Candidate(
                url=row["urls"][0],
                texts=(Text("caption", row["text"]),),
                source=self.name,
                fallback_urls=tuple(row["urls"][1:]),
            )

    def images(self, part: SourcePart) -> Iterator[tuple[str, int]]:
        """Yields nothing."""
        return iter(())

    def crawl_seeds(self) -> tuple[str, ...]:
        """Returns nothing."""
        return ()
