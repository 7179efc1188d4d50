"""Rejects or masks personal data: telephone, QQ, WeChat, e-mail, ID, bank card, number plate."""

import re
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

Kind = Literal["email", "identity", "bank_card", "mobile", "landline", "wechat", "qq", "plate"]
KINDS: tuple[Kind, ...] = (
    "email",
    "identity",
    "bank_card",
    "mobile",
    "landline",
    "wechat",
    "qq",
    "plate",
)

# Digits in circles and brackets, used to disguise numbers (①③⑧); not superscripts and subscripts.
_DRESSED_DIGITS = {
    code: str(digit)
    for code in range(0x2000, sys.maxunicode)
    if unicodedata.category(chr(code)) == "No"
    and (digit := unicodedata.digit(chr(code), None)) is not None
    and not unicodedata.decomposition(chr(code)).startswith(("<super>", "<sub>"))
}
_PLAIN = {
    **_DRESSED_DIGITS,
    **dict(zip(map(ord, "壹贰叁肆伍陆柒捌玖"), "一二三四五六七八九", strict=True)),
    **dict.fromkeys(map(ord, "‐‑‒–−－﹣"), "-"),
    ord("＋"): "+",
}
"""One character for one character, so that positions stay the same."""

_HEART = "[❤♥💓💕💗]\ufe0f?"
_MESSENGER = rf"[vV微薇威徽维](?:\s?[信芯]|\s?{_HEART}信?)"
_DRESSED = "".join(map(chr, _DRESSED_DIGITS))
_NUMERALS = "零〇一二三四五六七八九幺壹贰叁肆伍陆柒捌玖"
# First test: a text without five digits, an at sign or a messenger's name has no contact. Every
# alternative begins with one character class, to which the search can skip; the lookbehind then
# states which alternative it is.
_HINT = re.compile(
    rf"[\d@＠(\[（【\swWvVA-HJ-NP-Z微薇威徽维加➕{_NUMERALS}{_DRESSED}](?:(?<=\d)[\d\s()（）.·-]{{3,}}\d|(?<=[@＠])"
    r"|(?<=[(\[（【])[aA][tT][)\]）】]|(?<=w)xid_|(?<=[A-HJ-NP-Z])[·.•\s-]?[A-HJ-NP-Z0-9]{4}"
    rf"|(?<=[{_NUMERALS}])[{_NUMERALS}]{{10}}|(?<=[{_DRESSED}])|(?<=\s)(?:dot|DOT)\s"
    rf"|(?<=[vV微薇威徽维])\s?(?:[信芯]|{_HEART})|(?<=[vV]){_HEART}[xX]"
    r"|(?<=[wW])(?:ei?[xX]in|e[cC]hat|[xX])|(?<=W)(?:ECHAT|EIXIN)|(?<=[vV])[xX:：]|(?<=[加➕])(?:[vV薇微]|卫星))"
)
# A number with a unit is not a telephone number; 张 is left out, since after a number it is more
# often a surname.
_NO_UNIT = (
    r"(?![\d%％]|\s?[-~.]\d|\s?(?:[元吨]|美元|人民币|人次|公里|公斤|公顷|平方)"
    r"|[人次斤克千万亿米年月岁个件辆双毫厘])"
)
# Lookbehinds that follow the first character of a number: a pattern that begins with a plain
# character is searched for faster than one that begins with a lookbehind.
_START = r"(?<![\d.A-Za-z].)(?<!\d[-/].)"
_NAMED = r"(?:(?<![A-Za-z].)|(?<=[Tt][Ee][Ll].)|(?<=[Mm][Oo][Bb].))(?<![\d.].)(?<!\d-.)"
_LINK = r"(?:公众号|号码|帐号|账号|号|群|ID|id|客服|咨询|联系|同号|搜索|添加|搜|[\s:：=是为+@()（）/-]){0,6}"

