"""Writes small corpora with any texts in any field, by the real shard step."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from tests.shard.make_golden import PAIRS, shard_part, write_warc
from wenlan_data.recipe import Recipe
from wenlan_data.run.versions import library_versions
from wenlan_data.shard.manifest import (
    DropsEntry,
    FileEntry,
    Funnel,
    Generation,
    Manifest,
    MetadataName,
    Published,
    ShardEntry,
    Times,
    save_manifest,
)
from wenlan_data.tables import DROPS

Row = Mapping[str, object]


def write_corpus(
    corpus: Path, samples: Sequence[Row], dropped: Sequence[Row] = (), *, name: str = "small"
) -> Manifest:
    """Writes a corpus of one shard.

    Rows override fields of the first sample of the golden corpus, and of `drop`.
    """
    for folder in ("shards", "metadata", "drops"):
        (corpus / folder).mkdir(parents=True, exist_ok=True)
    recipe = Recipe.model_validate({"name": "small", "detect": {"max_regions": 4}})
    shard, metadata = _shard(corpus, samples, recipe)
    drops = _drops(corpus / "drops" / "000000.parquet", [drop(**row) for row in dropped])
    counts = {
        "candidates": len(samples) + len(dropped),
        "samples": len(samples),
        "drops": len(dropped),
    }
    reasons: dict[str, dict[str, int]] = {}
    for row in (drop(**one) for one in dropped):
        step = reasons.setdefault(str(row["step"]), {})
        step[str(row["reason"])] = step.get(str(row["reason"]), 0) + 1
    manifest = Manifest(
        code_version="0.1.0",
        step_versions={"shard": 1},
        hash_version=1,
        library_versions=library_versions(),
        recipe={**recipe.resolved(), "name": name},
        recipe_digest=recipe.digest(),
        sources=[{"kind": "table", "path": "small.csv"}],
        funnel=Funnel(candidates=counts["candidates"], samples=len(samples), dropped=reasons),
        generations=[Generation(generation=0, first_shard=0, shards=1, **counts)],
        shards=[shard],
        drops=[drops],
        times=Times(
            published=[Published(generation=0, at="2026-01-02T03:04:05+00:00")], metadata=[metadata]
        ),
    )
    save_manifest(corpus, manifest)
    return manifest


def key(number: int) -> str:
    """Returns the key of the sample with that index in `samples`."""
    return f"{number:032x}"


def drop(**given: object) -> dict[str, object]:
    """Returns a row of `drops/`."""
    row: dict[str, object] = {
        "step": "fetch",
        "key": "",
        "url": "http://a.test/gone.jpg",
        "page_url": "",
    }
    row |= {
        "source": "table:small.csv",
        "reason": "http_status",
        "detail": "404",
        "retryable": False,
    }
    row |= {"duplicate_of": "", "phash_distance": -1, "pdq_distance": -1}
    return row | {"texts": [{"type": "caption", "text": "已删除的图片"}]} | given


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """Writes a tar of these members."""
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def sample_members(
    stem: str, jpeg: bytes, text: str, fields: Mapping[str, object]
) -> dict[str, bytes]:
    """Returns the members of a sample of other origin."""
    return {
        f"{stem}.jpg": jpeg,
        f"{stem}.json": json.dumps(fields).encode(),
        f"{stem}.txt": text.encode(),
    }


def _shard(corpus: Path, samples: Sequence[Row], recipe: Recipe) -> tuple[ShardEntry, FileEntry]:
    with TemporaryDirectory() as folder:
        work = Path(folder)
        golden = write_warc(work / "images.warc", PAIRS[:1])[0]
        rows = [{**golden, **row, "key": key(number)} for number, row in enumerate(samples)]
        (work / "out").mkdir()
        made = shard_part(work, 0, rows, recipe)(work / "out").details
        (work / "out" / "metadata.parquet").rename(corpus / "metadata" / "000000.parquet")
        for path in (work / "out").iterdir():
            path.rename(corpus / "shards" / path.name)
    table = made.metadata
    metadata = FileEntry(name="000000.parquet", bytes=table.bytes, sha256=table.sha256)
    entry = ShardEntry(
        name=made.name,
        bytes=made.bytes,
        sha256=made.sha256,
        samples=made.samples,
        generation=0,
        offsets=FileEntry.model_validate(asdict(made.offsets)),
        metadata=MetadataName(name=metadata.name),
    )
    return entry, metadata


def _drops(path: Path, rows: Sequence[Row]) -> DropsEntry:
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=DROPS), path)
    data = path.read_bytes()
    return DropsEntry(
        name=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), rows=len(rows)
    )
