"""Images that are no content: avatars, QR codes, advertisements, logos, share buttons, links to other
pages, furniture.

Each has a drop reason of its own. What an image is follows from the words that its page uses about
it (`alt`, class names, address), from the link around it, and from the part of the page in which it
stands.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cached_property, lru_cache
from urllib.parse import unquote, urljoin, urlsplit

from wenlan_data.extract.image_urls import has_image_extension, is_data_uri
from wenlan_data.extract.page_regions import (
    MIN_RUNNING_HAN,
    is_list_heading,
    is_secondary,
    simplified,
)
from wenlan_data.extract.page_tree import Box, PageImage, PageTree, TextBlock, shape
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.domains import site_of_host

MIN_REPEATS = 3
"""Places of one image on a page, from which on it is a badge or a star, or a missing image."""
MAX_NAMED_BOXES = 4
"""Boxes around an image whose names describe it, as long as they hold no other image and little
text."""
# Parts of class names and ids between separators, in English and in Pinyin.
_NAME_PARTS: tuple[tuple[Reason, frozenset[str]], ...] = (
    (Reason.AVATAR, frozenset("""
        avatar avatars face userface portrait headimg headpic headportrait userpic userimg userphoto userhead authorpic
        authorimg authoravatar authorphoto touxiang gravatar uface facepic
    """.split())),
    (Reason.QR_CODE, frozenset("qr qrcode ewm erweima qrimg wxcode weixincode wechatcode".split())),
    (Reason.LOGO, frozenset("logo sitelogo weblogo".split())),
)  # fmt: skip
# Words with other meanings in part of a name (needInitShare, gallery-icon): the whole name counts.
_WHOLE_NAMES: tuple[tuple[Reason, frozenset[str]], ...] = (
    (Reason.ADVERTISEMENT, frozenset("""
        ad ads adv advert advertisement adsbygoogle guanggao gg sponsor adimg adpic adbox article-ad
    """.split())),
    (Reason.SHARE_BUTTON, frozenset("share bdshare jiathis fenxiang share-icon".split())),
    (Reason.ICON, frozenset("icon icons ico iconfont spacer emoji emoticon smiley arrow".split())),
    (Reason.AVATAR, frozenset("""
        author user person userinfo user-info authorinfo author-info profile publisher writer poster-info note-author
        authi member agent broker seller
    """.split())),
)  # fmt: skip
# Names of folders, and parts of the names of files.
_ADDRESS_PARTS: tuple[tuple[Reason, frozenset[str]], ...] = (
    (Reason.AVATAR, frozenset("""
        avatar avatars portrait headimg headpic userface touxiang gravatar uface noavatar
    """.split())),
    (Reason.QR_CODE, frozenset("qrcode ewm erweima".split())),
    (Reason.ADVERTISEMENT, frozenset("ads adv advert adimg guanggao banner banners".split())),
    (Reason.LOGO, frozenset("logo logos sitelogo".split())),
    (Reason.ICON, frozenset("icon icons ico emoji emoticon smiley smilies".split())),
)  # fmt: skip
_ADDRESS_REASONS = {part: reason for reason, parts in reversed(_ADDRESS_PARTS) for part in parts}
# An `alt` or `title` that is one of these and nothing else, or ends with it.
_ALT: tuple[tuple[Reason, re.Pattern[str]], ...] = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        (Reason.AVATAR, r"(?:.{0,12}的)?(?:用户|会员|作者|个人|默认|楼主)?(?:头像|頭像)\Z|avatar\Z"),
        (
            Reason.QR_CODE,
            r".{0,16}(?:二维码|二維碼|小程序码|太阳码|QR ?code|收款码|公众号|公眾號|服务号|订阅号|官方微信|官方微博)\Z"
            r"|(?:微信|支付宝|支付寶)?(?:扫码|掃碼|扫一扫|掃一掃|关注|關注|打赏|打賞|赞赏|支付|收款|捐赠).{0,8}\Z|支付宝\Z|支付寶\Z|微信\Z",
        ),
        (
            Reason.ADVERTISEMENT,
            r"(?:.{0,8})(?:广告|廣告|推广|推廣)(?:位|图)?\d{0,3}\Z|banner\d{0,3}\Z"
            r"|限时(?:秒杀|抢购|优惠|特惠)\Z",
        ),
        (Reason.LOGO, r".{0,16}(?:logo|标志图|站标|台标)\Z"),
        (Reason.SHARE_BUTTON, r"(?:分享|转发|轉發)(?:到|至|给|給)?.{0,12}\Z|share(?: (?:on|to) .{1,20})?\Z"),
        (
            Reason.NAVIGATION,
            r"(?:下载|下載|安装|打开)?.{0,6}(?:客户端|客戶端|APP)(?:下载|下載|二维码)?\Z|返回顶部\Z|回到顶部\Z"
            r"|网警|网络警察|公安备案|网安备案|政府网站找错|党政机关|事业单位|无障碍|适老化|举报",
        ),
    )
)  # fmt: skip
# 扫一扫 关注官方微信: a line beside a QR code.
_QR_LINE = re.compile(
    r"扫一扫|扫码|扫描|长按.{0,6}(?:识别|图片|保存)|识别.{0,6}二维码|二维码|扫我|掃一掃|掃碼|掃描|(?:关注|關注)(?:我们|我們|公众号|公眾號|微信|官方)"
    r"|请我喝|打赏|打賞|赞赏|赞助|手机端|客户端|客戶端|公众号|公眾號|小程序"
)
_ADVERTISEMENT_SIZES = frozenset({
    (728, 90), (468, 60), (300, 250), (336, 280), (250, 250), (160, 600), (120, 600), (970, 90), (970, 250),
    (320, 50), (320, 100), (300, 600), (234, 60), (120, 240), (125, 125), (180, 150), (760, 90), (960, 90),
})  # fmt: skip
"""Width and height in pixels of the Interactive Advertising Bureau's units, and of two of Chinese
portals."""
MAX_LINE_CHARACTERS = 30
"""Of the text beside a QR code or a portrait."""
MAX_NAME_BLOCKS = 4
MAX_NAME_CHARACTERS = 60
"""In a box around an image that is described by the box's name: an author's name, place and
time."""
MIN_TITLE_HAN = 4
MIN_CARDS = 2
MAX_CARD_IMAGES = 3
MAX_CARD_BLOCKS = 12
LIST_WEIGHT = 1.5
"""How much more running text than a list of cards a page has to have, to be an article with a list
beside it."""
MIN_ARTICLE_HAN = 150
MAX_NAME_HAN = 6
"""Of a user's name beside a time."""
MAX_ALT_HAN = 10
"""Of the `alt` of a portrait. A longer one describes an image."""
MAX_LEVELS = 8
"""Boxes between an image and the item of a list that holds it."""
MAX_HAN_BESIDE_HEADING = 8
"""In the line of a heading, such as 更多 or 换一批. A box with more holds the list that the heading
announces."""
_HAN = re.compile("[\u3400-\u9fff]")
_DIGITS = re.compile(r"\d+")
_FIRST_WORD = re.compile(r"[a-z]+(?=\d)")
_SENTENCE = re.compile(r"[，。！？；,!?]")
_NAME_SEPARATORS = re.compile(r"[_\-:.]+|\d+")
_HOME_PATHS = frozenset({"", "/", "/index.html", "/index.htm", "/index.php", "/default.html"})
_PATH_PARTS = re.compile(r"[/_\-.]+")
# 08-12 10:30, 3小时前, 16天前 回复, 粉丝 120: what stands beside a user's name.
# 201.3万, 3.4k.
_COUNTS = re.compile(r"[\d.]+[万亿kwKW]\+?")
_DATE = re.compile(r"\d{1,2}\s?[-/.月]\s?\d{1,2}|\d\s?(?:秒|分钟|小时|天|个?月|年)前|[今昨前]天")
_NAME = re.compile(r"[^\W\d_]{2}")
_BYLINE = re.compile(
    r"\d{4}\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d{1,2}日?|(?<!\d)\d{1,2}-\d{1,2}(?!\d)|\d{1,2}:\d\d|\d\s?(?:秒|分钟|小时|天|个?月|年)前|[今昨前]天|回复|粉丝|关注|\d楼|★|作者|记者|编辑|责编|楼主|原创|发布|撰文|贡献者|会员|版主|LV"
)


