"""The parts of a page that are not its content: header, navigation, sidebar, footer, comments."""

import re
from functools import lru_cache

from wenlan_data.clean.rules.simplify import Simplify
from wenlan_data.extract.page_tree import Box, PageTree

_simplify = Simplify()
_TAGS = frozenset({"nav", "footer", "header", "aside", "dialog", "menu"})
_ROLES = frozenset({
    "navigation", "contentinfo", "banner", "complementary", "search", "menu", "menubar", "dialog",
})  # fmt: skip
# Parts of class names and ids between separators, in English and in Pinyin: top-nav, site-footer,
# right_sidebar, fenxiang.
_WORDS = frozenset("""
    nav navbar navi navigation navigator topnav subnav sidenav tabbar toolbar topbar shortcut
    breadcrumb breadcrumbs crumb crumbs daohang footer foot bottombar copyright siteinfo
    friendlink friendlinks flink blogroll youqing sidebar aside sider sharebar bdshare
    bdsharebuttonbox jiathis fenxiang adv advert advertisement guanggao adbox comment comments
    commentlist pinglun cmt disqus gitalk valine waline related relate relates recommend
    recommended recommends recommendation tuijian xiangguan hotlist paihang readmore morenews
    qrcode ewm erweima dashang pagination paging pagenav fanye navbox ambox mbox hatnote
""".split())  # fmt: skip
# Words with other meanings (photo-share, photo_ad): the whole name, or one with words of boxes.
_PLAIN_WORDS = frozenset("""
    ad ads gg share sharing hot guess rank ranking popular trending sponsor sponsors promo
    promotion union rec donate zan pager side ft metadata
""".split())  # fmt: skip
_AD_WORDS = frozenset({"ad", "ads", "gg"})
# Words that name no region alone: <section id=history> is one of the article.
_BOX_ONLY_WORDS = frozenset({"history", "reward"})
_BOX_WORDS = frozenset("""
    list lists box boxes wrap wrapper container bar area section block module mod panel widget div
    layout col column posts articles news links link items button buttons btn btns top bottom left
    right side main page post frame index in inner outer feed card profile bd hd title group
""".split())  # fmt: skip
# ajax-pagination-none, no-sidebar: the region is missing.
_ABSENT = frozenset({"none", "no", "without", "not"})
# Names that are written in one word with others: topNav, leftSidebar, siteFooter.
_ENDINGS = ("nav", "navbar", "sidebar", "footer", "breadcrumb", "pagination", "comments")
_HEAD_NAMES = frozenset(
    {"header", "head", "hd", "masthead", "banner", "top", "topper", "siteheader"}
)
# 相关阅读, 猜你喜欢: headings of lists that lead to other pages.
_LIST_HEADING = re.compile(
    r"\s*(?:相关|热门|热点|精彩|精选|为[您你]|编辑|今日|本周|本月|最新|往期|更多|延伸|推荐|猜[您你]|[您你]可能"
    r"|大家都?在|看了又看|看过|最近浏览|浏览过?|历史|随机|排行|点击排行|阅读排行|友情|扫码|扫一扫|关注我们|分享到).{0,12}\Z"
)
# 人气达人, 最近访客, 看了本房源的人还看了, 作者的其他作品: of persons, and of what they made and saw.
_OTHERS_HEADING = re.compile(
    r"(?:人气|活跃|最近|热门|推荐|优秀|明星)(?:达人|作者|用户|博主|访客|会员|版主|专家|\w友)|访客|谁来看过|关于作者|作者简介|贡献者"
    r"|.{0,10}还(?:看|买|浏览|关注)[过了]|(?:作者|博主|楼主|TA|[他她])的(?:其他|其它|更多|全部)\w{2,4}|[你您]可能还想看"
    r"|(?:更多|相关|其他|其它)(?:相关|精彩|热门)?(?:内容|报道|专题|视频|图集|话题|相册|精彩)|大家还在看|猜[你您]想看"
)
_COMMENTS_HEADING = re.compile(
    r"(?:全部|所有|热门|最新|网友|精彩|发表|用户|商家)?(?:评论|回复|留言|跟帖|跟贴|回应|点评)(?:区|列表)?(?:[（(]?\d*条?[)）]?)\Z"
)
_LIST_HEADING_END = re.compile(
    r"(?:推荐|阅读|文章|新闻|资讯|喜欢|排行榜?|热榜|浏览记录|浏览过的\w{1,4}|在看|还看了?|链接|回顾|精选|更多)\Z"
)
# The lines at the end of nearly every page.
_COPYRIGHT = re.compile(
    r"版权所有|著作权|ICP[备证]|公网安备|All Rights Reserved|copyright|powered by"
    # © 2023 某某网, and not the photographer: © 李明.
    r"|©.{0,12}(?:19|20)\d\d|(?:19|20)\d\d.{0,8}©"
    r"|网站标识码|网站地图|联系我们|关于我们|经营许可",
    re.IGNORECASE,
)
# One of these is in every match of `_COPYRIGHT`, in both scripts.
_COPYRIGHT_HINT = re.compile("[版著公站我可©]|ICP|rights|copyright|powered", re.IGNORECASE)
_COMMENT = re.compile(r"comment|pinglun|reply|cmt", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s_\-:./]+|(?<=[a-zA-Z])(?=\d)")
_SEPARATOR = re.compile(r"[\s_\-:./]+")
MAX_NAME_CHARACTERS = 60
"""Of the class names that are reported of a region."""
MAX_LINE_CHARACTERS = 300
"""Of a text that is kept with its simplified form: hostile pages hold texts of some MB."""
MIN_ITEMS = 3
"""Boxes of one shape from which on they are items of a list: a page has one footer."""
MAX_FOOTER_HAN = 400
"""A box with a copyright line and more Han characters than this holds more than the footer."""
MAX_LAST_BLOCKS = 12
"""Blocks of text after the beginning of a footer."""
MIN_MAIN_HAN = 100
"""Han characters outside links, without which a header or a footer is none of the content,
though it has most of the text."""
MIN_RUNNING_HAN = 60
"""Han characters outside links from which on a page is an article and not a list."""
MIN_LINKED_SHARE = 0.6
"""Share of linked Han characters from which on a sidebar or `header` counts as navigation."""


