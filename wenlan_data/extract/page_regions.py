"""The parts of a page that are not its content: header, navigation, sidebar, footer, comments."""

import re
from functools import lru_cache

from wenlan_data.extract.html import attribute
from wenlan_data.extract.page_tree import Box, PageTree

_TAGS = frozenset({"nav", "footer", "header", "aside", "dialog", "menu"})
_ROLES = frozenset({
    "navigation", "contentinfo", "banner", "complementary", "search", "menu", "menubar", "dialog",
})  # fmt: skip
# Words of class names and ids, in English and in Pinyin: topNav, site-footer, rightSidebar, fenxiang.
_WORDS = frozenset("""
    nav navbar navi navigation navigator menu topnav subnav sidenav tabbar toolbar topbar toptool shortcut breadcrumb
    breadcrumbs crumb crumbs daohang
    footer foot bottombar copyright siteinfo friendlink friendlinks flink blogroll youqing
    sidebar aside sider
    share sharing bdshare bdsharebuttonbox jiathis fenxiang social sns
    ad ads adv advert advertisement advertising gg guanggao sponsor sponsors promo promotion union adbox adsense
    comment comments commentlist pinglun cmt disqus gitalk valine waline
    related relate relates recommend recommended recommends recommendation rec tuijian xiangguan guess hot hotlist rank
    ranking paihang history readmore morenews popular trending
    qrcode qr ewm erweima weixin wechat reward dashang donate zan pay login signup register
    pagination pager paging pagenav fanye prevnext postnav
""".split())  # fmt: skip
_HEAD_NAMES = frozenset(
    {"header", "head", "hd", "masthead", "banner", "top", "topper", "siteheader"}
)
# 相关阅读, 猜你喜欢: headings of lists that lead to other pages.
_LIST_HEADING = re.compile(
    r"\s*(?:相关|热门|热点|精彩|精选|为[您你]|编辑|今日|本周|本月|最新|往期|更多|延伸|推荐|猜[您你]|[您你]可能|大家都?在|看了又看|看过|最近浏览"
    r"|浏览过?|历史|随机|排行|点击排行|阅读排行|友情|扫码|扫一扫|关注我们|分享到).{0,12}\Z"
)
_LIST_HEADING_END = re.compile(
    r"(?:推荐|阅读|文章|新闻|资讯|喜欢|排行榜?|热榜|浏览记录|浏览过的\w{1,4}|在看|还看了?|链接|回顾|精选|更多)\Z"
)
# The lines at the end of nearly every page.
_COPYRIGHT = re.compile(
    r"版权所有|著作权|ICP[备证]|公网安备|All Rights Reserved|copyright|powered by|©|网站标识码|网站地图|联系我们|关于我们|经营许可",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s_\-:./]+|(?<=[a-zA-Z])(?=\d)")
_SEPARATOR = re.compile(r"[\s_\-:./]+")
MAX_FOOTER_HAN = 400
"""A box with a copyright line and more Han characters than this holds more than the footer."""
MIN_LINKED_SHARE = 0.6
"""Share of linked Han characters from which on a sidebar or `header` counts as navigation."""


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
    return len(text) <= 16 and bool(_LIST_HEADING.match(text) and _LIST_HEADING_END.search(text))


def is_secondary(tree: PageTree, box: Box) -> bool:
    """Whether a box is part of the header, navigation, sidebar, footer or comments of its page."""
    path: list[Box] = []
    one: Box | None = box
    while one is not None and one.is_secondary is None:
        path.append(one)
        one = one.parent
    known = one.is_secondary if one is not None else False
    for inner in reversed(path):
        known = known or _is_region(tree, inner)
        inner.is_secondary = known
    return bool(known)


def _is_region(tree: PageTree, box: Box) -> bool:
    if not _is_marked(box) and not _is_footer(tree, box):
        return False
    return not _holds_main_text(tree, box)


def _is_marked(box: Box) -> bool:
    if box.tag in _TAGS:
        return box.tag != "header" or not _is_in_article(box)
    words = class_words(box.classes)
    if words & _WORDS:
        return True
    if attribute(box.element, "role") in _ROLES:
        return True
    # Such names also stand for the head of a post; that of a page comes before all else.
    return (
        box.first_text <= 2
        and not _is_in_article(box)
        and bool(_HEAD_NAMES & set(box.classes.lower().split()))
    )


def _holds_main_text(tree: PageTree, box: Box) -> bool:
    """Whether a box holds the page's first heading or most of its running text.

    Whatever its name is, it is then no navigation: some sites call the whole page `hot` or `share`.
    """
    if any(block.heading == 1 for block in tree.texts_of(box)[:50]):
        return True
    running = tree.han(box) - tree.linked_han(box)
    whole = tree.han(tree.root) - tree.linked_han(tree.root)
    if box.tag == "aside" and _is_in_article(box):
        # An infobox of a wiki.
        return tree.linked_han(box) < MIN_LINKED_SHARE * max(1, tree.han(box))
    return 2 * running > whole and running > 100


def _is_footer(tree: PageTree, box: Box) -> bool:
    """Whether a box near the root holds a copyright line and little else."""
    if not box.text_count or _depth(box) > 3 or tree.han(box) > MAX_FOOTER_HAN:
        return False
    if box.last_text < len(tree.texts) - 12:
        return False
    return any(_COPYRIGHT.search(block.text) for block in tree.texts_of(box)[-12:])


def _is_in_article(box: Box) -> bool:
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