@lru_cache(maxsize=4096)
def _named(classes: str) -> tuple[Reason, str] | None:
    """The reason that class names and ids give, and the name."""
    for name in classes[:500].lower().split():
        for reason, names in _WHOLE_NAMES:
            if name in names:
                return reason, name
        for part in _NAME_SEPARATORS.split(name):
            for reason, parts in _NAME_PARTS:
                if part in parts:
                    return reason, name
    return None


@lru_cache(maxsize=4096)
def _reason_of_alt(value: str) -> Reason | None:
    folded = simplified(value)
    return next((reason for reason, pattern in _ALT if pattern.match(folded)), None)


class NonContent:
    """Decides about the images of one page."""

    def __init__(self, tree: PageTree, page_url: str, base: str) -> None:
        self._tree = tree
        self._base = base
        self._repeats = Counter(image.address for image in tree.images)
        self._page = urlsplit(page_url)
        self._site = _site(self._page.hostname or "")

    @cached_property
    def _is_article(self) -> bool:
        return self._tree.running_han(self._tree.root) >= MIN_RUNNING_HAN

    @cached_property
    def _image_numbers(self) -> dict[int, int]:
        """The place of each image among all images, by its `id`."""
        return {id(image): number for number, image in enumerate(self._tree.images)}

    def reason(self, image: PageImage) -> Drop | None:
        """Returns why an image is no content, or None."""
        if image.is_symbol:
            return Drop(Reason.EMOTICON)
        if self._repeats[image.address] >= MIN_REPEATS:
            return Drop(Reason.ICON, f"{self._repeats[image.address]} times on the page")
        named = self._by_names(image)
        if named:
            return named
        return self._by_link(image) or self._by_position(image)

    def _by_names(self, image: PageImage) -> Drop | None:
        attributes = image.attributes
        for name in ("alt", "title"):
            value = " ".join((attributes.get(name) or "").split())
            if not value or len(value) > 30:
                continue
            if reason := _reason_of_alt(value):
                return Drop(reason, value)
        own = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"
        if named := _named(own):
            return Drop(*named)
        for box in self._boxes_of(image):
            if named := _named(box.classes):
                return Drop(*named)
        path = unquote(_path_of(image.address))[-120:].lower()
        # logo207b62df.png: a name with the digest of the file.
        first = _FIRST_WORD.match(path.rpartition("/")[2])
        for part in [*_PATH_PARTS.split(path), first[0] if first else ""]:
            if part in _ADDRESS_REASONS:
                return Drop(_ADDRESS_REASONS[part], part)
        return None

    def _boxes_of(self, image: PageImage) -> Iterator[Box]:
        """Boxes around an image alone; their names describe it."""
        box: Box | None = image.parent
        for _ in range(MAX_NAMED_BOXES):
            if box is None or box.tag == "body" or _count(box) > 1 or self._has_much_text(box):
                return
            yield box
            box = box.parent

    def _has_much_text(self, box: Box) -> bool:
        """Whether a box has more text than a name and what stands beside it."""
        if box.text_count > MAX_NAME_BLOCKS:
            return True
        return sum([len(block.raw) for block in self._tree.texts_of(box)]) > MAX_NAME_CHARACTERS

    def _by_link(self, image: PageImage) -> Drop | None:
        link = _link_around(image)
        if link is None:
            return None
        href = (link.attributes.get("href") or "").strip()
        target = _target(self._base, href)
        if target is None:
            return None
        host, path = target
        title = self._title(link, href)
        if _site(host) != self._site:
            alone = title is None and not _has_han(_own_words(image))
            if alone or _size(image) in _ADVERTISEMENT_SIZES:
                return Drop(Reason.ADVERTISEMENT, "an image alone in a link to another site")
            if title is not None and self._is_article and self._is_beside_text(title):
                return Drop(Reason.RECOMMENDATION, "a link to another site")
            return None
        if path.lower() in _HOME_PATHS:
            return Drop(Reason.LOGO, "a link to the home page") if title is None else None
        return self._recommendation(title or link, path, has_title=title is not None)

    def _title(self, link: Box, href: str) -> Box | None:
        """The box that holds a link around an image and its title: in the link itself, or in another
        link to the same page beside it."""
        if self._tree.han(link) >= MIN_TITLE_HAN:
            return link
        box = link.parent
        for _ in range(MAX_NAMED_BOXES):
            if box is None or box.tag == "body" or _count(box) > MAX_CARD_IMAGES:
                return None
            for block in self._tree.texts_of(box)[:MAX_CARD_BLOCKS]:
                if block.han >= MIN_TITLE_HAN and any(
                    (one.attributes.get("href") or "").strip() == href for one in block.links
                ):
                    return box
            box = box.parent
        return None

    def _recommendation(self, card: Box, path: str, *, has_title: bool) -> Drop | None:
        """An image that leads to another page like this one, or whose title stands beside it."""
        if not self._is_article or path == self._page.path:
            return None
        blocks = self._tree.texts_of(card)
        is_alike = _shape(path) == _shape(self._page.path)
        if is_alike or (has_title and (_announces(blocks[0]) or self._is_beside_text(card))):
            return Drop(Reason.RECOMMENDATION, "a link to another page")
        return None

    def _is_beside_text(self, card: Box) -> bool:
        """Whether a card that leads elsewhere stands beside running text: the list around it has
        less text than the rest of the page."""
        tree, one = self._tree, _list_around(card)
        rest = tree.running_han(tree.root) - tree.running_han(one)
        if rest >= MIN_RUNNING_HAN and rest > LIST_WEIGHT * tree.han(one):
            return True
        # A card between the paragraphs of an article.
        outer = card
        while outer.parent is not None and _count(outer.parent) == _count(card):
            outer = outer.parent
        around = outer.parent
        if around is None:
            return False
        own = shape(outer)
        cards = (
            child for child in around.children if isinstance(child, Box) and shape(child) == own
        )
        return tree.running_han(around) - sum(map(tree.running_han, cards)) >= MIN_ARTICLE_HAN

    def _by_position(self, image: PageImage) -> Drop | None:
        if is_secondary(self._tree, image.parent):
            return Drop(Reason.NAVIGATION)
        line = self._line_beside(image)
        if line and len(line) <= MAX_LINE_CHARACTERS:
            folded = simplified(line)
            if _QR_LINE.search(folded):
                return Drop(Reason.QR_CODE, line)
            is_described = len(_HAN.findall(_own_words(image))) > MAX_ALT_HAN
            beside = self._is_beside_image(image)
            if not is_described and _is_byline(folded, is_beside_image=beside):
                # 千里江山图 2023-01-07: a whole item of a list, which says nothing else.
                if beside or not self._is_whole_item(image):
                    return Drop(Reason.AVATAR, line)
        if _link_around(image) is not None:
            heading = self._heading_before(image)
            if heading and is_list_heading(heading):
                return Drop(Reason.RECOMMENDATION, heading)
        return None

    def _is_beside_image(self, image: PageImage) -> bool:
        """Whether an item of a list holds the image and another one."""
        box: Box | None = image.parent
        for _ in range(MAX_LEVELS):
            if box is None or box.parent is None or box.tag == "body":
                return False
            if _count(box) > 1:
                return _has_alike(box)
            box = box.parent
        return False

    def _is_whole_item(self, image: PageImage) -> bool:
        """Whether the smallest box with the image and text is an item of a list."""
        box: Box | None = image.parent
        while box is not None and not box.text_count:
            box = box.parent
        last = box.last_text if box is not None else 0
        while box is not None and box.parent is not None and box.last_text == last:
            if _has_alike(box):
                return True
            box = box.parent
        return False

    def _line_beside(self, image: PageImage) -> str:
        """The text of the smallest box around an image that has text, if it is short."""
        box: Box | None = image.parent
        while box is not None and not box.text_count:
            box = box.parent
        if box is None or box.text_count > 3 or box.tag == "body" or _count(box) > 2:
            return ""
        return " ".join(block.text for block in self._tree.texts_of(box))

    def _heading_before(self, image: PageImage) -> str:
        """The nearest line before the list in which an image stands, if it is short."""
        number = self._image_numbers[id(image)]
        for block in reversed(self._tree.texts[max(0, image.text_number - 12) : image.text_number]):
            if block.heading or (len(block.raw) <= 40 and is_list_heading(block.text)):
                box = self._announced_box(block)
                if box is not None and box.first_image <= number < box.last_image:
                    return block.text
        return ""

    def _announced_box(self, heading: TextBlock) -> Box | None:
        """The smallest box around a heading with more than its line; None if there is none."""
        box: Box | None = heading.parent
        while box is not None and not _count(box):
            if self._tree.han(box) - heading.han > MAX_HAN_BESIDE_HEADING:
                break
            box = box.parent
        return box