def simplified(text: str) -> str:
    """Returns a text in simplified characters."""
    return _simplified_line(text) if len(text) <= MAX_LINE_CHARACTERS else _simplified(text)


def _simplified(text: str) -> str:
    result = _simplify(text)
    return result if isinstance(result, str) else text


_simplified_line = lru_cache(maxsize=4096)(_simplified)


@lru_cache(maxsize=4096)
def class_words(classes: str) -> frozenset[str]:
    """Returns the words of class names and ids, and each name without separators, lower case.

    >>> sorted(class_words("topNav site_footer"))
    ['footer', 'nav', 'site', 'sitefooter', 'top', 'topnav']
    """
    names = classes[:500].split()
    words = {word.lower() for name in names for word in _CAMEL.split(name) if word}
    return frozenset(words | {_SEPARATOR.sub("", name).lower() for name in names})


def is_list_heading(text: str) -> bool:
    """Whether a heading announces links to other pages, such as 相关阅读 or 热门推荐."""
    text = simplified(text)
    if len(text) > 16:
        return False
    if _OTHERS_HEADING.fullmatch(text.strip()):
        return True
    return bool(_LIST_HEADING.match(text) and _LIST_HEADING_END.search(text))


def is_secondary(tree: PageTree, box: Box) -> bool:
    """Whether a box is part of the header, navigation, sidebar, footer or comments of its page."""
    if box.is_secondary is not None:
        return box.is_secondary
    path: list[Box] = []
    one: Box | None = box
    while one is not None and one.is_secondary is None:
        path.append(one)
        one = one.parent
    region = one.region if one is not None else ""
    for inner in reversed(path):
        if not region and _is_region(tree, inner):
            region = _region_name(tree, inner)
        inner.is_secondary, inner.region = bool(region), region
    return bool(region)


def region_of(tree: PageTree, box: Box) -> str:
    """Returns the name of the region that holds a box, by what decided: its element, role or class
    names, or the line that announces it. Empty for a box of the content."""
    is_secondary(tree, box)
    return box.region


def _region_name(tree: PageTree, box: Box) -> str:
    role = box.attributes.get("role") or ""
    if box.tag in _TAGS or role in _ROLES:
        return box.tag if box.tag in _TAGS else role
    if _is_region_name(box.classes) or _is_head_name(box.classes):
        return " ".join(box.classes.split())[:MAX_NAME_CHARACTERS]
    return tree.texts[box.first_text].text if _is_announced(tree, box) else "copyright line"


def _is_region(tree: PageTree, box: Box) -> bool:
    # Most boxes are excluded by the first of these conditions, which cost next to nothing.
    has_name = box.tag in _TAGS or bool(box.attributes)
    found = (
        (has_name and _is_marked(tree, box))
        or (2 * box.first_text >= len(tree.texts) and _is_footer(tree, box))
        or (_has_several(box) and _is_announced(tree, box))
    )
    return found and not _holds_main_text(tree, box)


def _has_several(box: Box) -> bool:
    """Whether a box has more than a heading and one image."""
    return box.last_text - box.first_text > 1 or (
        box.last_text > box.first_text and box.last_image - box.first_image > 1
    )


