"""The roles, as Protocols; implementations are frozen dataclasses, never subclasses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from wenlan_data.part_files import FileChecksum
from wenlan_data.records import Box, Candidate, Drop, RecordedResponse, Region, Remark

if TYPE_CHECKING:
    import numpy as np

    RGBImage = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
    """uint8 (H, W, 3), upright, as stored in the JPEG: its ICC profile is not applied."""

    FindRegions = Callable[[Sequence[RGBImage]], list[list[Region]]]
    """A batch of images to the regions of each, in order."""
    BoxesToRegions = Callable[[Sequence[Box]], list[Region]]
    """The source's boxes of one image, in its pixels, to regions."""


DetailsT = TypeVar("DetailsT", covariant=True)


class Rule(Protocol):
    """A text rule: `clean/rules/<name>.py` holds one class of this role."""

    def __call__(self, text: str) -> str | Drop:
        """Returns the text, changed or not, or the reason to reject it.

        Pure; its time is linear in the length of the text.
        """


class RemarkingRule(Rule, Protocol):
    """A text rule with remarks. Most rules have none, so the method is optional."""

    def remarks(self, before: str, after: str | Drop) -> tuple[Remark, ...]:
        """Returns what to count or to publish about this rule's step from `before` to `after`.

        Pure.
        """


@runtime_checkable
class Detector(Protocol):
    """A region detector: `detect/detectors/<name>.py` holds one class of this role.

    Its regions come either from the image (`load`) or, with `from_source`, from the boxes that the
    source's record holds (`load_boxes`). Every member is implemented; none has a default.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    """It is a dataclass, whose fields are its parameters in a recipe."""

    @property
    def batch_size(self) -> int:
        """Largest number of images in one call of the loaded detector."""

    @property
    def needs_pixels(self) -> bool:
        """Whether the detector reads pixels. If not, images are not decoded for it: it gets blank
        ones of the right shape, and its regions depend on the shape alone."""

    @property
    def from_source(self) -> bool:
        """Whether its regions are the source's own boxes; such a detector needs no pixels."""

    def prepare(self) -> None:
        """Finds or downloads what `load` needs, before a build begins; called in the driver.

        Raises `RecipeError` that states what to install or to pass.
        """

    def load(self) -> FindRegions:
        """Returns the working detector, with its weights; called once in each worker.

        Regions come best score first, inside the image, without one for the whole image. With
        `from_source` there are none.
        """

    def load_boxes(self) -> BoxesToRegions:
        """Returns the function from a record's boxes, in pixels of the stored image, to regions.

        Without `from_source` there are none.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePart:
    """The piece of a source that one task reads: a range of rows, some files, a WARC."""

    source: int
    """Index of the source in the build, from 0."""
    path: str
    """Absolute path of the file (table, WARC) or folder that holds it."""
    start: int = 0
    """First row, byte or file of the part; `stop` is exclusive. The source decides the unit."""
    stop: int = 0
    group: int = 0
    """Row group, for Parquet."""
    rows: int | None = None
    """Number of rows; None if they are unknown until it is read."""
    bytes: int = 0
    """Size of the file at `path` when the part was planned; 0 for a folder.

    A file of another size is refused when the part is read.
    """
    sha256: str | None = None
    """Digest of the file when the part was planned, for a source that is known by its content: left
    empty by the source, filled in by the build. Another file is refused when the part is read.

    None for a source that is known by size and time.
    """


@runtime_checkable
class Source(Protocol):
    """Where candidates come from: `sources/<kind>.py` holds one class of this role.

    Every member is implemented; none has a default.
    """

    @property
    def name(self) -> str:
        """Name in the corpus, such as `table:urls.csv`; paths as the operator wrote them."""

    def describe(self) -> str:
        """Returns what `--dry-run` prints about the source, such as its columns; may be empty."""

    def parts(self, *, source: int, max_rows: int) -> Iterator[SourcePart]:
        """Yields the parts in source order, none with more than `max_rows` rows.

        Cheap, deterministic and streamed.

        Yields none for a source with `crawl_seeds`: its parts are what the crawl records
        (`run.crawl`).

        Raises `UsageError` if the source is missing, empty or not of this kind.
        """

    def read(self, part: SourcePart) -> Iterator[Candidate | Drop]:
        """Yields the candidates of a part in order; an unreadable row is a `Drop` in its place."""

    def images(self, part: SourcePart) -> Iterator[RecordedResponse]:
        """Yields the responses that the part holds (WARC), so that their URLs are not requested:
        images, failures and all others; none for other kinds."""

    def crawl_seeds(self) -> tuple[str, ...]:
        """Returns the URLs that a crawl starts from; empty for a source that is not crawled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Generic[DetailsT]):
    """Result of a part.

    Serialised to JSON beside the part's files and sent to the driver, so keep it small.
    """

    rows_in: int = 0
    rows_out: int = 0
    bytes_out: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    """Reason to count."""
    details: DetailsT
    """A dataclass of the step, with what later steps, the driver or the manifest need."""
    files: dict[str, FileChecksum] = field(default_factory=dict)
    """Path below the part's folder to the state of each file; empty for parts of older builds."""


@dataclass(frozen=True, slots=True)
class NoDetails:
    """Details of a step that reports counts alone."""


class Part(Protocol[DetailsT]):
    """The work of one task: a frozen, picklable value.

    Its files are a function of the value and of the files that it names; only a part that makes
    requests depends on what the servers answer.
    """

    def __call__(self, out: Path) -> Receipt[DetailsT]:
        """Writes every file of the part into the empty folder `out`."""


class Executor(Protocol):
    """Runs parts. `run/executors/` holds the implementations."""

    @property
    def workers(self) -> int:
        """Number of parts that run in parallel; it may change while a build runs."""

    def submit(self, token: str, part: Part[object], out: Path) -> None:
        """Starts `part` without blocking. The caller bounds the number in flight."""

    def next_done(self, timeout_s: float) -> tuple[str, Receipt[object] | BaseException] | None:
        """Returns the token of a finished part with its receipt or exception.

        Returns None after `timeout_s`.
        """

    def finish(self) -> None:
        """Announces that no part will follow, so that a slow shutdown may begin. Does not block."""

    def close(self) -> None:
        """Stops everything that still runs."""
