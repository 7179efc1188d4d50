"""Writes the page of a corpus: one HTML file without scripts, which needs no network.

The first thumbnails are inside the file, further ones beside it in `thumbs/`.
"""

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wenlan_data import __version__
from wenlan_data.errors import UsageError, os_errors
from wenlan_data.files import inner_folder, open_regular, write_atomic
from wenlan_data.report import view_models
from wenlan_data.report.data import ImageLocation, ReportData
from wenlan_data.report.findings import report_findings
from wenlan_data.sandbox.client import thumbnail_jpeg
from wenlan_data.shard.reader import MAX_MEMBER_BYTES

PAGE = "index.html"
THUMBS = "thumbs"
SIDE_PX = 288
"""Longer side of a thumbnail: sharp at 220 CSS pixels, 9 kB on average."""
QUALITY = 70
MAX_INLINE = 200
"""Thumbnails inside the page."""
MAX_PAGE_BYTES = 4_900_000
MAX_RECIPE_BYTES = 1 << 18
"""Of a recipe that is shown; the largest of this package has 3 kB."""
_GENERATOR_TAG = '<meta name="generator" content="wenlan-data'
_TAG_BYTES = 2048
"""Bytes from the start of a page that hold the generator tag."""
_THUMB = re.compile(r"[0-9a-f]{24}\.jpg")
# `_visible` replaces control characters of the data, so every \x1a in the page is one of ours.
_PLACEHOLDER = re.compile("\x1a([0-9]+)\x1a")


def write_page(report: ReportData, out: Path) -> Path:
    """Writes `out/index.html` and `out/thumbs/`, and removes thumbnails of an earlier page.

    Equal data gives equal bytes. The page is written last and renamed into place, so readers find
    the whole new page or the whole old one.

    Raises `UsageError` if another `index.html` is there.
    """
    with os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        _refuse_others(out / PAGE)
        thumbnails = _Thumbnails()
        page, files = thumbnails.insert(_render_bounded(report, thumbnails))
        _replace_thumbs(out, files)
        write_atomic(out / PAGE, page)
    return out / PAGE


def is_page_of(page: Path, digest: str) -> bool:
    """Whether this release wrote the page from the manifest with this digest."""
    try:
        with open_regular(page) as file:
            return _generator_tag(digest).encode() in file.read(_TAG_BYTES)
    except OSError:
        return False


def render(report: ReportData, source_of: view_models.ThumbnailSource) -> str:
    """Returns the text of the page. The template engine escapes every value."""
    # Sections with few thumbnails are rendered first: `_Thumbnails` numbers thumbnails in this
    # order, and the first ones go into the page.
    duplicates = view_models.duplicate_groups(report, source_of)
    drops = view_models.drops(report, source_of)
    confidence = view_models.confidence_view(report, source_of)
    filters, cards = view_models.gallery(report, source_of)
    return (
        template_environment()
        .get_template("report.html.j2")
        .render(
            generator_tag=Markup(_generator_tag(report.digest)),
            report=report,
            statistics=report.statistics,
            manifest=report.manifest,
            findings=report_findings(report),
            stages=view_models.funnel_stages(report.manifest.funnel) if report.manifest else (),
            histograms=view_models.histograms(report.statistics),
            origins=view_models.origins(report.statistics),
            confidence=confidence,
            words=view_models.frequent_words(report.statistics),
            types_differ=len({sample.caption_type for sample in report.samples}) > 1,
            filters=filters,
            cards=cards,
            duplicates=duplicates,
            drops=drops,
            show_regions=any(card.boxes for card in cards),
            recipe=_recipe(report),
        )
    )


def thumbnail(location: ImageLocation) -> bytes | None:
    """Returns a JPEG of at most `SIDE_PX`, None if there is no image that can be decoded.

    A process of its own decodes it: images of drops include those that crashed a decoder before.
    """
    data = _read(location)
    return thumbnail_jpeg(data, side_px=SIDE_PX, quality=QUALITY) if data else None


def _read(location: ImageLocation) -> bytes:
    if not 0 < location.size <= MAX_MEMBER_BYTES:
        return b""
    try:
        with open_regular(location.path) as file:
            return os.pread(file.fileno(), location.size, location.offset)
    except (OSError, ValueError):
        return b""  # Removed or unreadable. A page without one image is better than no page.