def _announces(block: TextBlock) -> bool:
    """Whether a title says itself that it leads elsewhere: 延伸阅读：…."""
    head, colon, _ = simplified(block.text).partition("：")
    return bool(colon) and is_list_heading(head)


def _list_around(card: Box) -> Box:
    """The box that holds a card and others alike; without others, the largest one with less than
    three images."""
    one: Box = card
    found: Box | None = None
    while one.parent is not None and one.parent.tag not in {"html", "body"}:
        if _has_alike(one):
            found = one.parent
        elif found is not None:
            # The rows of a table are one list.
            break
        one = one.parent
    if found is not None:
        return found
    one = card
    while one.parent is not None and _count(one) < MIN_REPEATS and one.parent.tag != "body":
        one = one.parent
    return one


def _has_alike(box: Box) -> bool:
    """Whether another box beside it has the same shape and images too."""
    own, around = shape(box), box.parent
    assert around is not None
    alike = [
        child
        for child in around.children
        if isinstance(child, Box) and _count(child) and shape(child) == own
    ]
    return len(alike) >= MIN_CARDS


def _is_byline(line: str, *, is_beside_image: bool) -> bool:
    """Whether a line is a user's name with a time or the like.

    A time without a name may be that of an article, or the duration of a video. It counts in an item
    of a list with another image, if it is a date.
    """
    if len(line) > 24 or _SENTENCE.search(line) or not _BYLINE.search(line):
        return False
    name = _COUNTS.sub("", _BYLINE.sub("", line))
    if not _NAME.search(name):
        return is_beside_image and bool(_DATE.search(line)) and not _COUNTS.search(line)
    return len(_HAN.findall(name)) <= MAX_NAME_HAN


