"""Retrieval and vectors of a whole corpus."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from wenlan_data.errors import UsageError, os_errors
from wenlan_data.eval.embed import Model, Vectors, text_vectors, vectors_of
from wenlan_data.eval.retrieval import Retrieval, retrieval
from wenlan_data.shard.format import parse_fields
from wenlan_data.shard.reader import read_at, scan, shard_paths

LAYOUT = ("img_emb", "text_emb", "metadata")
"""Folders, in the order in which they appear."""


def corpus_retrieval(
    model: Model,
    shards: Sequence[Path],
    *,
    every_text: bool = False,
    workers: int = 2,
    limit: int | None = None,
) -> Retrieval:
    """Retrieval over the samples of `shards`; equal texts are one text, right for each of their pictures.

    `every_text`: all texts of a sample belong to its picture, not its caption alone.
    """
    found = list(vectors_of(model, shards, workers=workers, limit=limit))
    keys = [key for part in found for key in part.keys]
    image_NE = torch.cat([part.image_BE for part in found])
    texts: dict[str, int] = {}
    if every_text:
        of_key = texts_of(shards, set(keys))
        pairs = [
            (row, texts.setdefault(text, len(texts)))
            for row, key in enumerate(keys)
            for text in of_key.get(key, [])
        ]
    else:
        captions = [text for part in found for text in part.texts]
        pairs = [(row, texts.setdefault(text, len(texts))) for row, text in enumerate(captions)]
    return retrieval(image_NE, text_vectors(model, list(texts)), pairs)


def texts_of(shards: Sequence[Path], keys: set[str]) -> dict[str, list[str]]:
    """All texts of these samples, the caption first, none twice."""
    found: dict[str, list[str]] = {}
    for tar in shard_paths(shards):
        with os_errors(tar), tar.open("rb") as file:
            for group in scan(tar):
                if group.key in keys:
                    members = {
                        name: read_at(file, group.members[name])
                        for name in ("txt", "json")
                        if name in group.members
                    }
                    fields = parse_fields(members.get("json", b"{}"), f"{tar}: {group.key}")
                    typed = fields.get("texts") or []
                    texts = [
                        members.get("txt", b"").decode("utf-8", "replace"),
                        *(item["text"] for item in typed),  # type: ignore[attr-defined]
                    ]
                    found[group.key] = list(dict.fromkeys(text for text in texts if text))
    return found


def write_vectors(
    model: Model, shards: Sequence[Path], out: Path, *, workers: int = 2, rows: int = 100_000
) -> int:
    """Vectors of every sample, in the layout of clip-retrieval; how many there are.

    `img_emb/img_emb_N.npy` and `text_emb/text_emb_N.npy` float32 (rows, E), `metadata/metadata_N.parquet` with `key`,
    `caption` and `image_path`, row by row, `rows` samples a file. The three folders appear when all of it is
    written, or none of them. Raises `UsageError` where `out` holds something.
    """
    with os_errors(out):
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out}: no folder: choose another --out")
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"{out}: not empty: choose a new folder with --out")
        made = [one for one in (out, *out.parents) if not one.exists()]
        out.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=out))
        try:
            written = _write_files(
                _in_files(vectors_of(model, shards, workers=workers), rows), partial
            )
            for name in LAYOUT:
                (partial / name).rename(out / name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            with suppress(OSError):  # the folders that were made go where nothing came into them
                for one in made:
                    one.rmdir()
        return written


def _write_files(parts: Iterator[Vectors], out: Path) -> int:
    for name in LAYOUT:
        (out / name).mkdir()
    written = 0
    for number, part in enumerate(parts):
        np.save(out / "img_emb" / f"img_emb_{number}.npy", part.image_BE.numpy().astype(np.float32))
        np.save(
            out / "text_emb" / f"text_emb_{number}.npy", part.text_BE.numpy().astype(np.float32)
        )
        table = pa.table(
            {
                "key": part.keys,
                "caption": part.texts,
                "image_path": [f"{key}.jpg" for key in part.keys],
            }
        )
        pq.write_table(table, out / "metadata" / f"metadata_{number}.parquet")
        written += len(part.keys)
    return written


def _in_files(parts: Iterator[Vectors], rows: int) -> Iterator[Vectors]:
    """The same samples, `rows` at a time."""
    held: list[Vectors] = []
    for part in parts:
        held.append(part)
        while sum(len(one.keys) for one in held) >= rows:
            whole = _joined(held)
            yield _cut(whole, slice(0, rows))
            held = [_cut(whole, slice(rows, None))]
    if held and any(one.keys for one in held):
        yield _joined(held)


def _joined(parts: Sequence[Vectors]) -> Vectors:
    return Vectors(
        keys=[key for part in parts for key in part.keys],
        texts=[text for part in parts for text in part.texts],
        image_BE=torch.cat([part.image_BE for part in parts]),
        text_BE=torch.cat([part.text_BE for part in parts]),
    )


def _cut(whole: Vectors, rows: slice) -> Vectors:
    return Vectors(
        keys=whole.keys[rows],
        texts=whole.texts[rows],
        image_BE=whole.image_BE[rows],
        text_BE=whole.text_BE[rows],
    )
