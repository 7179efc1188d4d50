"""Sources by kind, and what a plug-in of another package must implement."""

from dataclasses import dataclass

import pytest

from wenlan_data import plugins
from wenlan_data.source_config import SourceSpec


@dataclass(frozen=True)
class TestSourceSpec:
    """A third-party source that can only be read, not planned."""

    __test__ = False
    base: str = ""

    @property
    def name(self) -> str:
        """Its name in the corpus."""
        return "test:"

    def crawl_seeds(self) -> tuple[str, ...]:
        """Returns none."""
        return ()


def test_an_incomplete_source_is_refused_before_a_build_begins() -> None:
    plugins.use_modules(["tests.sources.test_source_spec"])
    with pytest.raises(ValueError, match="is not a complete source: implement name, describe"):
        SourceSpec(kind="test_source_spec")
