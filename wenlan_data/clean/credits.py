"""Photo credits: lines such as 图/视觉中国 or 新华社记者 李明 摄, and the author that they name."""

import re

MAX_CHARACTERS = 60
"""A longer text is not a credit."""

_AGENCY = (
    r"(?:新华社|新华网|中新社|中新网|人民网|人民视觉|央视|视觉中国|图虫创意|东方IC|IC ?photo|Getty|路透社?"
    r"|法新社?|美联社?|本报|本刊|网络|互联网)"
)
_SUBJECT = "(?:图片|照片|图文|文图|视频|资料|素材|本文|文章|内容|新闻|信息|消息)"
_LABEL = (
    rf"(?:{_SUBJECT}?(?:来源|来自|出处|供图|摄影|提供)|图源|图据|[图文摄]|文[/／]图|图[/／]文|图文)"
)
_STAFF = (
    "(?:责任编辑|责编|(?:值班|本期)?编辑|校对|排版|主编|副主编|总编|初审|复审|终审|签发|文案|剪辑|出品|审核|作者|撰文"
    "|编审|监制|记者|通讯员|美编|制图|绘图|制作|统筹|策划|摄影师?|供稿)"
)
_NAME = r"(?:\w{2,4}|\w{1,8}(?:·\w{1,8}){1,3})(?:[\s、]\w{2,4}){0,2}"
_CREDIT = re.compile(
    # 图片来源：视觉中国, 图/视觉中国
    rf"{_LABEL}\s?[:：/／|丨]\s?.{{1,24}}"
    rf"|{_STAFF}\s?[:：/／|｜丨]\s?.{{1,24}}|文[/／]图 .{{1,16}}"
    # 图源网络, 图片来自网络, 照片由受访者提供
    rf"|(?:配图|图片?|照片|图文|图源|图据)?(?:均?来自|来源于?|源于?|取自|出自|自)?于?{_AGENCY}(?:供图|图片|资料图)?"
    r"|(?:图片?|照片|视频|资料)均?由.{1,16}(?:提供|供图|拍摄|所?摄)"
    r"|(?:图为)?(?:资料|网络|档案|历史|效果|示意|新闻)(?:图片?|照片|配图)|网络配图|图文无关"
    # 转自@新华社, 图片来自豆瓣
    r"|(?:转载自\s?[:：@]?|(?:转自|分享自|摘自)\s?[:：@《])\s?\w{1,16}》?|(?:以上|[此该本])?(?:图片|照片|图文|文图)(?:均?来自|来源于|源自|摘自|取自)\s?[:：@]?\w{1,12}"
    # 新华社记者 李明 摄; 记者在灾区采访 is a caption
    rf"|(?:{_AGENCY}.{{0,6}})?(?:特约|实习)?(?:记者|通讯员|摄影师)\s?{_NAME}\s?(?:摄影?|供图|报道|文[/／]图|图|/摄)"
    rf"|{_AGENCY}.{{0,4}}发|{_AGENCY}.{{0,6}}?(?:记者|通讯员)(?:\s{_NAME})?"
    r"|[\w·]{2,4}(?:\s?(?<![拍航自俯仰偷])摄|\s摄影|摄影报道|\s?[/／]摄|\s?摄[/／].{0,8}(?:图片?|社|网|报|视觉|中国|IC))"
    r"|[\w·]{2,12}\s?供图",
    re.IGNORECASE,
)
# Around the name: 图片来源：李明, 新华社记者 李明 摄.
_BEFORE_NAME = re.compile(
    rf"文[/／]图 |(?:{_LABEL}|{_STAFF})\s?[:：/／|丨]\s?"
    r"|(?:图片?|照片|图文|视频|资料)?(?:均?来自于?|来源于?|源于?|取自|出自|均?由|转载?自|分享自|摘自)[\s@]?"
    r"|(?:特约|实习)?(?:记者|通讯员|摄影师)\s?"
)
_AFTER_NAME = re.compile(
    r"\s?(?:摄影报道|摄影|所?摄|[/／]摄|摄[/／].{1,10}|提供|供图|拍摄|报道|文[/／]图|图|发)\Z"
)
# A credit that names no author of the image: 图片来自网络, 责任编辑：李明, 受访者供图.
_NO_AUTHOR = re.compile(
    r"(?:网络|互联网|资料|本文|本网|本站|档案|历史|效果|示意|新闻|配图|图文无关).{0,4}"
    r"|(?:责任编辑|责编|编辑|校对|审核|撰文|编审|监制|美编|制作|统筹|策划).*|.*(?:受访者|资料图片?|网络)"
)


def is_credit(text: str) -> bool:
    """Whether the text is a credit and nothing else."""
    return len(text) <= MAX_CHARACTERS and bool(_CREDIT.fullmatch(_without_brackets(text)))


def author_of(credit: str) -> str:
    """Returns the person or agency that a credit names; empty if it names nobody, or is no
    credit."""
    text = _without_brackets(credit)
    if not is_credit(credit) or _NO_AUTHOR.fullmatch(text):
        return ""
    match = _BEFORE_NAME.match(text)
    name = _AFTER_NAME.sub("", text[match.end() :] if match else text)
    return "" if _NO_AUTHOR.fullmatch(name) else " ".join(name.split())


def _without_brackets(text: str) -> str:
    return text.strip(" 。.（）()【】[]")
