"""Retrieval metrics and embeddings of a whole corpus."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from wenlan_data.errors import InterruptedBuildError, UsageError, os_errors
from wenlan_data.eval.embed import (
    EmbeddingModel,
    Embeddings,
    concatenate,
    embed_corpus,
    embed_texts,
)
from wenlan_data.eval.retrieval import EqualTexts, Retrieval, retrieval
from wenlan_data.shard.format import parse_fields
from wenlan_data.shard.reader import read_at, scan, shard_paths

LAYOUT = ("img_emb", "text_emb", "metadata")
"""The folders of clip-retrieval, in the order in which they are published."""


def corpus_retrieval(
    model: EmbeddingModel,
    shards: Sequence[Path],
    *,
    every_text: bool = False,
    equal_texts: EqualTexts = "merge",
    workers: int = 2,
    limit: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Retrieval:
    """Computes retrieval metrics over the samples of `shards`, at most about `limit` of them.

    `every_text`: all texts of a sample match its image, not only its caption; a text that a sample
    has twice counts once. `equal_texts` decides about equal texts of different samples. Raises
    `InterruptedBuildError` once `stop()` is true.
    """
    parts = []
    with closing(embed_corpus(model, shards, workers=workers, limit=limit)) as embedded:
        for part in embedded:
            if stop():
                raise InterruptedBuildError("the evaluation was interrupted: run it again")
            parts.append(part)
    keys = [key for part in parts for key in part.keys]
    image_NE = torch.cat([part.image_BE for part in parts])
    if not every_text:
        # The caption of each sample has been encoded with it.
        text_NE = torch.cat([part.text_BE for part in parts])
        captions = [text for part in parts for text in part.texts]
        return caption_retrieval(image_NE, text_NE, text_ids(captions), equal_texts)
    texts_by_key = read_texts(shards, set(keys))
    text_rows: dict[str, int] = {}
    pairs = [
        (row, text_rows.setdefault(text, len(text_rows)))
        for row, key in enumerate(keys)
        for text in texts_by_key.get(key, [])
    ]
    vectors_ME = embed_texts(model, list(text_rows))
    return retrieval(image_NE, vectors_ME, pairs, equal_texts=equal_texts)


def caption_retrieval(
    image_NE: Tensor, text_NE: Tensor, ids_N: Tensor, equal_texts: EqualTexts = "merge"
) -> Retrieval:
    """Metrics of N samples with one text each; texts of equal `text_ids` are equal."""
    _, rows = torch.unique(ids_N, return_inverse=True)
    first = torch.full((int(rows.max()) + 1,), len(rows), dtype=torch.long)
    first.scatter_reduce_(0, rows, torch.arange(len(rows)), "amin")
    pairs = list(enumerate(rows.tolist()))
    return retrieval(image_NE, text_NE[first], pairs, equal_texts=equal_texts)


def text_ids(texts: Sequence[str]) -> Tensor:
    """int64 (N,): 64 bits of the hash of each text, by which ranks compare their texts."""
    digests = (hashlib.sha256(text.encode()).digest()[:8] for text in texts)
    ids = [int.from_bytes(one, "little", signed=True) for one in digests]
    return torch.tensor(ids, dtype=torch.int64)


def read_texts(shards: Sequence[Path], keys: set[str]) -> dict[str, list[str]]:
    """Reads all distinct texts of these samples, by key, the caption first."""
    texts_by_key: dict[str, list[str]] = {}
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
                    texts = [
                        members.get("txt", b"").decode("utf-8", "replace"),
                        *_typed_texts(fields.get("texts"), f"{tar}: {group.key}"),
                    ]
                    texts_by_key[group.key] = list(dict.fromkeys(text for text in texts if text))
    return texts_by_key


def _typed_texts(value: object, where: str) -> list[str]:
    """The texts of a sample's JSON. Raises `UsageError` for JSON of another format."""
    listed = value or []
    texts = [
        item.get("text") if isinstance(item, dict) else None
        for item in (listed if isinstance(listed, list) else [None])
    ]
    known = [text for text in texts if isinstance(text, str)]
    if len(known) != len(texts):
        raise UsageError(
            f"{where}: `texts` of its JSON is no list of objects with a `text`: "
            "evaluate with --texts caption"
        )
    return known


def write_embeddings(
    model: EmbeddingModel,
    shards: Sequence[Path],
    out: Path,
    *,
    workers: int = 2,
    rows: int = 100_000,
) -> int:
    """Writes the embeddings of every sample in the layout of clip-retrieval; returns how many.

    `img_emb/img_emb_N.npy` and `text_emb/text_emb_N.npy` are float32 (rows, E);
    `metadata/metadata_N.parquet` has `key`, `caption` and `image_path`, row by row. Each file holds
    `rows` samples. The three folders appear once all of it is written. Raises `UsageError` where
    `out` is not empty.
    """
    with os_errors(out):
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out}: not a folder: choose another --out")
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"{out}: not empty: choose a new folder with --out")
        created = [path for path in (out, *out.parents) if not path.exists()]
        out.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=out))
        try:
            written = _write_files(
                _in_chunks(embed_corpus(model, shards, workers=workers), rows), partial
            )
            for name in LAYOUT:
                (partial / name).rename(out / name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            # Only empty folders can be removed: after a failure, those that were created here.
            with suppress(OSError):
                for path in created:
                    path.rmdir()
        return written


def _write_files(parts: Iterator[Embeddings], out: Path) -> int:
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


def _in_chunks(parts: Iterator[Embeddings], rows: int) -> Iterator[Embeddings]:
    """Yields the same samples, `rows` at a time."""
    pending: list[Embeddings] = []
    for part in parts:
        pending.append(part)
        while sum(len(one.keys) for one in pending) >= rows:
            joined = concatenate(pending)
            yield _take_rows(joined, slice(0, rows))
            pending = [_take_rows(joined, slice(rows, None))]
    if any(one.keys for one in pending):
        yield concatenate(pending)


def _take_rows(embeddings: Embeddings, rows: slice) -> Embeddings:
    return Embeddings(
        keys=embeddings.keys[rows],
        texts=embeddings.texts[rows],
        image_BE=embeddings.image_BE[rows],
        text_BE=embeddings.text_BE[rows],
    )
