"""Explains what is extracted from one page: the block that each text is from, and why the other
blocks near an image did not become its texts.

For people who tune the extractor. A build does not use it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from wenlan_data.extract.caption_marks import split_caption
from wenlan_data.extract.data_uris import decode_data_uri
from wenlan_data.extract.html import Page, attribute, base_url, parse_html
from wenlan_data.extract.image_units import ImageUnit
from wenlan_data.extract.image_urls import is_data_uri
from wenlan_data.extract.page_tree import Box, PageImage, PageTree, TextBlock
from wenlan_data.extract.pairs import absolute_url, content_tree, page_pairs
from wenlan_data.extract.runs import Choice, Run, RunText, Slot, is_row, read_run
from wenlan_data.extract.single_line import single_line
from wenlan_data.extract.soft_404 import soft_error_reason
from wenlan_data.extract.surrounding_text import TextDecisions, text_decisions
from wenlan_data.extract.table_columns import column_texts
from wenlan_data.extract.usable_text import UsableTexts
from wenlan_data.records import Candidate, Drop, Origin, Text
from wenlan_data.web.urls import url_problem

NEARBY_BLOCKS = 3
"""Blocks of text on each side of an image whose absence from its texts is explained."""
MAX_BLOCK_CHARACTERS = 1_000
"""Of the text of a block; the rest is cut off."""
MAX_CHECKED_BLOCKS = 3_000
"""On a page with more blocks, only those near an image are checked for a problem."""
MAX_OCCURRENCES = 20
"""Of one image on a page that are listed."""
MAX_IGNORED = 200
"""Images that are no candidates that are listed."""
MAX_COMPARED_CHARACTERS = 2_000
"""Of a block, when that of a text is searched for: a text has 500 characters at most."""
MAX_SEARCHED_BLOCKS = 400
"""Blocks on each side of an image in which the block of a text is searched for."""


ALONE = "its section holds no other image or row of images"
NO_TEXT_NEARBY = "no text near it belongs to it"
ONLY_HEADING = "only the heading above belongs to it"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedBlock:
    """A block of text of a page. Its number is its place in the page, from 0."""

    text: str
    heading: int
    """1 to 6 inside a heading, else 0."""
    problem: str
    """Why it cannot belong to any image, such as `boilerplate`; empty if it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearbyBlock:
    """A block near an image that did not become its text."""

    block: int
    side: Literal["above", "below"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedImage:
    """A candidate of a page, and where its texts are from."""

    candidate: Candidate
    places: tuple[int, ...]
    """Number of blocks before each of its occurrences; empty if it is named in the page's head or
    data only."""
    blocks: tuple[int, ...]
    """The block that each text of the candidate is from; -1 for none."""
    nearby: tuple[NearbyBlock, ...]
    basis: str
    """How its texts were found, in words: by its container, a mark or the vote of its run; empty
    for an image that is no content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredImage:
    """An image of a page that is no candidate: its address is not http(s), or the page has too
    many images."""

    place: int
    """Number of blocks before it."""
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageExplanation:
    """What is extracted from a page, and why."""

    url: str
    """That relative addresses start from."""
    soft_error: str
    """`soft_404` or `captcha` for an error page that was served with status 200."""
    blocks: tuple[ExplainedBlock, ...]
    """Empty for a page without images."""
    images: tuple[ExplainedImage, ...]
    ignored: tuple[IgnoredImage, ...]
    drops: tuple[Drop, ...]
    """Addresses that are no URLs, and the limit of images of a page."""


def explain_page(
    html: str,
    page_url: str = "",
    *,
    fallback_url: str = "",
    signals: tuple[str, ...] = (),
    page_origin: Origin | None = None,
) -> PageExplanation:
    """Explains the candidates of `page_pairs`, in the same order.

    Without `page_url`, the page's own statement of its URL counts, and without one `fallback_url`.

    >>> html = "<p>湖边的小船<p><img src=1.jpg><p>版权所有"
    >>> (image,) = explain_page(html, "http://a.example/").images
    >>> [(text.text, block) for text, block in zip(image.candidate.texts, image.blocks)]
    [('湖边的小船', 0)]
    >>> [(one.block, one.side, one.reason) for one in image.nearby]
    [(1, 'below', 'boilerplate')]
    """
    page = parse_html(html)
    url = page_url or (stated_url(page) if page is not None else "") or fallback_url
    rows = list(page_pairs(html, url, signals=signals, page_origin=page_origin))
    candidates = [row for row in rows if isinstance(row, Candidate)]
    drops = tuple(row for row in rows if isinstance(row, Drop))
    soft_error = soft_error_reason(html)
    if page is None:
        return PageExplanation(
            url=url, soft_error=soft_error, blocks=(), images=(), ignored=(), drops=drops
        )
    base = base_url(page, url)
    tree = content_tree(page, url, base)
    decisions = text_decisions(tree)
    occurrences, ignored = _occurrences(tree, candidates, base, has_origin=page_origin is not None)
    images = _explained_images(candidates, occurrences, tree, decisions)
    return PageExplanation(
        url=url,
        soft_error=soft_error,
        blocks=_explained_blocks(tree, decisions.usable, occurrences.values()),
        images=images,
        ignored=ignored,
        drops=drops,
    )


def stated_url(page: Page) -> str:
    """Returns the absolute http(s) URL that a page states as its own, in `<link rel=canonical>` or
    `og:url`; empty for none."""
    link, meta = page.css_first("link[rel=canonical]"), page.css_first('meta[property="og:url"]')
    stated = (
        attribute(link, "href") if link is not None else "",
        attribute(meta, "content") if meta is not None else "",
    )
    urls = (url.strip() for url in stated)
    return next((url for url in urls if url and url_problem(url) is None), "")


def _occurrences(
    tree: PageTree, candidates: Sequence[Candidate], base: str, *, has_origin: bool
) -> tuple[dict[int, list[PageImage]], tuple[IgnoredImage, ...]]:
    """The images of the page of each candidate, by its place among them, and the images that are
    no candidate."""
    numbers = {candidate.url: number for number, candidate in enumerate(candidates)}
    found: dict[int, list[PageImage]] = defaultdict(list)
    ignored: list[IgnoredImage] = []
    for image in (*tree.images, *tree.hidden_images):
        number = numbers.get(_candidate_url(image.address, base, has_origin=has_origin))
        if number is not None:
            found[number].append(image)
        elif len(ignored) < MAX_IGNORED:
            ignored.append(IgnoredImage(place=image.text_number, address=image.address[:500]))
    return found, tuple(ignored)


def _candidate_url(address: str, base: str, *, has_origin: bool) -> str:
    if is_data_uri(address):
        inline = decode_data_uri(address) if has_origin else None
        return inline.name if inline else ""
    try:
        return absolute_url(address, base)
    except ValueError:
        return ""


def _explained_images(
    candidates: Sequence[Candidate],
    occurrences: Mapping[int, Sequence[PageImage]],
    tree: PageTree,
    decisions: TextDecisions,
) -> tuple[ExplainedImage, ...]:
    blocks = [
        _blocks_of_texts(candidate.texts, occurrences.get(number, ()), tree, decisions)
        for number, candidate in enumerate(candidates)
    ]
    owners: dict[int, list[int]] = defaultdict(list)
    for number, some in enumerate(blocks):
        for block in sorted(set(some) - {-1}):
            owners[block].append(number)
    reasons = _Reasons(decisions, owners)
    return tuple(
        ExplainedImage(
            candidate=candidate,
            places=tuple(
                image.text_number for image in occurrences.get(number, ())[:MAX_OCCURRENCES]
            ),
            blocks=blocks[number],
            nearby=reasons.nearby(number, occurrences.get(number, ())),
            basis=(
                reasons.basis(occurrences[number])
                if number in occurrences
                else _basis_elsewhere(candidate.texts)
            ),
        )
        for number, candidate in enumerate(candidates)
    )


def _explained_blocks(
    tree: PageTree, usable: UsableTexts, images: Iterable[Sequence[PageImage]]
) -> tuple[ExplainedBlock, ...]:
    near: set[int] = set()
    if len(tree.texts) > MAX_CHECKED_BLOCKS:
        for image in (image for some in images for image in some):
            near.update(block.number for _, block in _blocks_near(image, tree))
    else:
        near.update(range(len(tree.texts)))
    return tuple(
        ExplainedBlock(
            # A block that is an edit link alone has no text.
            text=(block.text or single_line(block.raw))[:MAX_BLOCK_CHARACTERS],
            heading=block.heading,
            problem=usable.problem(block) if block.number in near else "",
        )
        for block in tree.texts
    )


def _blocks_near(
    image: PageImage, tree: PageTree
) -> Iterator[tuple[Literal["above", "below"], TextBlock]]:
    place = image.text_number
    for block in tree.texts[max(0, place - NEARBY_BLOCKS) : place]:
        yield "above", block
    for block in tree.texts[place : place + NEARBY_BLOCKS]:
        yield "below", block


def _blocks_of_texts(
    texts: Sequence[Text],
    images: Sequence[PageImage],
    tree: PageTree,
    decisions: TextDecisions,
) -> tuple[int, ...]:
    """The block of each text, by its words: a text may be a part of its block, or hold more."""
    found: dict[Text, int] = {}
    for image in images:
        for text in decisions.found.get(image.number, ()):
            if text not in found and text.relation not in {"attribute", "page"}:
                found[text] = _block_of_text(text, image.text_number, tree)
    return tuple(found.get(text, -1) for text in texts)


def _block_of_text(text: Text, place: int, tree: PageTree) -> int:
    first, last = max(0, place - MAX_SEARCHED_BLOCKS), place + MAX_SEARCHED_BLOCKS

    def rank(block: TextBlock) -> tuple[bool, int, int]:
        is_above = block.number < place
        on_wrong_side = text.relation == ("below" if is_above else "above")
        distance = place - block.number if is_above else block.number - place + 1
        return (on_wrong_side, _difference(text.text, block.text), distance)

    blocks = [block for block in tree.texts[first:last] if _difference(text.text, block.text) < 3]
    return min(blocks, key=rank).number if blocks else -1


def _difference(words: str, block: str) -> int:
    """0 if a text is a whole block, 1 if a part of it, 2 if it begins or ends with it, else 3."""
    block = block[:MAX_COMPARED_CHARACTERS]
    if words == block:
        return 0
    if words in block:
        return 1
    return 2 if words.startswith(block) or words.endswith(block) else 3


class _Reasons:
    """Finds why blocks near an image did not become its texts."""

    def __init__(self, decisions: TextDecisions, owners: Mapping[int, Sequence[int]]) -> None:
        self._usable = decisions.usable
        self._tree = decisions.usable.tree
        self._owners = owners
        """Block to the candidates that have a text of it."""
        self._found = decisions.found
        self._blocks_of_runs: dict[int, frozenset[int]] = {}
        self._own_runs: dict[int, tuple[Run | None, int]] = {}
        self._units: dict[int, ImageUnit] = {}
        self._slots: dict[int, tuple[Run, int]] = {}
        for unit in decisions.units:
            for image in unit.images:
                self._units.setdefault(image.number, unit)
        for run in decisions.runs:
            for place, slot in enumerate(run.slots):
                for image in slot.unit.images if slot.unit is not None else ():
                    self._slots.setdefault(image.number, (run, place))

    def basis(self, images: Sequence[PageImage]) -> str:
        """How the texts of the first content occurrence of a candidate were found, in words."""
        image = _first_content(images)
        if image is None:
            return ""
        unit = self._units.get(image.number)
        if unit is not None and unit.containers and self._has_container_text(image):
            if column_texts(unit, self._usable) is not None:
                return f"its table has texts in the columns of its {len(unit.images)} images"
            return f"the {unit.containers[0].tag[:30]} element around it holds no other image"
        found = self._found.get(image.number, ())
        if not any(map(_is_of_block, found)):
            is_headed = any(text.type == "heading" for text in found)
            return ONLY_HEADING if is_headed else NO_TEXT_NEARBY
        run, place = self._run_of(image)
        if run is None:
            return ""
        choice = run.choices.get(place)
        if choice is not None and choice.is_pointed:
            return _pointed_in_words(choice, run.slots[place])
        if choice is not None and len(run.slots) == 1:
            return f"the text {choice.side} it is the nearest one"
        return ALONE if _is_alone(run, run.slots[place]) else run_in_words(run)

    def nearby(self, number: int, images: Sequence[PageImage]) -> tuple[NearbyBlock, ...]:
        """The blocks near the first content occurrence of a candidate that are none of its
        texts."""
        image = _first_content(images)
        if image is None:
            return ()
        return tuple(
            NearbyBlock(block=block.number, side=side, reason=self._reason(block, side, image))
            for side, block in _blocks_near(image, self._tree)
            if number not in self._owners.get(block.number, ())
        )

    def _reason(self, block: TextBlock, side: str, image: PageImage) -> str:
        if problem := self._usable.problem(block):
            return problem
        if others := self._owners.get(block.number):
            return _belongs([one + 1 for one in others])
        if block.heading:
            return self._reason_of_heading(side, image)
        unit = self._units.get(image.number)
        if unit is not None and unit.containers and self._has_container_text(image):
            if _holds(unit.containers[-1], block):
                return "another text of its container fits better"
            return "outside the container that holds the image and its text"
        run, place = self._run_of(image)
        if run is None:
            return "in another part of the page"
        slot = run.slots[place]
        beside = slot.before if side == "above" else slot.after
        text = next((one for one in beside if block in one.blocks), None)
        if text is not None:
            return _reason_in_run(text, side, run, slot, run.choices.get(place))
        if self._is_in_run(block, run):
            return "behind another image or a heading"
        return "in another part of the page"

    def _reason_of_heading(self, side: str, image: PageImage) -> str:
        if side == "below":
            return "a heading of what follows it"
        has_heading = any(text.type == "heading" for text in self._found.get(image.number, ()))
        return "another heading is nearer" if has_heading else "a heading of another part"

    def _run_of(self, image: PageImage) -> tuple[Run | None, int]:
        """The run in which the texts of an image were found, and its slot: that of its own
        container, such as an article, or else one with other images."""
        if image.number not in self._own_runs:
            self._own_runs[image.number] = self._find_run(image)
        return self._own_runs[image.number]

    def _find_run(self, image: PageImage) -> tuple[Run | None, int]:
        unit = self._units.get(image.number)
        if unit is not None and unit.containers:
            run = read_run(unit.containers[0], {id(unit.node): unit}, self._usable)
            for place, slot in enumerate(run.slots):
                if slot.unit is unit:
                    return run, place
        return self._slots.get(image.number, (None, 0))

    def _is_in_run(self, block: TextBlock, run: Run) -> bool:
        if id(run) not in self._blocks_of_runs:
            self._blocks_of_runs[id(run)] = frozenset(
                one.number for text in run.texts for one in text.blocks
            )
        return block.number in self._blocks_of_runs[id(run)]

    def _has_container_text(self, image: PageImage) -> bool:
        return any(
            text.relation in {"container", "figcaption"} and text.type != "heading"
            for text in self._found.get(image.number, ())
        )


def _is_of_block(text: Text) -> bool:
    """Whether a text is from a block near its image, and is no heading."""
    return text.relation not in {"attribute", "page"} and text.type != "heading"


def _basis_elsewhere(texts: Sequence[Text]) -> str:
    """How the texts of an image that does not stand in the page were found, in words."""
    relations = {text.relation for text in texts} - {"page"}
    if relations & {"container", "shared"}:
        return "stated with it in the data of the page"
    if relations:
        return "stated with it in a link, in the head or in the data of the page"
    return "named in a link, in the head or in the data of the page, without a text of its own"


def _pointed_in_words(choice: Choice, slot: Slot) -> str:
    """Why the texts of a choice are those of their slot, whatever the rest of the run is like."""
    count = len(slot.unit.images) if slot.unit is not None else 1
    if count > 1 and any(is_row(text, count) for text in choice.texts):
        return f"the row {choice.side} it holds one text for each of its {count} images"
    if count > 1 and any(split_caption(text.text, count) for text in choice.texts):
        return f"the text {choice.side} it has a part for each of its {count} images"
    return f"the text {choice.side} it points at it"


def _first_content(images: Sequence[PageImage]) -> PageImage | None:
    return next((image for image in images if image.number >= 0), None)


def _belongs(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"belongs to image {numbers[0]}"
    shown = ", ".join(map(str, numbers[:-1]))
    return f"belongs to images {shown} and {numbers[-1]}"


def _is_alone(run: Run, slot: Slot) -> bool:
    """Whether a slot is the only one of a section with a heading, which is not voted on."""
    return run.sections[slot.section] == 1 and slot.heading is not None


def _reason_in_run(text: RunText, side: str, run: Run, slot: Slot, choice: Choice | None) -> str:
    if choice is None:
        return "not formatted like the captions of its run"
    if choice.side != side:
        if choice.is_pointed:
            return _pointed_in_words(choice, slot).replace(" it ", " the image ", 1)
        if _is_alone(run, slot):
            return f"the text {choice.side} the image comes first"
        if run.votes is not None and run.votes.side is None:
            return f"the text {choice.side} the image was taken, which is not certain"
        return f"texts stand {choice.side} the images here"
    return _reason_on_side(text, choice)


def _reason_on_side(text: RunText, choice: Choice) -> str:
    if any(text is one for one in choice.texts):
        return "a longer block of the same box comes first"
    return "not next to the image"


def _holds(box: Box, block: TextBlock) -> bool:
    return box.first_text <= block.number < box.last_text


def run_in_words(run: Run) -> str:
    """Returns on which side the texts of a run stand, with the number of images that have one on
    each side; empty for a run without a vote.

    An example: `texts stand below: 4 of 4 images have one below, 3 of 4 above`.
    """
    votes = run.votes
    if votes is None or not run.texts:
        return ""
    slots = len(run.slots)
    side = votes.below if votes.side == "below" else votes.above
    is_special = votes.side is not None and bool(side.special)
    below, above = (
        (
            sum(text is not None and text.signature in side.special for text in one.adjacent)
            if is_special
            else sum(text is not None for text in one.adjacent)
        )
        for one in (votes.below, votes.above)
    )
    counted = f"{below} of {slots} images have one below, {above} of {slots} above"
    if votes.side is None:
        return f"texts stand above or below, which is not certain: {counted}"
    kind = "texts in one format" if is_special else "texts"
    by = ", as empty lines show" if votes.by_lines else ""
    return f"{kind} stand {votes.side}{by}: {counted}"