# a@b.cn, a＠b.cn, a(at)b.cn, a at b dot cn.
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]*(?:\s?(?:[@＠]|[(\[（【](?:at|AT)[)\]）】])\s?"
    r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,4}\.[A-Za-z]{2,24}"
    r"|\s(?:at|AT)\s[A-Za-z0-9-]{1,63}(?:\s(?:dot|DOT)\s[A-Za-z0-9-]{2,24}){1,4})"
)
# Area, date of birth, serial number, check digit: 110101 19900307 123 4, also without spaces.
_IDENTITY = re.compile(
    r"[1-9](?<!\d.)\d{5}[\s-]?(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[\s-]?\d{3}[\s-]?[\dXx](?![\dA-Za-z])"
)
# 9558 is the old prefix of the Industrial and Commercial Bank's cards, which ISO would give to no
# bank.
_BANK_CARD = re.compile(
    r"(?:[3-6]|2(?=[2-7])|9(?=558))(?<!\d.)(?<!\d[ -].)(?:[ -]?\d){15,18}(?![ -]?\d)"
)
# Words before a number that is not recognised without them.
_CALLED = "电话 总机 手机 售后 客服 热线 Tel tel TEL ☎ 传真 座机 致电 拨打 咨询 来电 短信 订座 预订"
_CELL = rf"[3-9]\d(?:[-\s.·]?\d{{4}}[-\s.·]?\d{{4}}|[-\s]?\d{{3}}[-\s]\d{{5}}|\d-\d{{3}}-\d{{4}}){_NO_UNIT}"
_TAIWAN = rf"\d{{2}}[-\s]?\d{{3}}[-\s]?\d{{3}}{_NO_UNIT}"
_ABROAD = rf"(?:852|853|65)[-\s]?\d{{4}}[-\s]?\d{{4}}{_NO_UNIT}"
# 13812345678, +86 138-1234-5678, 0912-345-678 (Taiwan), +852 9123 4567, 一三八... in numerals.
_MOBILE = re.compile(
    rf"1{_NAMED}{_CELL}|8{_START}6[-\s]?1{_CELL}|\+{_START}86[-\s]?1{_CELL}|0{_START}086[-\s]?1{_CELL}"
    rf"|0{_START}9{_TAIWAN}|\+{_START}886[-\s]?9{_TAIWAN}|0{_START}0886[-\s]?9{_TAIWAN}"
    rf"|\+{_ABROAD}|0(?<!\d.)0{_ABROAD}"
    r"|1(?<!\d.)(?<!\d .) [3-9](?: \d){9}(?! ?\d)"
    r"|一[三四五六七八九][零〇一二三四五六七八九幺]{9}(?![零〇一二三四五六七八九十百千万])"
    rf"|(?:{_CALLED.replace(' ', '|')})\D{{0,5}}(?P<number>1[3-9]\d\d \d{{3}} \d{{4}}){_NO_UNIT}"
    r"|幺[三四五六七八九][零〇一二三四五六七八九幺]{9}(?![零〇一二三四五六七八九十百千万])"
)
_EXTENSION = r"(?:\s?[-转]\s?\d{1,5})?"
_LOCAL = rf"\d{{3,4}}[-\s]?\d{{4}}{_EXTENSION}{_NO_UNIT}"
_AREA = rf"(?:[(（]0?\d{{2,3}}[)）][-\s]?|0?(?:10|2\d|[3-9]\d{{2}})[-\s—]){_LOCAL}"
_FREE = (
    rf"00(?:(?:[-\s](?:\d{{3}}[-\s]?\d{{4}}|\d{{4}}[-\s]?\d{{3}})|\d-\d{{3}}-\d{{3}}){_NO_UNIT}"
    r"|\d{7}(?=\s?(?:客服|热线|电话|咨询)))"
)
_CALL = (
    r"[号码是为:：.\s(（)）]{0,4}(?:0\d{9,11}|[48]00\d{7}|(?!20\d\d[-\s]20)[2-9]\d{2,3}[-\s]?\d{4})"
    rf"{_EXTENSION}{_NO_UNIT}"
)
# 010-12345678, (0571)1234567, +86 10 12345678, 400-123-4567, 电话：2345678.
_LANDLINE = re.compile(
    rf"\({_START}0\d{{1,3}}[)）][-\s]?{_LOCAL}|（{_START}0\d{{1,3}}[)）][-\s]?{_LOCAL}"
    rf"|0{_START}(?:10|2\d|[3-9]\d{{2}})[-\s—]{_LOCAL}|0{_START}[2-8]-\d{{3,4}}-\d{{4}}{_NO_UNIT}"
    rf"|\+{_START}86[-\s]?{_AREA}|0{_START}086[-\s]?{_AREA}"
    rf"|4{_START}{_FREE}|8{_START}{_FREE}|" + "|".join(f"{word}{_CALL}" for word in _CALLED.split())
)
_WECHAT_NAME = (
    rf"(?:(?:{_MESSENGER}|[vV]{_HEART}[xX]"
    r"|(?<![A-Za-z])(?:[wW]ei?[xX]in|[wW]e[cC]hat|WECHAT|WEIXIN|[vV][xX]|[wW][xX]|[vV](?=[:：])))"
)
# 微信：abc12345, 加V abc123, vx abc_123, wxid_abcdef.
_WECHAT = re.compile(
    rf"{_WECHAT_NAME}|[加➕][vV薇微](?!信)){_LINK}(?P<number>"
    r"(?<=[:：号])\s?[A-Za-z][\w-]{5,19}|[A-Za-z](?=[A-Za-z-]*[0-9_])[A-Za-z0-9_-]*(?:_|\d[A-Za-z-]*\d[A-Za-z-]*\d)[A-Za-z0-9_-]*"
    rf"|(?<=[:：号加vVxX])\s?\d{{6,11}}{_NO_UNIT})"
    rf"|(?:[加➕]我?(?:{_MESSENGER}|[vV薇微威徽]|[vVwW][xX]|卫星)|(?!微){_MESSENGER}){_LINK}(?P<added>[A-Za-z](?=[A-Za-z_-]*\d)[\w-]{{5,19}})"
    r"|(?<![A-Za-z0-9_])wxid_[A-Za-z0-9_-]{6,20}",
    re.ASCII,
)
# QQ：123456, 扣扣12345, 加群123456.
_QQ = re.compile(
    rf"(?:(?<![A-Za-z])[Qq]\s?[Qq]|扣扣|企鹅号?|加[Qq扣]|[加进入]群|群号|交流群|(?<![A-Za-z])[Qq](?=[:：群])){_LINK}(?P<number>[1-9]\d{{4,10}}){_NO_UNIT}"
)
# 京A12345, 粤B·D12345.
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼] ?"
    r"[A-HJ-NP-Z][·.•\s-]?"
    r"(?=[A-Z]{0,2}\d)[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳][A-HJ-NP-Z0-9]?(?![A-Za-z0-9])"
)


