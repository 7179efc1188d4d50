"""Emoticons that Chinese social sites write as a name in square brackets: [哈哈], [doge], [微笑]R."""

import re
from functools import cache
from importlib import resources

# [偷笑R] and [害羞]R of Xiaohongshu, [小电视_笑] of Bilibili, [玫红][玫红]: the form alone tells.
_FORMS = (
    r"\[[\u4e00-\u9fff]{1,6}(?:R\]|\]R(?![A-Za-z]))|\[(?:tv|热词系列|[\u4e00-\u9fff]{1,8})_[\w-]{1,12}\]"
    r"|\[(?P<name>[^\[\]\s\d]{1,6})\](?:\s?\[(?P=name)\])+"
)
_NOT_FORMS = "(?!\\[(?:图|组图|视频|编辑|来源请求|原创|转载|手机|电话|邮箱|微信|QQ|车牌)\\])"


@cache
def _emoticon() -> re.Pattern[str]:
    lines = resources.files("wenlan_data.clean").joinpath("emoticons.txt").read_text("utf-8")
    expressions, things = (
        "|".join(sorted(map(re.escape, set(part.partition("\n")[2].split())), reverse=True))
        for part in lines.split("\n\n")
    )
    return re.compile(
        rf"{_NOT_FORMS}(?:{_FORMS})|\[(?:{expressions})\]|#\((?:{expressions}|{things})\)"
        rf"|(?<!\A)\[(?:{things})\]|\A\[(?:{things})\](?=\W*\Z)",
    )


def without_emoticons(text: str) -> str:
    """Removes emoticons: names of the built-in list, those with an R or a set's name, and repeated
    ones.

    Other words in brackets stay ([北京]故宫, 【组图】, [局部]): most of them mean something.
    """
    return _emoticon().sub(" ", text)
