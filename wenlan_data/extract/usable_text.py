"""The blocks of text of a page that may belong to an image."""

import re
from collections import Counter
from functools import lru_cache
from itertools import filterfalse, islice

from wenlan_data.clean.credits import is_credit
from wenlan_data.clean.rules.boilerplate import is_boilerplate
from wenlan_data.clean.rules.file_name import FileName
from wenlan_data.extract.caption_marks import figure_number
from wenlan_data.extract.html import attribute
from wenlan_data.extract.page_regions import class_words, is_secondary
from wenlan_data.extract.page_tree import Box, PageTree, TextBlock
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

MIN_REPEATS = 3
"""A text that occurs this often on a page is part of its template: 馆藏, 小城自营."""
MAX_BYLINE_CHARACTERS = 60
MAX_QUOTE_LEVELS = 4
"""Boxes between a text and the quotation that holds it."""
MAX_LINE_CHARACTERS = 300
"""Of a text whose decision is remembered for other pages: hostile pages hold texts of some MB."""

_TWO_LETTERS = re.compile(r"[^\W\d_].*?[^\W\d_]")
_HAN = re.compile("[\u3400-\u9fff]")
_LEADING_MARKS = re.compile(r"\A[\s\u200b　▲△▼▽↑↓◎●■|｜]+")
# 图片:1.jpg, 附件：1.jpg
_FILE_LABEL = re.compile(r"(?:图片|圖片|附件|文件|附图|照片)\s?\d?\s?[:：]\s?")
# 老陈 写道：皮带换了新的.
_QUOTED = re.compile(r".{1,24}?\s?(?:写道|寫道|发表于|發表於|wrote)")
_file_name = FileName()
_LINKED_ELSEWHERE = frozenset({Reason.RECOMMENDATION, Reason.ADVERTISEMENT, Reason.LOGO})


def is_junk(text: str) -> bool:
    """Whether a text is boilerplate, a file name, or no words at all."""
    return _is_junk_line(text) if len(text) <= MAX_LINE_CHARACTERS else _is_any_junk(text)


def _is_any_junk(text: str) -> bool:
    if not _TWO_LETTERS.search(text[:40]):
        return True
    if "." in text and isinstance(_file_name(_FILE_LABEL.sub("", text, count=1)), Drop):
        return True
    # Text rules reject other languages later; the words of the interface are Chinese.
    return bool(_HAN.search(text)) and is_boilerplate(text)


_is_junk_line = lru_cache(maxsize=20_000)(_is_any_junk)


def is_credit_line(text: str) -> bool:
    """Whether a line is a credit and nothing else, such as 本社记者 李四 摄."""
    return len(text) <= MAX_BYLINE_CHARACTERS and _is_credit_line(text)


@lru_cache(maxsize=20_000)
def _is_credit_line(text: str) -> bool:
    return is_credit(_LEADING_MARKS.sub("", text, count=1))


def _links_elsewhere(tree: PageTree) -> set[str]:
    """Targets of the links around images that lead to other pages: the words in links to these pages
    are about them."""
    found = set()
    for image in tree.images:
        box: Box | None = image.parent
        while image.reason and image.reason.reason in _LINKED_ELSEWHERE and box is not None:
            if box.tag == "a":
                found.add((box.attributes.get("href") or "").strip())
                break
            box = box.parent
    return found - {""}


class UsableTexts:
    """Decides which blocks of text of a page may belong to an image; remembers each decision."""

    def __init__(self, tree: PageTree) -> None:
        self.tree = tree
        self._problems: list[str | None] = [None] * len(tree.texts)
        self._following = list(range(len(tree.texts) + 1))
        self._elsewhere = _links_elsewhere(tree)
        self._repeats = Counter(block.raw.strip() for block in tree.texts)

    def is_usable(self, block: TextBlock) -> bool:
        """Whether a block may belong to an image: it has no `problem`."""
        return not self.problem(block)

    def problem(self, block: TextBlock) -> str:
        """Returns why a block cannot belong to an image; an empty string if it can.

        It has two letters or more, is no boilerplate, file name or credit, occurs less than three
        times on the page, and stands neither in navigation nor among links alone, nor in a link to
        another page with an image of its own.
        """
        known = self._problems[block.number]
        if known is None:
            known = self._find_problem(block)
            self._problems[block.number] = known
        return known

    def _find_problem(self, block: TextBlock) -> str:
        text = block.text
        if not figure_number(text):
            # The patterns of credits and boilerplate take most of the time.
            if self._repeats[block.raw.strip()] >= MIN_REPEATS:
                return "repeated on the page"
            if self.is_link_list(block):
                return "a list of links"
            if self._elsewhere and any(
                attribute(link, "href").strip() in self._elsewhere for link in block.links
            ):
                return "in a link to another page"
            if is_credit_line(text):
                return "a credit"
            if is_junk(text):
                return "boilerplate"
        if is_secondary(self.tree, block.parent):
            return "in the header, navigation, sidebar, footer or comments"
        return "a quotation of another post" if self._is_quoted(block) else ""

    def _is_quoted(self, block: TextBlock) -> bool:
        """Whether a block stands in a box of quotations whose first line names another author."""
        box: Box | None = block.parent
        for _ in range(MAX_QUOTE_LEVELS):
            if box is None:
                return False
            if box.tag == "blockquote" or "quote" in class_words(box.classes):
                return bool(_QUOTED.match(self.tree.texts[box.first_text].raw[:200].strip()[:60]))
            box = box.parent
        return False

    def is_link_list(self, block: TextBlock) -> bool:
        """Whether a block consists of several links for the most part."""
        if not block.link_characters:
            return False
        return len(block.links) > 1 and 2 * block.link_characters > len(block.text)

    def has_any(self, first: int, last: int) -> bool:
        """Whether a block from `first` up to `last` is usable."""
        place = self._next(first)
        while place < last:
            if not self.problem(self.tree.texts[place]):
                return True
            self._following[place] = place + 1
            place = self._next(place + 1)
        return False

    def _next(self, place: int) -> int:
        """The first block from `place` on that `has_any` did not find to be unusable.

        Nested boxes are asked about the same blocks: each is passed once, as in a union-find.
        """
        following = self._following
        while following[place] != place:
            following[place] = following[following[place]]
            place = following[place]
        return place

    def first_of(self, box: Box, count: int) -> list[TextBlock]:
        """The first usable blocks of a box."""
        return list(islice(filterfalse(self.problem, self.tree.texts_of(box)), count))

    def of(self, box: Box) -> list[TextBlock]:
        """The usable blocks of a box."""
        return list(filterfalse(self.problem, self.tree.texts_of(box)))
