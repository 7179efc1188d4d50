"""The pictures of a page, each with the texts that stand by it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import urljoin

from wenlan_data.extract.data_uris import decode_data_uri
from wenlan_data.extract.html import Element, Page, attribute, base_url, parse_html
from wenlan_data.extract.image_urls import best_image_url, has_image_extension, is_data_uri
from wenlan_data.extract.page_metadata import (
    PageMetadata,
    extract_metadata,
    figure_licence,
    metadata_images,
)
from wenlan_data.extract.surrounding_text import (
    HEADINGS,
    PARAGRAPHS,
    ImagePosition,
    PageOutline,
    image_texts,
    single_line,
)
from wenlan_data.records import Candidate, Drop, Origin, Text

MAX_PAGE_IMAGES = 200
"""Of one page; the rest is left, and said to be."""

_OUTLINE = ", ".join(sorted(HEADINGS | PARAGRAPHS | {"img", "amp-img"}))


@dataclass(slots=True)
class _ImageEntry:
    texts: list[Text] = field(default_factory=list)
    licence: str = ""
    author: str = ""
    origin: Origin | None = None

    def add(self, texts: Sequence[Text], licence: str = "", author: str = "") -> None:
        self.texts += texts
        self.licence = self.licence or licence
        self.author = self.author or author


def page_pairs(
    html: str,
    page_url: str,
    source: str = "",
    *,
    signals: tuple[str, ...] = (),
    page_at: Origin | None = None,
) -> Iterator[Candidate | Drop]:
    """Each picture of the page once, in page order, with all its texts; those of head and JSON-LD come last.

    `signals` are opt-outs that the page's headers state; its own are added. `page_at` says where the page is
    recorded: pictures inside it (`data:`) are taken only then. An address that cannot be read is a `Drop`.
    """
    page = parse_html(html)
    if page is None:
        return
    gathered = _ImageCollector(base_url(page, page_url), page_at)
    for place, outline in _image_positions(page):
        gathered.add(
            best_image_url(place.image),
            partial(image_texts, place, outline),
            figure_licence(place.image),
        )
    for link in page.css("a[href]"):
        address = attribute(link, "href").strip()
        if has_image_extension(address) and link.css_first("img") is None:
            gathered.add(address, partial(_link_text, link))
    for stated in metadata_images(page):
        gathered.add(stated.address, partial(iter, stated.texts), stated.licence, stated.author)
    if gathered.found or gathered.drops:
        yield from gathered.rows(extract_metadata(page), page_url, source, signals)


def _link_text(link: Element) -> Iterator[Text]:
    if text := single_line(link.text()):
        yield Text("title", text)


def _image_positions(page: Page) -> Iterator[tuple[ImagePosition, PageOutline]]:
    outline = PageOutline([], [])
    heading, section = None, 0
    for node in page.css(_OUTLINE):
        name = node.tag
        if name in HEADINGS:
            heading, section = node, section + 1
        elif name in PARAGRAPHS:
            outline.blocks.append((section, node))
        else:
            outline.places.append(ImagePosition(node, len(outline.blocks), section, heading))
    following = [place.block for place in outline.places[1:]]
    places = [
        replace(place, next_block=block)
        for place, block in zip(outline.places, following, strict=False)
    ]
    return ((place, outline) for place in [*places, *outline.places[-1:]])


class _ImageCollector:
    """The pictures of one page by address."""

    def __init__(self, base: str, page_at: Origin | None) -> None:
        self.found: dict[str, _ImageEntry] = {}
        self.drops: list[Drop] = []
        self._base = base
        self._page_at = page_at
        self._full = False

    def add(
        self, address: str, texts: Callable[[], Iterable[Text]], licence: str = "", author: str = ""
    ) -> None:
        """One place where a picture stands; `texts` are looked for only where the picture is taken."""
        if not address:
            return
        url = self._inline(address) if is_data_uri(address) else self._absolute(address)
        if not url:
            return
        if url not in self.found and len(self.found) >= MAX_PAGE_IMAGES:
            if not self._full:
                self.drops.append(
                    Drop(
                        "page_too_large", f"more than {MAX_PAGE_IMAGES} pictures: the rest is left"
                    )
                )
            self._full = True
            return
        one = self.found.setdefault(
            url, _ImageEntry(origin=self._page_at if is_data_uri(address) else None)
        )
        one.add(list(texts()), licence, author)

    def rows(
        self, facts: PageMetadata, page_url: str, source: str, signals: tuple[str, ...]
    ) -> Iterator[Candidate | Drop]:
        """The candidates, then what could not be read."""
        for url, one in self.found.items():
            yield Candidate(
                url=url,
                texts=tuple(dict.fromkeys([*one.texts, *facts.texts])),
                page_url=page_url,
                source=source,
                licence=one.licence or facts.licence,
                author=one.author or facts.author,
                opt_out=tuple(sorted({*signals, *facts.opt_out})),
                origin=one.origin,
            )
        yield from self.drops

    def _absolute(self, address: str) -> str:
        try:
            url = urljoin(self._base, address.strip())
        except ValueError:
            self.drops.append(Drop("bad_url", ascii(address[:200])))
            return ""
        return url.partition("#")[0] if url[:8].lower().startswith(("http://", "https://")) else ""

    def _inline(self, address: str) -> str:
        picture = decode_data_uri(address) if self._page_at else None
        return picture.name if picture else ""
