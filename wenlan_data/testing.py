"""Test data for plug-ins and loaders: images, captions, samples, corpora and a local HTTP server.

Everything is a function of its arguments, so a test that uses it gives the same result each time.

>>> from pathlib import Path
>>> from tempfile import mkdtemp
>>> from wenlan_data.shard.reader import read_corpus
>>> from wenlan_data.testing import make_sample, write_corpus
>>> corpus = write_corpus(Path(mkdtemp()) / "corpus", [[make_sample(0), make_sample(1)]])
>>> [sample.caption for sample in read_corpus(corpus)]
['窗台旁边的小猫', '窗台旁边的火车']
"""

import hashlib
import io
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from wenlan_data.layout import SHARDS
from wenlan_data.records import Region, Sample, Text
from wenlan_data.shard import manifest as shard_manifest
from wenlan_data.shard.format import encode_sample, offsets_name, shard_name
from wenlan_data.shard.index import save_offsets
from wenlan_data.shard.writer import write_shard


def make_image(
    seed: int, *, width: int = 320, height: int = 240, kind: str = "JPEG", quality: int = 85
) -> bytes:
    """Returns an encoded image; images of different seeds are not near-duplicates.

    `kind` is a format name of Pillow, `quality` that of its encoder.

    >>> make_image(1)[:3]  # the first bytes of every JPEG
    b'\\xff\\xd8\\xff'
    >>> make_image(1) == make_image(1), make_image(1) == make_image(2)
    (True, False)
    >>> make_image(1, width=64, height=64, kind="PNG")[1:4]
    b'PNG'
    """
    rng = np.random.default_rng(seed)
    # Perceptual hashes see the coarse pattern only, and that of another seed is unrelated.
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
    """Returns a Chinese caption that passes the default recipe; distinct for the seeds below 1,000.

    >>> make_caption(0), make_caption(1), make_caption(10)
    ('窗台旁边的小猫', '窗台旁边的火车', '车站旁边的小猫')
    """
    noun = CAPTION_NOUNS[seed % 10]
    place = CAPTION_PLACES[seed // 10 % 10]
    return (
        f"{place}旁边的{noun}，第{seed // 100 + 1}张照片" if seed >= 100 else f"{place}旁边的{noun}"
    )


def make_sample(seed: int, *, width: int = 64, height: int = 48) -> Sample:
    """Returns a published sample with an image, a caption and two regions; keys ascend with `seed`.

    The hashes are placeholders: a corpus of such samples can be read, but not deduplicated.

    >>> sample = make_sample(3)
    >>> sample.caption, (sample.width, sample.height), len(sample.regions)
    ('窗台旁边的苹果', (64, 48), 2)
    >>> make_sample(3).key < make_sample(4).key
    True
    """
    caption = make_caption(seed)
    return Sample(
        key=f"{seed:032x}",
        jpeg=make_image(seed, width=width, height=height),
        caption=caption,
        texts=(Text("caption", caption),),
        regions=(
            Region(box_xyxy=(0, 0, width // 2, height), label="grid", score=1.0),
            Region(box_xyxy=(0, 0, width, height), label="image", score=1.0),
        ),
        width=width,
        height=height,
        sha256=f"{seed:064x}",
        phash=seed,
        pdq=bytes(32),
        image_url=f"http://images.test/{seed}.jpg",
    )


@dataclass(frozen=True, slots=True)
class CannedResponse:
    """What a `Site` responds to a request for one path.

    >>> CannedResponse(b"gone", status=410, headers={"Content-Type": "text/plain"}).status
    410
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "image/jpeg"})


class Site:
    """An HTTP server on a free port of 127.0.0.1, as a context manager.

    `responses` maps paths to responses and may be changed while the server runs; any other path
    gives 404. `log` lists the requested paths in order.

    >>> from urllib.request import urlopen
    >>> with Site({"/a.jpg": CannedResponse(make_image(1))}) as site:
    ...     with urlopen(site.url("/a.jpg")) as response:
    ...         response.status, response.read() == make_image(1)
    (200, True)
    >>> site.log
    ['/a.jpg']
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
        """Returns the URL of a path, which begins with a slash."""
        return f"http://{self.host}{path}"

    def __enter__(self) -> "Site":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def write_corpus(corpus: Path, shards: Iterable[Sequence[Sample]]) -> Path:
    """Writes a corpus with one shard for each sequence of samples, and returns its path.

    The samples of a shard must be in ascending order of their keys. Metadata tables, drops and
    report are left out, so the corpus can be read, loaded and trained on, but not reported on.

    >>> from tempfile import mkdtemp
    >>> from wenlan_data.shard.reader import read_corpus
    >>> shards = [[make_sample(0), make_sample(1)], [make_sample(2)]]
    >>> corpus = write_corpus(Path(mkdtemp()) / "corpus", shards)
    >>> sorted(path.name for path in corpus.iterdir())
    ['manifest.json', 'shards']
    >>> len(list(read_corpus(corpus)))
    3
    """
    (corpus / SHARDS).mkdir(parents=True)
    entries = [
        _write_shard(corpus / SHARDS, number, samples) for number, samples in enumerate(shards)
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
    written = write_shard(
        folder / name, ((sample.key, encode_sample(sample)) for sample in samples)
    )
    table = folder / offsets_name(name)
    save_offsets(table, written.locations)
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
