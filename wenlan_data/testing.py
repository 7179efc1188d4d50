"""Builders and fakes for tests of your own plug-ins: pictures that differ, and a real server on loopback."""

import hashlib
import io
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from wenlan_data.records import Sample
from wenlan_data.shard import manifest as shard_manifest
from wenlan_data.shard.format import encode_sample, offsets_name, shard_name
from wenlan_data.shard.index import save_offsets
from wenlan_data.shard.writer import write_shard


def make_image(
    seed: int, *, width: int = 320, height: int = 240, kind: str = "JPEG", quality: int = 85
) -> bytes:
    """An encoded picture, a function of its arguments; pictures of two seeds are no near-duplicates."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.integers(-6, 7, smooth.shape, dtype=np.int16)
    out = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(
        out, kind, quality=quality
    )
    return out.getvalue()


CAPTION_NOUNS = ("小猫", "火车", "山峰", "苹果", "大桥", "花园", "老人", "渔船", "书店", "雪地")
CAPTION_PLACES = ("窗台", "车站", "湖边", "桌子", "河上", "公园", "街头", "港口", "城里", "北方")


def make_caption(seed: int) -> str:
    """A Chinese caption that the default recipe keeps; different for the first 1,000 seeds."""
    noun = CAPTION_NOUNS[seed % 10]
    place = CAPTION_PLACES[seed // 10 % 10]
    return (
        f"{place}旁边的{noun}，第{seed // 100 + 1}张照片" if seed >= 100 else f"{place}旁边的{noun}"
    )


@dataclass(frozen=True, slots=True)
class CannedResponse:
    """What the site answers for a path."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "image/jpeg"})


class Site:
    """A real HTTP server on a free port of 127.0.0.1. A context manager; `log` holds each path asked for, in order.

    `responses` may be changed while it runs. A path that it lacks gets 404.
    """

    def __init__(
        self, responses: Mapping[str, CannedResponse] | None = None, port: int = 0
    ) -> None:
        self.responses: dict[str, CannedResponse] = dict(responses or {})
        self.log: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.log.append(self.path)
                response = site.responses.get(self.path, CannedResponse(status=404))
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                self.wfile.write(response.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    def url(self, path: str) -> str:
        """The URL of a path that begins with a slash."""
        return f"http://{self.host}{path}"

    def __enter__(self) -> "Site":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def write_corpus(corpus: Path, shards: Iterable[Sequence[Sample]]) -> Path:
    """A corpus of these samples, each shard's in ascending order of key, without metadata, drops and report."""
    (corpus / "shards").mkdir(parents=True)
    entries = [
        _write_shard(corpus / "shards", number, samples) for number, samples in enumerate(shards)
    ]
    count = sum(entry.samples for entry in entries)
    generation = shard_manifest.Generation(
        generation=0, candidates=count, samples=count, drops=0, first_shard=0, shards=len(entries)
    )
    manifest = shard_manifest.Manifest(
        code_version="test",
        step_versions={},
        hash_version=1,
        library_versions={},
        recipe={},
        recipe_digest="",
        sources=[],
        funnel=shard_manifest.Funnel(candidates=count, samples=count),
        generations=[generation],
        shards=entries,
        drops=[],
    )
    shard_manifest.save_manifest(corpus, manifest)
    return corpus


def _write_shard(folder: Path, number: int, samples: Sequence[Sample]) -> shard_manifest.ShardEntry:
    name = shard_name(number)
    written = write_shard(folder / name, ((one.key, encode_sample(one)) for one in samples))
    table = folder / offsets_name(name)
    save_offsets(table, written.places)
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    return shard_manifest.ShardEntry(
        name=name,
        bytes=written.bytes,
        sha256=written.sha256,
        samples=written.samples,
        generation=0,
        offsets=shard_manifest.FileEntry(
            name=table.name, bytes=table.stat().st_size, sha256=digest
        ),
        metadata=shard_manifest.MetadataName(name=f"{number:06d}.parquet"),
    )
