"""Navigation, placeholders, legal lines and credits: what a page says about itself, not about the picture."""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from wenlan_data.records import Drop

MAX_CHARACTERS = 60
"""Words of an interface and credits are no longer; a longer text is searched for legal clauses and at its end."""


_PICTURE = r"(?:图片|图像|配图|插图|照片|图|相片|头像|封面|缩略图|封面图|示意图|题图|头图|image|picture|img)"
_PLACEHOLDER = re.compile(
    rf"(?:此|该|本|新闻|文章|产品|商品|默认|示例|网络)?{_PICTURE}(?:描述|说明|标题|名称|注释)?"
    r"[\d一二三四五六七八九十]{0,3}",
    re.IGNORECASE,
)
_SIGNS = re.compile(r"[\W_]+")


@cache
def _vocabulary() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What a text of interface words and fillers matches as a whole, and what it must hold besides."""
    lines = resources.files("wenlan_data.clean").joinpath("interface_words.txt").read_text("utf-8")
    interface, fillers = (part.partition("\n")[2].split() for part in lines.split("\n\n"))
    either, strong = (
        "|".join(sorted(map(re.escape, words), key=len, reverse=True)) for words in (interface + fillers, interface)
    )
    return re.compile(rf"(?:{either}|\d{{1,6}})++"), re.compile(strong)


_BREADCRUMBS = re.compile(r"(?:首页|主页|当前位置|您的位置|您现在的位置|所在位置)\s*[:：>»›/→|-].*")

_LEGAL = re.compile(
    r"(?:版权|著作权)(?:归.{1,20})?所有(?![者权人])|all rights? reserved|copyright|©\s?(?:19|20)\d\d"
    r"|ICP[备证]|公网安备|经营许可证编?号|未经.{0,8}(?:授权|许可|同意|允许)"
    r"|(?:禁止|请勿|谢绝|不得)(?:擅自)?(?:转载|复制|盗用|商用|转发)|转载请|免责声明|侵权.{0,8}删|侵删"
    r"|(?:仅|不)代表.{0,8}(?:观点|立场)|与本(?:网|站|平台)(?:站)?(?:立场|观点)?无关"
    r"|本(?:网站?|站|系统|页面).{0,24}技术支持|^技术支持\s?[:：]|^举报电话",
    re.IGNORECASE,
)
_CLAUSES = re.compile(r"[，,。！；;|｜\n]+")

_AGENCY = (
    r"(?:新华社|新华网|中新社|中新网|人民网|人民视觉|央视|视觉中国|图虫创意|东方IC|IC ?photo|Getty|路透社?"
    r"|法新社?|美联社?|本报|本刊|网络|互联网)"
)
_OF_PICTURE = "(?:图片|照片|图文|文图|视频|资料|素材|本文|文章|内容|新闻|信息|消息)"
_STAFF = "(?:责任编辑|责编|编辑|校对|审核|作者|撰文|编审|监制|记者|通讯员|美编|制图|绘图|制作|统筹|策划|摄影师?|供稿)"
_NAME = r"[\w·]{2,8}(?:\s[\w·]{2,4}){0,2}"
_CREDIT = re.compile(
    # 图片来源：视觉中国, 图/视觉中国
    rf"(?:{_OF_PICTURE}?(?:来源|来自|出处|供图|摄影|提供)|图源|图据|[图文摄]|文[/／]图|图[/／]文|图文)\s?[:：/／|丨]\s?.{{1,24}}"
    rf"|{_STAFF}\s?[:：/／]\s?.{{1,24}}|文[/／]图 .{{1,16}}"
    # 图源网络, 图片来自网络, 照片由受访者提供
    rf"|(?:图片?|照片|图文|图源|图据)?(?:均?来自|来源于?|源于?|取自|出自)?于?{_AGENCY}(?:供图|图片|资料图)?"
    r"|(?:图片?|照片|视频|资料)均?由.{1,16}(?:提供|供图|拍摄|所?摄)"
    r"|(?:图为)?(?:资料|网络|档案|历史|效果|示意|新闻)(?:图片?|照片|配图)|网络配图|图文无关"
    # 新华社记者 李明 摄; 记者在灾区采访 is a caption
    rf"|(?:{_AGENCY}.{{0,6}})?(?:特约|实习)?(?:记者|通讯员|摄影师)\s?{_NAME}\s?(?:摄影?|供图|报道|文[/／]图|图|/摄)"
    rf"|{_AGENCY}.{{0,4}}发|{_AGENCY}.{{0,6}}?(?:记者|通讯员)(?:\s{_NAME})?"
    r"|[\w·]{2,4}(?:\s?(?<![拍航自俯仰偷])摄|\s摄影|摄影报道|\s?[/／]摄|\s?摄[/／].{1,10})|[\w·]{2,12}\s?供图",
    re.IGNORECASE,
)
_TAIL = re.compile(r"(?:(?<=[。！？!?；;…”」』])|\s|[|｜])\s?(?P<credit>[^。！？!?；;…]{2,40})\Z")
_BRACKETED = re.compile(r"\s?[（(【\[](?P<credit>[^（）()【】\[\]]{2,40})[)）】\]]\s?[。.]?\Z")


def _is_interface(text: str) -> bool:
    if len(text) > MAX_CHARACTERS:
        return False
    letters = _SIGNS.sub("", text)
    if _PLACEHOLDER.fullmatch(letters) or _BREADCRUMBS.fullmatch(text):
        return True
    words, strong = _vocabulary()
    return bool(words.fullmatch(letters) and strong.search(letters))


def _is_credit(text: str) -> bool:
    return len(text) <= MAX_CHARACTERS and bool(_CREDIT.fullmatch(text.strip(" 。.（）()【】[]")))


def _without_tail(text: str) -> str:
    """The caption without the credit or click hint at its end."""
    start = max(0, len(text) - MAX_CHARACTERS)
    for pattern in (_BRACKETED, _TAIL):
        match = pattern.search(text, start)
        if match and (_is_credit(match["credit"]) or _is_interface(match["credit"])):
            return text[: match.start()].rstrip(" |｜")
    return text


def _without_legal(text: str) -> str:
    """The clauses that are not legal lines, joined as they were."""
    if not _LEGAL.search(text):
        return text
    clauses = [clause for clause in _CLAUSES.split(text) if clause.strip() and not _LEGAL.search(clause)]
    return "，".join(clauses) if sum(map(len, clauses)) > len(text) // 2 else ""


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """Rejected where the whole text is made of words of an interface, is a placeholder, a legal line or a credit.

    A credit or click hint at the end of a caption is cut off, and so are legal clauses beside a longer caption.
    """

    def __call__(self, text: str) -> str | Drop:
        """The caption, or `boilerplate` where none is there."""
        if _is_interface(text) or _is_credit(text):
            return Drop("boilerplate")
        rest = _without_tail(_without_legal(text))
        return rest if rest.strip() and not _is_credit(rest) else Drop("boilerplate")