@lru_cache(maxsize=4096)
def _site(host: str) -> str:
    return site_of_host(host)


@lru_cache(maxsize=4096)
def _target(base: str, href: str) -> tuple[str, str] | None:
    """Host and path that a link leads to; None if it leads to an image, or to no page."""
    if not href or href.startswith(("#", "javascript:")) or has_image_extension(href):
        return None
    try:
        target = urlsplit(urljoin(base, href))
    except ValueError:
        return None
    if target.scheme not in {"http", "https"} or not target.hostname:
        return None
    return target.hostname, target.path


def _link_around(image: PageImage) -> Box | None:
    box: Box | None = image.parent
    for _ in range(5):
        if box is None:
            return None
        if box.tag == "a":
            return box
        if box.tag in {"body", "td", "table", "ul"}:
            return None
        box = box.parent
    return None


def _count(box: Box) -> int:
    """Number of images in a box, content or not."""
    return box.last_image - box.first_image


def _path_of(address: str) -> str:
    if is_data_uri(address):
        return ""
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def _own_words(image: PageImage) -> str:
    return (image.attributes.get("alt") or "") + (image.attributes.get("title") or "")


def _has_han(text: str) -> bool:
    return any("\u3400" <= character <= "\u9fff" for character in text)


def _size(image: PageImage) -> tuple[int, int]:
    def side(name: str) -> int:
        digits = re.match(r"\s*(\d{1,4})", image.attributes.get(name) or "")
        return int(digits[1]) if digits else 0

    return side("width"), side("height")


def _shape(path: str) -> str:
    """A path with its numbers replaced, which pages of one kind share."""
    return _DIGITS.sub("0", re.sub(r"[0-9a-f]{8,}", "0", path))


def is_name(block: TextBlock) -> bool:
    """Whether a block may be a user's name: short, one line, without punctuation."""
    return (
        block.han <= 10
        and len(block.text) <= 16
        and not re.search(r"[，。！？、；：,!?]", block.text)
    )
