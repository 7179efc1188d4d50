"""Generates texts that try to make a rule slow: they repeat the beginning of one of its patterns
and never contain its end.
"""

from collections.abc import Iterator
from itertools import product
from random import Random

UNITS = (
    "a", "图", "0", "1 ", " ", "\u3000", "\n", "\r", "\t", ".", "-", "_", "|", "<", "{", "[", "(", "（", "【", "#",
    "@", "*", "~", "`", "&", "$", "\\", "，", "。", "！", "？", "；", "：", ">", "›", "\ud800", "é", "Ã", "â€",
    "─", "Аб", "の", "한", "😀\u200d", "\ufe0f", "<!--", "<script", "<script>", "<a ", "</p", "<p/", "<?", "<%",
    "<![", "{{", "{%", "${", "{a:", "a{", "](", "[a](", "![", "[img", "[b", "**", "**a", "__a", "~~", "`a", "#a",
    "#图", "@a", "a@", "www.", "www.a.", "http:", "http://", "://", "var a", "function ", "$(", "['a':", "&amp;",
    "&#38;", "&#9", "&#x", "&a", "a@b.", "a(at)b.", "(at)", "13", "138", "1-", "+86", "0571-", "(0571)", "400-",
    "6222 ", "110101", "微信", "微信号", "微信a", "微信a1", "加V", "vx", "wxid_", "QQ", "QQ号", "扣扣", "京A",
    "京A1", "一", "幺", "一三", "电话", "电话：", "Tel", "首页>", "下一页", "点击", "图片来源：", "来源", "摄",
    "张 ", "记者 ", "新华社", "版权", "未经", "转载", "侵", "技术支持", "本网", "©", "a.jpg", ".jpg", "IMG_",
    "上午", "微信图片", "a1b2", "0a", "\x1b[", "\x1b[1", "\u200b", "\u202e", "\U000e0041", "\ue000",
    "a\u0301\u0316\u0327", "13812345678 ", "020-12345678转", "a@b.cn ", "京A12345", "加群12345 ",
    "老虎", "老", "博彩", "博 ", "博-", "哈", "好吃", "你好吗我", "忽略", "ignore ", "你是",
    "输出", "把", "模型", "图a", "台灣", "萬與", "ａ", "：／／",
    "[哈哈]", "[哈", "[a][a]", "图[1]", "▲", "图1：", "（1）", "（组图）", "_网", "—新闻", "如图", "，见下图", "/王 摄",
    "，供图", "李明 ", "￥1", "1:00 ", "扫码", "下载次数", "蠼",
)  # fmt: skip
"""Beginnings of the rules' patterns."""


def attacks(characters: int, *, pairs: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yields name and text of about `characters` characters: each unit repeated, and `pairs`
    mixtures of two units.

    Of two texts with the same name, the shorter is a prefix of the longer.
    """
    random = Random(seed)
    for unit in UNITS:
        yield repr(unit), unit * (characters // len(unit))
    for first, second in random.sample(list(product(UNITS, UNITS)), pairs):
        both = first + second
        yield f"{both!r} repeated", both * (characters // len(both))
        half = characters // 2
        yield (
            f"{first!r}, then {second!r}",
            first * (half // len(first)) + second * (half // len(second)),
        )
        yield f"{first!r}, {second!r} last", first * (characters // len(first)) + second
