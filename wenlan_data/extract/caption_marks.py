"""Marks by which a text names its image: ▲, 图为, 图3, 如下图：; and captions that several images
share.
"""

import re
from typing import Literal

Side = Literal["above", "below"]
"""Where a text stands: `above` its image or `below` it."""

_NUMBER = r"[\d０-９一二三四五六七八九十]{1,3}"
# The text is about the image above it: ▲ 湖边的小船, 图为…, 上图：….
_POINTS_UP = re.compile(
    r"[\s\u200b　]*(?:[▲△⬆↑☝]|[（(【\[]?"
    r"(?:图为|圖為|图中为|上图|上圖|如上图|以上图片|题图|題圖|图说|圖說|图注|圖註|图片说明|圖片說明)(?!书))"
)
# It introduces the image below it: ▼ 湖边的小船, 下图是….
_POINTS_DOWN = re.compile(
    r"[\s\u200b　]*(?:[▼▽⬇↓☟]|[（(【\[]?(?:下图|下圖|如下图|以下图片|请看下图)(?!书))"
)
_ENDS_POINTING_DOWN = re.compile(
    r"(?:[如见看](?:下?图|下?圖)|如下(?:图|圖)?|下图|下圖)(?:所示|就?是|为|為|中|的)?[^，。！？,.!?]{0,5}[\s\u200b]*[：:，,。.）)]*\Z|[：:][\s\u200b]*\Z|[▼▽⬇↓]\Z"
)
_ENDS_POINTING_UP = re.compile(r"[（(](?:上图|上圖|如上图|见上图)[)）]?[。.]?\Z|[▲△⬆↑]\Z")
# 图3, 图4.1, 图①, Fig. 2: a caption on one side or the other.
_NUMBERED = re.compile(
    rf"[\s\u200b　]*[（(【\[]?(?:(?:图|圖|图片|圖片|照片)\s?(?:{_NUMBER}(?:[-.－．]{_NUMBER})*|[①-⑳])"
    r"|(?:figure|fig\.?)\s?\d)",
    re.IGNORECASE,
)
# 3、, （三）, 第三步, Step 3: an item of a list. A number with a point is none: 1.5 米.
_ORDINAL = re.compile(
    r"[\s\u200b　]*(?:[（(【\[]?(?P<plain>\d{1,3}|[一二三四五六七八九十]{1,3})(?:[、．)）】\]]|\.(?!\d))"
    r"|第(?P<nth>\d{1,3}|[一二三四五六七八九十]{1,3})(?:[步天日站晚周週](?!的)|[条條個个项項章节節][\s:：、，])"
    r"|(?:步骤|步驟|step|day)\s?(?P<step>\d{1,2}|[一二三四五六七八九十]{1,3}))",
    re.IGNORECASE,
)
_DECORATION = re.compile(r"\A[\s\u200b　]*(?:[▲△▼▽⬆⬇↑↓☝☟◎●■▍▎]\s*)+")
_POINTERS = "▲△▼▽⬆⬇↑↓"
_LEAD = re.compile(r"\A(?:图为|圖為)[:：]?\s*")

# Captions of several images in one line: 图①：…；图②：…, 左图：… 右图：…, （上）…（下）….
_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"
_PART_MARK = re.compile(
    rf"(?:图|圖|图片|照片)?\s?(?P<circled>[{_CIRCLED}])\s?[:：、.]?"
    rf"|(?:图|圖|图片|照片)\s?(?P<number>\d{{1,2}}|[一二三四五六七八九十])\s?[:：、.为為]"
    r"|(?P<side>[左右上下中前后](?=[图圖][:：为為，,是]?))(?:图|圖)[:：为為，,是]?"
    r"|[（(【\[](?P<bracketed>[左右上下中]|\d{1,2})[图圖]?[)）】\]]"
    r"|(?:\A|(?<=[；;。\s]))(?P<bare>[左右上下中])(?=[:：])[:：]"
)
MAX_NUMBER_CHARACTERS = 12
_HAN_NUMBERS = {character: place for place, character in enumerate("一二三四五六七八九十", 1)}
# 从左至右依次为：石桥、小船, 图一至图三依次为….
_LISTED = re.compile(
    r"[\s▲△（(]*(?:(?:图片?|圖片?|以上|下图|上图)?(?:从|由|自)?(?:左|上)(?:至|到|往|向)(?:右|下)|图[一1](?:至|到|—|-)图?[二三四五六2-6])"
    r"(?:(?:依次|分别|分別)(?:为|為|是)?[:：]?|(?:为|為)[:：]?|[:：])"
)
# 以上就是三天的行程，希望对大家有帮助。
_ENDS_ARTICLE = re.compile(
    r"[\s\u200b　]*(?:以上(?:就|便|即)是|以上[，。！]|总之|總之|总的来说|總的來說|好了[，。！]"
    r"|[先就]写到这|[先就]寫到這|未完待续"
    r"|希望(?:对|對|能?帮|能?幫|能?对|能?對|大家|这篇|這篇|本文|今天)|本文(?:到此|就到|由|来源|來源|系|转载|轉載)"
    r"|有(?:任何|什么)?(?:问题|問題|疑问|疑問).{0,12}(?:留言|评论|評論|联系|聯繫|咨询|私信|交流)"
    r"|(?:欢迎|歡迎|喜欢|喜歡|觉得|覺得|[谢感][谢謝]|记得|記得|麻烦).{0,20}"
    r"(?:留言|评论|評論|点个?赞|點個?讚|关注|關注|转发|轉發|收藏|交流|阅读|閱讀|观看|觀看|浏览|支持|指正)"
    r"|下一?[篇期].{0,10}(?:再|继续|見|见|说|讲|写|聊)|[（(]?(?:全文)?完[)）]?\Z)"
)
_ORDERS = ("左中右", "上中下", "前中后")
_TRIM = " \u200b　；;，,。、"


