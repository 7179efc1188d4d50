"""A source of another package whose only page hangs the parser, found by `--plugins`."""

from collections.abc import Iterator
from dataclasses import dataclass

from wenlan_data.protocols import SourcePart
from wenlan_data.reasons import Reason
from wenlan_data.records import Candidate, Drop


@dataclass(frozen=True)
class HangingPages:
    """One part with one row, which the sandbox gave up after 7 s."""

    base: str = ""

    @property
    def name(self) -> str:
        """Its name in the corpus."""
        return "hanging_pages:"

    def describe(self) -> str:
        """Returns an empty string."""
        return ""

    def parts(self, *, source: int, max_rows: int) -> Iterator[SourcePart]:
        """Yields one part."""
        yield SourcePart(source=source, path="/pages.warc", stop=1)

    def read(self, part: SourcePart) -> Iterator[Candidate | Drop]:
        """Yields what `sandbox.pages.read_page` yields for such a page."""
        yield Drop(Reason.DECODER_TIMEOUT, "7 s")

    def images(self, part: SourcePart) -> Iterator[tuple[str, int]]:
        """Yields none."""
        return iter(())

    def crawl_seeds(self) -> tuple[str, ...]:
        """Returns none."""
        return ()
