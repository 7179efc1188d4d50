"""What a generation will read, written down before it starts, so that a resumed build reads the same."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from wenlan_data.protocols import SourcePart
from wenlan_data.run.ledger import write_synced
from wenlan_data.sources import SourceSpec

UNKNOWN_ROWS = 20_000
"""What a part whose rows only reading tells (a WARC) counts for when a generation is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One extract part of a generation."""

    spec: Mapping[str, object]
    """The source: kind, base, parameters."""
    part: SourcePart
    limit: int | None = None
    stamp: str = ""
    """Identity of the file's state; a part read once in this state is not read again. Empty: always read."""

    def source(self) -> SourceSpec:
        """The source that reads it."""
        return SourceSpec.model_validate(self.spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationPlan:
    """The input of one generation."""

    kind: Literal["sources", "from", "retry"]
    entries: tuple[Entry, ...] = ()
    raws: tuple[str, ...] = ()
    """`from` and `retry`: recorded candidates, one file a part."""
    origin: int = -1
    """`from`: the generation of the old corpus."""
    cut_short: bool = False
    """`--limit` ended it."""

    def save(self, folder: Path) -> None:
        """Write `plan.json` into the generation's folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / ".plan.tmp"
        write_synced(temporary, json.dumps(asdict(self), ensure_ascii=False).encode())
        temporary.replace(folder / "plan.json")

    @classmethod
    def load(cls, folder: Path) -> "GenerationPlan | None":
        """The plan of a generation that was begun; None where there is none."""
        path = folder / "plan.json"
        if not path.is_file():
            return None
        value = json.loads(path.read_text("utf-8"))
        entries = tuple(Entry(**{**entry, "part": SourcePart(**entry["part"])}) for entry in value["entries"])
        return cls(
            kind=value["kind"],
            entries=entries,
            raws=tuple(value["raws"]),
            origin=value["origin"],
            cut_short=value["cut_short"],
        )


def source_entries(specs: Sequence[SourceSpec], max_rows: int) -> Iterator[Entry]:
    """Every part of every source, in order. WARC sources come first: what they hold is not asked for again."""
    numbered = sorted(enumerate(specs), key=lambda pair: (pair[1].kind != "warc", pair[0]))
    for number, spec in numbered:
        described = {"kind": spec.kind, "base": spec.base, **(spec.model_extra or {})}
        for part in spec.load().parts(source=number, max_rows=max_rows):
            yield Entry(spec=described, part=part, stamp=_stamp(part))


def cut(entries: Iterator[Entry], read: set[str], max_rows: int, limit: int | None) -> Iterator[GenerationPlan]:
    """Generations of at most `max_rows` candidates (as far as rows are known), without the parts already read."""
    gathered: list[Entry] = []
    rows = taken = 0
    for entry in entries:
        if entry.stamp and entry.stamp in read:
            continue
        size = UNKNOWN_ROWS if entry.part.rows is None else entry.part.rows
        if gathered and rows + size > max_rows:
            yield GenerationPlan(kind="sources", entries=tuple(gathered))
            gathered, rows = [], 0
        if limit is not None and taken + size >= limit:
            whole = entry.part.rows is not None and taken + size == limit
            last = entry if whole else Entry(spec=entry.spec, part=entry.part, limit=limit - taken)
            yield GenerationPlan(kind="sources", entries=(*gathered, last), cut_short=True)
            return
        gathered.append(entry)
        rows += size
        taken += size
    if gathered:
        yield GenerationPlan(kind="sources", entries=tuple(gathered))


def _stamp(part: SourcePart) -> str:
    if not part.bytes:
        return ""
    return f"{part.path}|{part.bytes}|{Path(part.path).stat().st_mtime_ns}|{part.group}|{part.start}|{part.stop}"