def _digits(text: str) -> str:
    return re.sub(r"[\s-]", "", text)


def _is_identity(text: str) -> bool:
    """Whether the checksum of GB 11643-1999 fits: weights 2^(17-i) mod 11."""
    digits = _digits(text).upper()
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(digits[:17]))
    return "10X98765432"[total % 11] == digits[17]


def _is_luhn(text: str) -> bool:
    """Whether the checksum of ISO/IEC 7812-1 fits: every second digit from the right is doubled."""
    digits = [int(digit) for digit in reversed(_digits(text))]
    return sum(digits[::2]) % 10 == -sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2]) % 10


def _has_digits(text: str) -> bool:
    """Whether there are at least three digits, as on every private number plate."""
    return sum(character.isdigit() for character in text) >= 3


def _always(_: str) -> bool:
    return True


_FINDERS: dict[Kind, tuple[re.Pattern[str], Callable[[str], bool], str]] = {
    "email": (_EMAIL, _always, "[邮箱]"),
    "identity": (_IDENTITY, _is_identity, "[身份证]"),
    "bank_card": (_BANK_CARD, _is_luhn, "[银行卡]"),
    "mobile": (_MOBILE, _always, "[手机]"),
    "landline": (_LANDLINE, _always, "[电话]"),
    "wechat": (_WECHAT, _always, "[微信]"),
    "qq": (_QQ, _always, "[QQ]"),
    "plate": (_PLATE, _has_digits, "[车牌]"),
}


def _masked(text: str, found: list[re.Match[str]], mask: str) -> str:
    """Replaces the numbers and leaves the words before them, such as 微信.

    Linear in the length of the text.
    """
    pieces, end = [], 0
    for match in found:
        start, stop = match.span(match.lastgroup or 0)
        pieces += [text[end:start], mask]
        end = stop
    return "".join([*pieces, text[end:]])


@dataclass(frozen=True, slots=True)
class ContactInfo:
    """Rejects telephone, QQ, WeChat, e-mail, resident ID and bank card (both by checksum), and
    number plate.
    """

    action: Literal["reject", "mask"] = "reject"
    """`mask` replaces the number by a word such as [手机]."""
    kinds: tuple[Kind, ...] = KINDS

    def __call__(self, text: str) -> str | Drop:
        """Returns the text, masked if set, or `contact_info` with the kind (never with the
        number)."""
        if not _HINT.search(text):
            return text
        plain = text.translate(_PLAIN)
        for kind in self.kinds:
            pattern, accepts, mask = _FINDERS[kind]
            found = [match for match in pattern.finditer(plain) if accepts(match[0])]
            if found and self.action == "reject":
                return Drop(Reason.CONTACT_INFO, kind)
            if found:
                text = _masked(text, found, mask)
                plain = text.translate(_PLAIN)
        return text
