"""Writes the page: one HTML file that needs no network and no script, its further thumbnails beside it."""

import base64
import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wenlan_data import __version__
from wenlan_data.errors import UsageError, os_errors
from wenlan_data.report import views
from wenlan_data.report.charts import bars
from wenlan_data.report.material import Material, Place
from wenlan_data.report.pictures import thumbnail
from wenlan_data.report.remarks import remarks

PAGE = "index.html"
THUMBS = "thumbs"
MAX_INLINE = 200
"""Thumbnails inside the page."""
MAX_INLINE_CHARACTERS = 3_300_000
"""Of their data: URIs; with the rest of the page it stays below 5 MB."""
MAX_WORDS = 96
_MARK = '<meta name="generator" content="wenlan-data'
_THUMB = re.compile(r"[0-9a-f]{24}\.jpg")


def write_page(material: Material, out: Path) -> Path:
    """Write `out/index.html` and `out/thumbs/`, in place of what an earlier page left; the same gives the same bytes.

    The page comes last and by one rename, so it is whole or the one before.
    """
    with os_errors(out):
        _refuse_others(out / PAGE)
        out.mkdir(parents=True, exist_ok=True)
        thumbs = _Thumbs(out / f".{THUMBS}.partial")
        text = render(material, thumbs.src)
        partial = out / f".{PAGE}.partial"
        partial.write_text(text, encoding="utf-8", errors="replace")
        thumbs.put_in_place(out / THUMBS)
        partial.replace(out / PAGE)
    return out / PAGE


def is_page_of(page: Path, digest: str) -> bool:
    """Whether the page was written from the manifest of this digest, by this release."""
    try:
        with page.open("rb") as file:
            return _mark(digest).encode() in file.read(2048)
    except OSError:
        return False


def render(material: Material, picture: views.Picture) -> str:
    """The text of the page; every value is escaped by the template engine."""
    # Those of a section that can be told by few pictures come first, so that they are inline for sure.
    duplicates = views.groups(material, picture)
    dropped = views.drops(material, picture)
    filters, cards = views.gallery(material, picture)
    template = _environment().get_template("report.html.j2")
    return template.render(
        mark=Markup(_mark(material.digest)),
        material=material,
        tally=material.tally,
        manifest=material.manifest,
        remarks=remarks(material),
        stages=views.stages(material.manifest.funnel) if material.manifest else (),
        histograms=views.histograms(material.tally),
        origins=views.origins(material.tally),
        words=bars(material.tally.words, whole=material.tally.samples, most=MAX_WORDS)[:MAX_WORDS],
        filters=filters,
        cards=cards,
        groups=duplicates,
        drops=dropped,
        boxes_are_shown=any(one.boxes for one in cards),
        recipe=_recipe(material),
    )


class _Thumbs:
    """Hands out the `src` of thumbnails: inside the page first, in files of `folder` then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._srcs: dict[Place, str] = {}
        self._inline = 0
        self._characters = 0
        shutil.rmtree(folder, ignore_errors=True)

    def src(self, place: Place) -> str:
        """The `src` of the picture at `place`, empty where there is none to be seen."""
        if place not in self._srcs:
            jpeg = thumbnail(place)
            self._srcs[place] = self._of(jpeg) if jpeg else ""
        return self._srcs[place]

    def _of(self, jpeg: bytes) -> str:
        text = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        if self._inline < MAX_INLINE and self._characters + len(text) <= MAX_INLINE_CHARACTERS:
            self._inline += 1
            self._characters += len(text)
            return text
        name = f"{hashlib.sha256(jpeg).hexdigest()[:24]}.jpg"
        self._folder.mkdir(exist_ok=True)
        (self._folder / name).write_bytes(jpeg)
        return f"{THUMBS}/{name}"

    def put_in_place(self, target: Path) -> None:
        """Make the files those of `target`; what else lies there stays."""
        for old in target.glob("*.jpg"):
            if _THUMB.fullmatch(old.name):
                old.unlink()
        if self._folder.is_dir():
            target.mkdir(exist_ok=True)
            for new in self._folder.iterdir():
                new.replace(target / new.name)
            self._folder.rmdir()
        elif target.is_dir() and not any(target.iterdir()):
            target.rmdir()


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
        "clip": views.clip,
        "link": views.web_link,
    }
    return environment


def _visible(value: object) -> object:
    """A text with its control characters as signs: HTML would drop some of them, and change others."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "".join(_sign(one) if (one < " " and one not in "\n\t") or one == "\x7f" else one for one in value)


def _sign(one: str) -> str:
    return "\u2421" if one == "\x7f" else chr(0x2400 + ord(one))


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 or share == 0 else f"{share:.1%}" if share >= 0.001 else "<0.1%"


def _bytes(size: int) -> str:
    for unit, large in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if size >= large:
            return f"{size / large:.1f} {unit}"
    return f"{size} B"