def _is_marked(tree: PageTree, box: Box) -> bool:
    """Whether a box is named as a region, by its element, role or classes.

    A name that several boxes alike have is that of a part of each item of a list.
    """
    is_named = (
        box.tag in _TAGS
        or (box.attributes.get("role") or "") in _ROLES
        or _is_region_name(box.classes)
    )
    if not is_named and not (box.first_text <= 2 and _is_head_name(box.classes)):
        return False
    if (box.tag == "header" or not is_named) and is_in_article(box):
        return False
    # An id is that of one element, though boxes without a class look alike.
    has_own_id = not box.attributes.get("class") and bool(box.attributes.get("id"))
    return (is_named and has_own_id) or tree.count_alike(box) < MIN_ITEMS


@lru_cache(maxsize=4096)
def _is_region_name(classes: str) -> bool:
    return any(map(_names_region, classes[:500].split()))


def _names_region(name: str) -> bool:
    parts = [part.lower() for part in _SEPARATOR.split(name)]
    if not _ABSENT.isdisjoint(parts):
        return False
    if not _WORDS.isdisjoint(parts) or any(part.endswith(_ENDINGS) for part in parts):
        return True
    words = {part.lower() for part in _CAMEL.split(name) if len(part) > 1 and not part.isdigit()}
    # ad-728, but rank-1 is an item.
    plain = _AD_WORDS if any(map(str.isdigit, name)) else _PLAIN_WORDS
    others = words - plain
    if others < words and others <= _BOX_WORDS:
        return True
    boxes = words - _BOX_ONLY_WORDS
    return bool(boxes) and boxes < words and boxes <= _BOX_WORDS


@lru_cache(maxsize=4096)
def _is_head_name(classes: str) -> bool:
    return not _HEAD_NAMES.isdisjoint(classes.lower().split())


def _is_announced(tree: PageTree, box: Box) -> bool:
    """Whether a box of several texts begins with a line such as 相关阅读 or 全部评论."""
    if box.tag == "body" or box.first_text == 0:
        return False
    first = tree.texts[box.first_text].raw
    if len(first) > 40:
        return False
    line = simplified(tree.texts[box.first_text].text)
    if len(line) > 16 or not (is_list_heading(line) or _COMMENTS_HEADING.match(line)):
        return False
    # On a page of lists alone, the lists are the content.
    return tree.running_han(tree.root) - tree.running_han(box) >= MIN_RUNNING_HAN


def _holds_main_text(tree: PageTree, box: Box) -> bool:
    """Whether a box holds the page's first heading or most of its running text.

    Whatever its name is, it is then no navigation: some sites call the whole page `hot` or `share`.
    """
    if any(block.heading == 1 for block in tree.texts_of(box)[:50]):
        return True
    running, whole = tree.running_han(box), tree.running_han(tree.root)
    if box.tag == "aside" and is_in_article(box) and not _is_region_name(box.classes):
        if _is_beside_article(box):
            return False
        # An infobox of a wiki.
        return tree.linked_han(box) < MIN_LINKED_SHARE * max(1, tree.han(box))
    return 2 * running > whole and (running > MIN_MAIN_HAN or _is_comments(box.classes))


def _is_beside_article(box: Box) -> bool:
    """Whether an `article` stands beside a box."""
    around = box.parent
    return around is not None and any(
        isinstance(child, Box) and child.tag == "article" for child in around.children
    )


@lru_cache(maxsize=4096)
def _is_comments(classes: str) -> bool:
    """Whether a box is named as that of comments, in which the posts of some forums stand."""
    return bool(_COMMENT.search(classes[:500]))


def _is_footer(tree: PageTree, box: Box) -> bool:
    """Whether a box near the root, in the second half of the page, holds a copyright line and
    little else."""
    if box.last_text < len(tree.texts) - MAX_LAST_BLOCKS or not box.text_count:
        return False
    if _depth(box) > 3 or tree.han(box) > MAX_FOOTER_HAN:
        return False
    return any(_is_copyright(block.text) for block in tree.texts_of(box)[-MAX_LAST_BLOCKS:])


def _is_copyright(text: str) -> bool:
    return (_is_copyright_line if len(text) <= MAX_LINE_CHARACTERS else _has_copyright)(text)


def _has_copyright(text: str) -> bool:
    return bool(_COPYRIGHT_HINT.search(text) and _COPYRIGHT.search(simplified(text)))


# Nested boxes at the end of a page end with the same lines.
_is_copyright_line = lru_cache(maxsize=4096)(_has_copyright)


def is_in_article(box: Box) -> bool:
    """Whether a box stands in an `article` or `main`."""
    one = box.parent
    while one is not None:
        if one.tag in {"article", "main"}:
            return True
        one = one.parent
    return False


def _depth(box: Box) -> int:
    """Number of boxes around it, `body` not counted."""
    depth, one = 0, box.parent
    while one is not None and one.tag not in {"html", "body"}:
        depth += 1
        one = one.parent
    return depth
