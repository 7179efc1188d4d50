"""Writes the page: one HTML file that needs no network and no script, its further thumbnails beside it."""

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wenlan_data import __version__
from wenlan_data.errors import UsageError, os_errors
from wenlan_data.files import write_atomic
from wenlan_data.report import view_models
from wenlan_data.report.data import Material, Place
from wenlan_data.report.findings import remarks
from wenlan_data.sandbox.client import thumbnail_jpeg
from wenlan_data.shard.reader import MAX_MEMBER_BYTES

SIDE_PX = 288
"""Of the longer side: sharp at 220 CSS pixels, 9 kB on average."""
QUALITY = 70

PAGE = "index.html"
THUMBS = "thumbs"
MAX_INLINE = 200
"""Thumbnails inside the page."""
MAX_PAGE_BYTES = 4_900_000
_MARK = '<meta name="generator" content="wenlan-data'
_THUMB = re.compile(r"[0-9a-f]{24}\.jpg")
# Control characters of the data never reach the page, so nothing but ours stands between two of them.
_PLACEHOLDER = re.compile("\x1a([0-9]+)\x1a")


def write_page(material: Material, out: Path) -> Path:
    """Write `out/index.html` and `out/thumbs/`, in place of what an earlier page left; the same gives the same bytes.

    The page comes last and by one rename, so it is whole or the one before.
    Raises `UsageError` where another `index.html` is there.
    """
    with os_errors(out):
        _refuse_others(out / PAGE)
        out.mkdir(parents=True, exist_ok=True)
        thumbs = _Thumbs()
        page, files = thumbs.fill(_fitting(material, thumbs))
        _put_in_place(out / THUMBS, files)
        write_atomic(out / PAGE, page)
    return out / PAGE


def _fitting(material: Material, thumbs: "_Thumbs") -> str:
    """The page, with fewer samples where their texts alone would make it too large."""
    text = render(material, thumbs.src)
    while len(text.encode("utf-8", "replace")) > MAX_PAGE_BYTES and material.samples:
        material = replace(material, samples=material.samples[: len(material.samples) // 2])
        text = render(material, thumbs.src)
    return text


def is_page_of(page: Path, digest: str) -> bool:
    """Whether the page was written from the manifest of this digest, by this release."""
    try:
        with page.open("rb") as file:
            return _mark(digest).encode() in file.read(2048)
    except OSError:
        return False


def render(material: Material, picture: view_models.Picture) -> str:
    """The text of the page; every value is escaped by the template engine."""
    # Those of a section that can be told by few pictures come first, so that they are inline for sure.
    duplicates = view_models.groups(material, picture)
    dropped = view_models.drops(material, picture)
    filters, cards = view_models.gallery(material, picture)
    template = _environment().get_template("report.html.j2")
    return template.render(
        mark=Markup(_mark(material.digest)),
        material=material,
        tally=material.tally,
        manifest=material.manifest,
        remarks=remarks(material),
        stages=view_models.stages(material.manifest.funnel) if material.manifest else (),
        histograms=view_models.histograms(material.tally),
        origins=view_models.origins(material.tally),
        words=view_models.frequent_words(material.tally),
        types_differ=len({one.caption_type for one in material.samples}) > 1,
        filters=filters,
        cards=cards,
        groups=duplicates,
        drops=dropped,
        boxes_are_shown=any(one.boxes for one in cards),
        recipe=_recipe(material),
    )


class _Thumbs:
    """Hands out placeholders for thumbnails, and puts the pictures in once the size of the rest is known."""

    def __init__(self) -> None:
        self._srcs: dict[Place, str] = {}
        self._jpegs: list[bytes] = []

    def src(self, place: Place) -> str:
        """What stands in the page for the picture at `place`, empty where there is none to be seen."""
        if place not in self._srcs:
            jpeg = thumbnail(place)
            self._srcs[place] = Markup(f"\x1a{len(self._jpegs)}\x1a") if jpeg else ""
            self._jpegs += [jpeg] if jpeg else []
        return self._srcs[place]

    def fill(self, text: str) -> tuple[bytes, dict[str, bytes]]:
        """The page with as many pictures inside as there is room for, and the files of the others by name."""
        room = MAX_PAGE_BYTES - len(text.encode("utf-8", "replace"))
        srcs: dict[int, str] = {}
        files: dict[str, bytes] = {}
        inline = 0
        for number in sorted({int(found) for found in _PLACEHOLDER.findall(text)}):
            jpeg = self._jpegs[number]
            inside = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
            used = len(inside) * text.count(f"\x1a{number}\x1a")
            if inline < MAX_INLINE and used <= room:
                inline, room = inline + 1, room - used
                srcs[number] = inside
                continue
            name = f"{hashlib.sha256(jpeg).hexdigest()[:24]}.jpg"
            files[name] = jpeg
            srcs[number] = f"{THUMBS}/{name}"
        page = _PLACEHOLDER.sub(lambda found: srcs[int(found[1])], text)
        return page.encode("utf-8", "replace"), files


def _put_in_place(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make the thumbnails in `folder` these; what else lies there stays."""
    for old in folder.glob("*.jpg"):
        if _THUMB.fullmatch(old.name) and old.name not in files:
            old.unlink()
    if files:
        folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _refuse_others(page: Path) -> None:
    if page.is_file() and _MARK.encode() not in page.read_bytes()[:2048]:
        raise UsageError(f"{page}: exists and is no report of ours: choose another folder")


def _mark(digest: str) -> str:
    return f"{_MARK} {__version__} {digest}"


def _recipe(material: Material) -> str:
    if material.manifest is None:
        return ""
    import yaml

    recipe: Mapping[str, object] = material.manifest.recipe
    return str(yaml.safe_dump(dict(recipe), allow_unicode=True, sort_keys=False))


def _environment() -> Environment:
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
    """A text with its control characters as signs: HTML would drop some of them, and change others."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "".join(
        _sign(one) if (one < " " and one not in "\n\t") or one == "\x7f" else one for one in value
    )


def _sign(one: str) -> str:
    return "\u2421" if one == "\x7f" else chr(0x2400 + ord(one))


def _percent(share: float) -> str:
    return (
        f"{share:.0%}"
        if share >= 0.1 or share == 0
        else f"{share:.1%}"
        if share >= 0.001
        else "<0.1%"
    )


def _bytes(size: int) -> str:
    for unit, large in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if size >= large:
            return f"{size / large:.1f} {unit}"
    return f"{size} B"


def thumbnail(place: Place) -> bytes | None:
    """A JPEG of at most `SIDE_PX`, or None where there is no picture that can be decoded.

    Among the examples of what was left out are those that killed a decoder before.
    """
    data = _bytes_at(place)
    return thumbnail_jpeg(data, side_px=SIDE_PX, quality=QUALITY) if data else None


def _bytes_at(place: Place) -> bytes:
    if not 0 < place.size <= MAX_MEMBER_BYTES:
        return b""
    try:
        with Path(place.path).open("rb") as file:
            return os.pread(file.fileno(), place.size, place.offset)
    except (OSError, ValueError):
        return b""  # removed or unreadable: a page without one picture is better than no page
