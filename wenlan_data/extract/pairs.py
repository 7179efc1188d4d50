"""Image-text pairs of a page: each image once, with all its texts."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from wenlan_data.clean.emoticons import without_emoticons
from wenlan_data.clean.masking import mask_contact_info
from wenlan_data.clean.rules.boilerplate import is_boilerplate
from wenlan_data.extract.avatars import avatars
from wenlan_data.extract.data_uris import decode_data_uri
from wenlan_data.extract.html import Element, Page, attribute, joined_base, parse_html
from wenlan_data.extract.image_urls import has_image_extension, is_data_uri
from wenlan_data.extract.inert_html import inert_html
from wenlan_data.extract.json_ld import TITLE_CONFIDENCE
from wenlan_data.extract.non_content import NonContent
from wenlan_data.extract.page_elements import Attributes, PageElements, page_elements
from wenlan_data.extract.page_metadata import (
    FigureLicences,
    PageMetadata,
    extract_metadata,
    metadata_images,
)
from wenlan_data.extract.page_regions import simplified
from wenlan_data.extract.page_tree import PageImage, PageTree, page_tree
from wenlan_data.extract.script_json import json_attributes, page_scripts
from wenlan_data.extract.script_state import script_images
from wenlan_data.extract.single_line import single_line, truncate
from wenlan_data.extract.surrounding_text import (
    ATTRIBUTE,
    MAX_TEXT_CHARACTERS,
    caption_attributes,
    image_texts,
)
from wenlan_data.reasons import Reason
from wenlan_data.records import MAX_FALLBACK_URLS, Candidate, Drop, Origin, Text, merge_equal_texts
from wenlan_data.web.domains import site_of_host
from wenlan_data.web.urls import joined

_HTTP_WITH_PATH = re.compile(r"https?://[^/?]+(?:/+[^/?]|/*\?.)", re.IGNORECASE)

MAX_PAGE_IMAGES = 200
"""Of one page. If there are more, the rest is left out and one drop records it."""
MAX_IMAGE_TEXTS = 50
"""Of one image, over all its places in the page."""


@dataclass(slots=True)
class _ImageEntry:
    """Texts and rights of one image, over all its occurrences in the page."""

    texts: list[Text] = field(default_factory=list)
    licence: str = ""
    author: str = ""
    origin: Origin | None = None
    no_content: Drop | None = None
    copies: dict[str, None] = field(default_factory=dict)
    """Absolute addresses of other copies, the best first."""

    def add(self, texts: Sequence[Text], licence: str, author: str) -> None:
        self.texts += texts
        self.licence = self.licence or licence
        self.author = self.author or author


def page_pairs(
    html: str,
    page_url: str,
    source: str = "",
    *,
    signals: tuple[str, ...] = (),
    page_origin: Origin | None = None,
) -> Iterator[Candidate | Drop]:
    """Yields each image of a page once, in document order, with all its texts; head and JSON-LD
    last.

    `signals` are opt-outs of the page's HTTP headers; those of its `<meta>` are added.
    `page_origin` is the record of the page; without it, images inside the page (`data:`) are
    ignored. An unreadable URL is a `Drop`.
    """
    page = parse_html(html)
    if page is None:
        return
    elements = page_elements(page)
    base = _base_url(elements, page_url)
    images = _ImageCollector(base, page_origin)
    tree = content_tree(page, page_url, base)
    _add_tree_images(images, tree, elements)
    if tree.left_out:
        images.leave_out(tree.left_out)
    tree.close()
    _add_inert_images(images, elements, page_url, base)
    state = chain(page_scripts(elements), json_attributes(page, html))
    for shown in script_images(state):
        images.add(shown.url, partial(iter, shown.texts), copies=shown.smaller_urls)
    for link, attributes in elements.links:
        href = (attributes.get("href") or "").strip()
        if has_image_extension(href) and link.css_first("img") is None:
            images.add(href, partial(_link_texts, link, attributes))
    for named in metadata_images(elements):
        images.add(
            named.url,
            partial(iter, named.texts),
            named.licence,
            named.author,
            copies=named.smaller_urls,
        )
    # Last, so that an image that the page shows elsewhere, or names as its own, is content.
    for image in tree.hidden_images:
        _add_page_image(images, image, _alt(image))
    if images.entries or images.drops:
        yield from images.rows(extract_metadata(elements), page_url, source, signals)


def _base_url(elements: PageElements, page_url: str) -> str:
    for _, attributes in elements.bases:
        if "href" in attributes:
            return joined_base(page_url, attributes["href"] or "")
    return page_url


def load_word_lists() -> None:
    """Loads the lists of words and domains that reading a page opens at its first use."""
    is_boilerplate("首页")
    without_emoticons("[哈哈]")
    simplified("圖")
    site_of_host("a.cn")


def content_tree(page: Page, page_url: str, base: str) -> PageTree:
    """Returns the tree of a page; its images have a reason if they are no content, else a
    number."""
    tree = page_tree(page)
    decide = NonContent(tree, page_url, base)
    for image in tree.images:
        image.reason = decide.reason(image)
    for image in tree.hidden_images:
        emoticon, menu = Drop(Reason.EMOTICON), Drop(Reason.NAVIGATION, "in a menu over the page")
        image.reason = emoticon if image.is_symbol else menu
    for image in avatars(tree):
        image.reason = Drop(Reason.AVATAR, "beside the name of an author")
    tree.number_images()
    return tree


def absolute_url(reference: str, base: str) -> str:
    """Returns the absolute URL of an image without its fragment; empty if it is not http(s), or is
    the address of a page: `base`, or one without path and query.

    Raises `ValueError` for a reference that is no URL.

    >>> absolute_url("1.jpg#top", "http://a.cn/x/"), absolute_url("//", "http://a.cn/x/")
    ('http://a.cn/x/1.jpg', '')
    """
    url = joined(base, reference.strip()).partition("#")[0]
    return url if url != base and _HTTP_WITH_PATH.match(url) else ""


def _link_texts(link: Element, attributes: Attributes) -> Iterator[Text]:
    for caption in caption_attributes(attributes):
        words = truncate(single_line(caption), MAX_TEXT_CHARACTERS)
        yield Text("figcaption", words, "attribute", ATTRIBUTE)
    if text := single_line(link.text()):
        yield Text("title", truncate(text, MAX_TEXT_CHARACTERS), "attribute", TITLE_CONFIDENCE)


def _add_tree_images(images: "_ImageCollector", tree: PageTree, elements: PageElements) -> None:
    texts = image_texts(tree)
    licences = FigureLicences(elements)
    for image in tree.images:
        found = texts.get(image.number)
        found = _alt(image) if found is None else found
        _add_page_image(images, image, found, licences.of(image.element))


def _add_inert_images(
    images: "_ImageCollector", elements: PageElements, page_url: str, base: str
) -> None:
    """Adds the images of HTML that a script would show."""
    for fragment in inert_html(elements):
        page = parse_html(fragment)
        if page is not None:
            inner = content_tree(page, page_url, base)
            _add_tree_images(images, inner, page_elements(page))
            inner.close()


def _alt(image: PageImage) -> list[Text]:
    alt = attribute(image.element, "alt")
    return [Text("alt", truncate(alt, MAX_TEXT_CHARACTERS), "attribute", ATTRIBUTE)] if alt else []


def _add_page_image(
    images: "_ImageCollector", image: PageImage, texts: Sequence[Text], licence: str = ""
) -> None:
    images.add(
        image.address,
        partial(iter, texts),
        licence,
        no_content=image.reason,
        in_page=True,
        copies=image.addresses[1:],
    )


class _ImageCollector:
    """The images of one page by absolute URL."""

    def __init__(self, base: str, page_origin: Origin | None) -> None:
        self.entries: dict[str, _ImageEntry] = {}
        self.drops: list[Drop] = []
        self._base = base
        self._page_origin = page_origin
        self._is_full = False

    def add(
        self,
        reference: str,
        texts: Callable[[], Iterable[Text]],
        licence: str = "",
        author: str = "",
        *,
        no_content: Drop | None = None,
        in_page: bool = False,
        copies: Sequence[str] = (),
    ) -> None:
        """Adds one occurrence of an image, by its URL as written.

        `texts` is called only if the image is within the limit of the page, since finding them
        takes most of the time. `copies` are other addresses of it, the best first.
        """
        if not reference:
            return
        is_inline = is_data_uri(reference)
        url = self._inline_name(reference) if is_inline else self._absolute_url(reference)
        if not url:
            return
        if url not in self.entries and len(self.entries) >= MAX_PAGE_IMAGES:
            self.leave_out(f"more than {MAX_PAGE_IMAGES} images: the rest is left out")
            return
        origin = self._page_origin if is_inline else None
        entry = self.entries.get(url)
        if entry is None:
            entry = self.entries[url] = _ImageEntry(origin=origin, no_content=no_content)
        found = list(texts()) if len(entry.texts) < MAX_IMAGE_TEXTS else []
        entry.add(found, licence, author)
        if copies:
            entry.copies |= dict.fromkeys(self._fallback_urls(url, copies[:MAX_FALLBACK_URLS]))
        if in_page and no_content is None:
            # One occurrence as content is enough.
            entry.no_content = None

    def leave_out(self, detail: str) -> None:
        """Records that a part of the page is left out, once. The detail is published in `drops/`,
        so its wording is part of the corpus."""
        if not self._is_full:
            self.drops.append(Drop(Reason.PAGE_TOO_LARGE, detail))
        self._is_full = True

    def rows(
        self, metadata: PageMetadata, page_url: str, source: str, signals: tuple[str, ...]
    ) -> Iterator[Candidate | Drop]:
        """Yields the candidates, then the drops."""
        for url, entry in self.entries.items():
            yield Candidate(
                url=url,
                texts=merge_equal_texts([*entry.texts, *metadata.texts]),
                page_url=page_url,
                source=source,
                licence=entry.licence or metadata.licence,
                author=entry.author or metadata.author,
                opt_out=tuple(sorted({*signals, *metadata.opt_out})),
                origin=entry.origin,
                no_content=entry.no_content,
                fallback_urls=tuple(entry.copies)[:MAX_FALLBACK_URLS],
            )
        yield from self.drops

    def _absolute_url(self, reference: str) -> str:
        try:
            return absolute_url(reference, self._base)
        except ValueError:
            # Before it is escaped: the digits of an escape hide those of a telephone number.
            words = mask_contact_info(reference[:200])
            self.drops.append(Drop(Reason.BAD_URL, ascii(words)))
            return ""

    def _fallback_urls(self, url: str, copies: Sequence[str]) -> Iterator[str]:
        for copy in copies:
            try:
                absolute = absolute_url(copy, self._base)
            except ValueError:
                continue
            if absolute and absolute != url:
                yield absolute

    def _inline_name(self, data_uri: str) -> str:
        image = decode_data_uri(data_uri) if self._page_origin else None
        return image.name if image else ""