def pointed_side(text: str) -> Side | None:
    """Returns the side of its image on which a text stands by its own words; None where it does
    not tell."""
    if _POINTS_UP.match(text) or _ENDS_POINTING_UP.search(text[-12:]):
        return "below"
    if _POINTS_DOWN.match(text) or _ENDS_POINTING_DOWN.search(text[-12:]):
        return "above"
    return None


def is_numbered(text: str) -> bool:
    """Whether a text begins with the number of a figure: 图3, 图4.1."""
    return bool(_NUMBERED.match(text))


def ordinal(text: str) -> str:
    """Returns the number with which an item of a list begins, else an empty string.

    >>> ordinal("3、把土豆切成丝")
    '3'
    >>> ordinal("1.5 米高的石狮")
    ''
    """
    match = _ORDINAL.match(text)
    return match[match.lastgroup or 0] if match else ""


def begins_part(text: str) -> bool:
    """Whether a text begins as a day or step of a story does: 第一天, 第二步, Step 3."""
    match = _ORDINAL.match(text)
    return match is not None and match.lastgroup != "plain"


def ends_article(text: str) -> bool:
    """Whether a text says goodbye to the reader, so that it belongs to no image.

    >>> ends_article("以上就是三天的行程，希望对大家有帮助。")
    True
    """
    return bool(_ENDS_ARTICLE.match(text))


def figure_number(text: str) -> str:
    """Returns the figure number of a text that says nothing else, such as 图3; else an empty
    string."""
    match = _NUMBERED.match(text)
    if (
        not match
        or len(text) > MAX_NUMBER_CHARACTERS
        or text[match.end() :].strip(_TRIM + "：:.）)】]")
    ):
        return ""
    return "".join(match[0].split()).strip("（(【[")


def numbered_rest(text: str) -> tuple[str, str]:
    """Returns the figure number at the beginning of a text, and what follows; two empty strings
    without a number."""
    match = _NUMBERED.match(text)
    if not match:
        return "", ""
    return "".join(match[0].split()).strip("（(【["), text[match.end() :].strip(
        _TRIM + "：:.）)】]"
    )


def without_marks(text: str) -> str:
    """Removes ▲ and 图为, which only point at the image. 左图 and 图2 stay."""
    # Not with a pattern: one that ends with \Z is tried from every sign of a long row.
    return _LEAD.sub("", _DECORATION.sub("", text).rstrip(f"{_POINTERS} \u3000")).strip()


_AND = re.compile("^(?:以及|[与和及跟與])(?=..)")


def split_caption(text: str, count: int) -> list[str] | None:
    """Returns the part of a shared caption for each of `count` images, or None where it does not
    say which part is whose.

    >>> split_caption("图①：湖边的小船；图②：山上的小路。", 2)
    ['湖边的小船', '山上的小路']
    >>> split_caption("左图为湖边的小船，右图为山上的小路", 2)
    ['湖边的小船', '山上的小路']
    >>> split_caption("湖边的小船", 2) is None
    True
    """
    listed = _LISTED.match(text)
    if listed and count > 1:
        parts = [
            part.strip(_TRIM) for part in re.split("[、，,；;]", text[listed.end() :].rstrip(_TRIM))
        ]
        return parts if len(parts) == count and all(parts) else None
    marks = list(_PART_MARK.finditer(text))
    if len(marks) != count or count < 2 or not _in_order([_value(one) for one in marks]):
        return None
    ends = [one.start() for one in marks[1:]] + [len(text)]
    after = [text[one.end() : end].strip(_TRIM) for one, end in zip(marks, ends, strict=True)]
    if all(after):
        return after
    # 湖边的小船（左）、山上的小路（右）: the mark follows its part.
    starts = [0] + [one.end() for one in marks[:-1]]
    before = [
        _AND.sub("", text[start : one.start()].strip(_TRIM))
        for start, one in zip(starts, marks, strict=True)
    ]
    return before if all(before) else None


def _value(mark: re.Match[str]) -> str:
    return next(value for value in mark.groups() if value)


def _in_order(values: list[str]) -> bool:
    """Whether marks count up from 1, or go from left to right or from top to bottom."""
    numbers = [_number(value) for value in values]
    if all(numbers):
        return numbers == list(range(1, len(values) + 1))
    for order in _ORDERS:
        if all(value in order for value in values):
            places = [order.index(value) for value in values]
            return places == sorted(set(places))
    return False


def _number(value: str) -> int:
    if value in _CIRCLED:
        return _CIRCLED.index(value) + 1
    return int(value) if value.isdigit() else _HAN_NUMBERS.get(value, 0)