class _Thumbnails:
    """Hands out placeholders for thumbnails, and replaces them once the size of the text is known.

    Only then can be decided how many thumbnails fit into the page.
    """

    def __init__(self) -> None:
        self._sources: dict[ImageLocation, str] = {}
        self._jpegs: list[bytes] = []

    def source(self, location: ImageLocation) -> str:
        """Returns a placeholder for the `src` of an image, empty if it cannot be decoded."""
        if location not in self._sources:
            jpeg = thumbnail(location)
            self._sources[location] = Markup(f"\x1a{len(self._jpegs)}\x1a") if jpeg else ""
            self._jpegs += [jpeg] if jpeg else []
        return self._sources[location]

    def insert(self, text: str) -> tuple[bytes, dict[str, bytes]]:
        """Returns the page with its thumbnails, and the JPEG files beside it by name."""
        free_bytes = MAX_PAGE_BYTES - len(text.encode("utf-8", "replace"))
        sources: dict[int, str] = {}
        files: dict[str, bytes] = {}
        inline = 0
        for number in sorted({int(found) for found in _PLACEHOLDER.findall(text)}):
            jpeg = self._jpegs[number]
            data_uri = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
            needed_bytes = len(data_uri) * text.count(f"\x1a{number}\x1a")
            if inline < MAX_INLINE and needed_bytes <= free_bytes:
                inline += 1
                free_bytes -= needed_bytes
                sources[number] = data_uri
                continue
            name = f"{hashlib.sha256(jpeg).hexdigest()[:24]}.jpg"
            files[name] = jpeg
            sources[number] = f"{THUMBS}/{name}"
        page = _PLACEHOLDER.sub(lambda found: sources[int(found[1])], text)
        return page.encode("utf-8", "replace"), files


def _render_bounded(report: ReportData, thumbnails: _Thumbnails) -> str:
    """Returns the page, with fewer samples if their texts alone would exceed the limit."""
    text = render(report, thumbnails.source)
    while len(text.encode("utf-8", "replace")) > MAX_PAGE_BYTES and report.samples:
        report = replace(report, samples=report.samples[: len(report.samples) // 2])
        text = render(report, thumbnails.source)
    return text


def _replace_thumbs(out: Path, files: Mapping[str, bytes]) -> None:
    """Replaces the thumbnails of a page. Files of other origin stay, and no link is followed."""
    if not files and not (out / THUMBS).is_dir():
        return
    folder = inner_folder(out, THUMBS)
    for old in folder.glob("*.jpg"):
        if _THUMB.fullmatch(old.name) and old.name not in files:
            old.unlink()
    for name, data in files.items():
        write_atomic(folder / name, data)
    if not any(folder.iterdir()):
        folder.rmdir()


def _refuse_others(page: Path) -> None:
    if page.is_file():
        with open_regular(page) as file:
            is_ours = _GENERATOR_TAG.encode() in file.read(_TAG_BYTES)
        if not is_ours:
            raise UsageError(
                f"{page}: exists, and wenlan-data did not write it: choose another folder"
            )


def _generator_tag(digest: str) -> str:
    return f"{_GENERATOR_TAG} {__version__} {digest}"


def _recipe(report: ReportData) -> str:
    if report.manifest is None:
        return ""
    recipe: Mapping[str, object] = report.manifest.recipe
    size = len(json.dumps(recipe))
    if size > MAX_RECIPE_BYTES:
        return f"# {size} bytes: see manifest.json\n"
    return str(yaml.safe_dump(dict(recipe), allow_unicode=True, sort_keys=False))


def template_environment() -> Environment:
    """Returns the environment of all pages: it escapes every value."""
    environment = Environment(
        loader=PackageLoader("wenlan_data.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": lambda value: f"{value:,}",
        "percent": _percent,
        "bytes": _bytes,
        "clip": view_models.clip,
        "link": view_models.web_link,
        "readable": view_models.readable,
    }
    return environment


def _visible(value: object) -> object:
    """Replaces control characters by their symbols, as HTML would drop or change some of them."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "".join(
        _control_symbol(character)
        if (character < " " and character not in "\n\t") or character == "\x7f"
        else character
        for character in value
    )


def _control_symbol(character: str) -> str:
    return "\u2421" if character == "\x7f" else chr(0x2400 + ord(character))


def _percent(share: float) -> str:
    if share == 0 or share >= 0.1:
        return f"{share:.0%}"
    return f"{share:.1%}" if share >= 0.001 else "<0.1%"


def _bytes(size: int) -> str:
    for unit, large in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if size >= large:
            return f"{size / large:.1f} {unit}"
    return f"{size} B"
