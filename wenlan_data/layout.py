"""Names and paths of a corpus folder and of its work folder that several packages know.

    CORPUS/manifest.json                        written last; names all that follows
    CORPUS/shards/wenlan-000000.tar             and wenlan-000000.offsets.parquet beside it
    CORPUS/metadata/000000.parquet              one a shard
    CORPUS/drops/000000.parquet                 one a generation
    CORPUS/report/index.html
    CORPUS/.build-id                            id that WORK holds too; locked by a build

    WORK/lock                                   held by the build that runs
    WORK/build.json  read.json  limit.json      what the driver must remember between runs
    WORK/attempts/<attempt>/                    where a task writes; nobody reads it
    WORK/generations/000003/plan.json
    WORK/generations/000003/<step>/00017/       a committed part: its files and receipt.json
    WORK/crawls/<crawl>/000003/<step>/00017/    the same for a round of a crawl
    WORK/digests.json                           digests of WARC sources: hashed once
    WORK/indexes/                               image indexes of WARC files without a new page

WORK is CORPUS/.work unless `--work` names another folder. Only CORPUS is a contract
(`shards/README.md`); names below WORK may change with the version of the step that writes them.
Paths that files of WORK hold are relative where they lead into it, so that it may be moved.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

MANIFEST = "manifest.json"
SHARDS, METADATA, DROPS, REPORT = "shards", "metadata", "drops", "report"
WORK = ".work"
BUILD_ID = ".build-id"

# Files of a committed part, by the step that writes them.
RECEIPT = "receipt.json"
RAW_CANDIDATES = "raw.parquet"
"""Extract: candidates as the source gave them, for rebuilds and retries."""
CANDIDATES = "candidates.parquet"
"""Extract: candidates with cleaned texts."""
PART_DROPS = "drops.parquet"
"""Extract, dedupe, shard and drops: rows left out."""
IMAGE_INDEX = "images.parquet"
"""Extract: images that a WARC source contains."""
FETCH_RESULTS = "facts.parquet"
"""Fetch: one row a URL, what became of it."""
LATER_REQUESTS = "later.parquet"
"""Fetch: requests into hosts of other fetch lists; only where there are any."""
IMAGE_WARC = "images.warc"
"""Fetch: responses as received."""
STORED_JPEGS = "encoded.bin"
"""Fetch: JPEGs ready for a shard; removed once they are published."""
PART_METADATA = "metadata.parquet"
"""Shard: one row a sample."""
CANDIDATE_IDS, RETRYABLE_IDS = "ids.npy", "retryable.npy"
"""Drops: ids of all candidates of the generation, and of those that `--retry-failed` repeats."""
PAGE_WARC, PAGE_TABLE, PAGE_LINKS, HOST_STATES = (
    "pages.warc",
    "pages.parquet",
    "links.parquet",
    "hosts.json",
)
"""Crawl: pages as received, their outcomes, their links, the state of each host."""
REQUESTED_URLS = "requested.npy"
"""Frontier: ids of the pages that the round requests."""
INDEX_FOLDER, CAPTIONS_FOLDER = "index", "captions"
"""Dedupe: folders that later generations look up."""

_PART_BITS = 32


class PartRef(NamedTuple):
    """A part of a step in any generation; packed into 64 bits where it is a column.

    >>> PartRef.unpack(PartRef(2, 1).packed())
    PartRef(generation=2, part=1)
    """

    generation: int
    part: int

    def packed(self) -> int:
        """Returns generation << 32 | part."""
        return self.generation << _PART_BITS | self.part

    @classmethod
    def unpack(cls, value: int) -> "PartRef":
        """Returns the reference that `packed` made."""
        return cls(value >> _PART_BITS, value & ((1 << _PART_BITS) - 1))


def ordinal(part: int, row: int) -> int:
    """Returns the position of a source row in its generation: part << 32 | row."""
    return part << _PART_BITS | row


def part_name(number: int) -> str:
    """Returns the folder name of a part."""
    return f"{number:05d}"


def generation_name(number: int) -> str:
    """Returns the folder name of a generation, or of a round of a crawl."""
    return f"{number:06d}"


@dataclass(frozen=True, slots=True)
class StepTree:
    """Committed parts of generations or of the rounds of a crawl: `root/000003/<step>/00017/`."""

    root: Path

    def generation(self, number: int) -> Path:
        """Returns the folder of a generation or round."""
        return self.root / generation_name(number)

    def plan(self, number: int) -> Path:
        """Returns the file with the plan of a generation."""
        return self.generation(number) / "plan.json"

    def retry_ids(self, number: int) -> Path:
        """Returns the file with the ids of the candidates that a retry generation repeats."""
        return self.generation(number) / "retry-ids.npy"

    def step(self, generation: int, step: str) -> Path:
        """Returns the folder of all parts of a step."""
        return self.generation(generation) / step

    def part(self, generation: int, step: str, part: int) -> Path:
        """Returns the folder of a part."""
        return self.step(generation, step) / part_name(part)

    def files(self, generation: int, step: str, name: str) -> list[Path]:
        """Returns the files that match `name` in all parts of a step, in part order."""
        return sorted(self.step(generation, step).glob(f"*/{name}"))


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """Paths of a work folder."""

    root: Path

    @property
    def lock(self) -> Path:
        """File that the running build holds."""
        return self.root / "lock"

    @property
    def build(self) -> Path:
        """Recipe and step versions that the output is made with."""
        return self.root / "build.json"

    @property
    def read_stamps(self) -> Path:
        """Stamps of source parts in which nothing was new."""
        return self.root / "read.json"

    @property
    def file_digests(self) -> Path:
        """Cache of the digests of sources that are known by content."""
        return self.root / "digests.json"

    @property
    def limit(self) -> Path:
        """Rows that the generations of a build with `--limit` have read."""
        return self.root / "limit.json"

    @property
    def attempts(self) -> Path:
        """Folder that tasks write to."""
        return self.root / "attempts"

    @property
    def indexes(self) -> Path:
        """Folder of image indexes that belong to no generation."""
        return self.root / "indexes"

    @property
    def generations(self) -> StepTree:
        """Parts of the generations."""
        return StepTree(self.root / "generations")

    @property
    def crawls(self) -> Path:
        """Folder of all crawls."""
        return self.root / "crawls"

    def crawl(self, name: str) -> StepTree:
        """Returns the parts of a crawl's rounds."""
        return StepTree(self.crawls / name)

    def stored(self, path: str) -> str:
        """Returns a path as files of the work folder hold it: relative where it leads into it."""
        found = Path(path)
        return found.relative_to(self.root).as_posix() if found.is_relative_to(self.root) else path

    def located(self, stored: str) -> str:
        """Returns the path of which `stored` made this; an absolute path as it is."""
        return str(self.root / stored) if stored else ""

    def crawled_pages(self) -> Iterator[tuple[str, Path]]:
        """Yields the name of a crawl and a page table of it, for every part of every crawl."""
        for path in sorted(self.crawls.glob(f"*/*/crawl/*/{PAGE_TABLE}")):
            yield path.relative_to(self.crawls).parts[0], path
