"""Rejects navigation, placeholders, legal lines and credits: texts about the page, not the
image."""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from wenlan_data.clean.credits import author_of, is_credit
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop, Remark

MAX_CHARACTERS = 60
"""Interface words and credits are no longer. Longer texts have their legal clauses and end
checked."""
MAX_PARTS = 8
"""A byline has at most this many parts between spaces."""

_IMAGE_NOUN = (
    r"(?:图片|图像|配图|插图|照片|图|相片|头像|封面|截图|(?:缩略|封面|示意|题|头|主|轮播|细节|详情|效果|背景|广告|宣传|banner)图"
    r"|image|picture|img|banner|thumbnail|placeholder)"
)
# 此处为图片, 产品图片1, 微信二维码, 向下的箭头, alt text, 华丽的分割线.
_PLACEHOLDER = re.compile(
    r"(?:(?:此处|这里|在此)(?:为|是|放|填写?|输入|添加|插入|上传)?)?"
    rf"(?:此|该|本|新闻|文章|产品|商品|默认|示例|网络|网页|视频|屏幕|用户|会员|空白|透明)?{_IMAGE_NOUN}(?:描述|说明|标题|名称|注释|注)?"
    r"[\d一二三四五六七八九十]{0,3}|(?:如|见)?(?:上|下|左|右)?图(?:所示|片)?"
    r"|(?:官方|客服|手机|微信|公众号|小程序|app)*(?:二维码|小程序码|太阳码)"
    r"|[向朝][上下左右]的?箭头|(?:全文|正文|本文)?[完终]|正文|详细|alt(?:text)?"
    r"|(?:我是)?(?:一条|这是)?(?:华丽丽?的?)?(?:分割线|分隔[线符]|分界线)(?:素材|图片?)?",
    re.IGNORECASE,
)
_PUNCTUATION = re.compile(r"[\W_]+")


@cache
def _vocabulary() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Returns patterns of: interface words and fillers only; one interface word; their characters.

    The last one is a fast first test: most texts have a character that no interface word has.
    """
    lines = resources.files("wenlan_data.clean").joinpath("interface_words.txt").read_text("utf-8")
    interface, fillers = (part.partition("\n")[2].split() for part in lines.split("\n\n"))
    either, strong = (
        "|".join(sorted(map(re.escape, words), key=len, reverse=True))
        for words in (interface + fillers, interface)
    )
    characters = re.escape("".join(sorted(set("".join(interface + fillers)))))
    return (
        re.compile(rf"(?:{either}|\d{{1,6}})++"),
        re.compile(strong),
        re.compile(rf"[\d{characters}]++"),
    )


def _is_made_of_words(letters: str) -> bool:
    words, _, characters = _vocabulary()
    return bool(characters.fullmatch(letters) and words.fullmatch(letters))


# 首页 > 新闻, 您的位置：首页 > 旅游.
_BREADCRUMBS = re.compile(
    r"(?:首页|主页|(?:[您你的]|现在|当前|目前|所在){1,4}位置)\s*[:：>»›/→|-].*"
)

# 提交按钮, 搜索图标.
_CONTROL = re.compile(r"(?:按钮|图标|logo)\Z", re.IGNORECASE)
# A character that ends every match of `_CONTROL`; to search for it is cheaper.
_ENDS_CONTROL = re.compile("[钮标oO]")

# 2023-05-01 12:30, 3小时前, 昨天 08:00.
_WHEN = (
    r"(?:[\d\s:：/.年月日时分秒-]{4,30}(?:星期|周)?[一二三四五六日]?"
    r"|\d{1,3}\s?(?:秒|分钟|小时|天|个月|年)之?前|[今昨前]天.{0,9})"
)

# 阅读量, 点赞数, 销量; with a number: 阅读量：1.2万.
_COUNTED = (
    r"(?:(?:点击|阅读|浏览|播放|下载|评论|回复|点赞|收藏|转发|分享|人气|热度|查看|访问)(?:量|数|次数)?"
    r"|(?:累计|全部|商品)?评[价论]|有用|赞|销量|月销量?|已售|已有|库存|粉丝|关注|付款|想看|看过|回答|在看)"
)
_COUNT = r"\d[\d.,]*\s?[万千wk]?\+?\s?"
_STAMP = re.compile(r"(?:(?:时间|日期)\s?[:：])?[\d:：/.年月日时分秒-]{4,20}")
_LABELLED = re.compile(
    r"(?:上|下)一[篇页张章]\s?[:：].*|(?:相关|延伸|推荐|热门)(?:阅读|推荐|文章|新闻|链接|内容)\s?[:：].*"
    r"|(?:文章|本文)?(?:标签|关键词|分类|栏目|所属分类|责任编辑|发布者|发布人|上传者)\s?[:：].*"
    rf"|{_COUNTED}\s?[:：(（]?\s?{_COUNT}[次条]?\s?[)）]?"
    rf"|(?:已有|共有?|共?找到)?\s?{_COUNT}[人次条个篇位]{{1,2}}(?:已|在|想)?(?:结果|记录|{_COUNTED})"
    r"|(?:字体|字号|文字)(?:大小)?\s?[:：\s](?:\s?(?:[特超]?[大中小]|默认|标准)){2,}"
    r"|第\s?\d+\s?页\s?[/／]?\s?(?:共\s?\d+\s?页)?|共\s?\d+\s?页(?:\s\d+)*"
    rf"|(?:发表|发布|更新|编辑|创建|上传|修改|回复|发帖|回帖|注册)(?:时间|日期)?[于在]?\s?[:：]?\s?{_WHEN}"
    rf"|今天是\s?[:：]?\s?{_WHEN}|(?:本[帖贴文])?最后由.{{1,24}}[于在].{{1,24}}编辑",
    re.IGNORECASE,
)
"""A label and its target (下一篇：...), a counter (1234次浏览), font sizes, page numbers, a label
with a date."""

_LEGAL = re.compile(
    r"(?:版权|著作权)(?:归.{1,20})?所有(?![者权人])|all rights? reserved|copyright|©\s?(?:19|20)\d\d"
    r"|ICP[备证]|公网安备|经营许可证编?号|未经.{0,8}(?:授权|许可|同意|允许)"
    r"|(?:禁止|请勿|谢绝|不得)(?:擅自)?(?:转载|复制|盗用|商用|转发)|转载请|经授权(?:发布|转载|使用)|(?:作者|本人|原创)授权(?:发布|转载)|免责声明|侵权.{0,8}删|侵删"
    r"|如有侵权|如涉及?侵权|^\s?请?(?:及时)?(?:联系|告知).{0,8}(?:删除|处理)|图片仅供|仅供参考$|以实物为准"
    r"|(?:翻印|违者|侵权|盗[版用图])必究|(?:您|你)的浏览器|浏览器版本过?[低旧]|请.{0,4}(?:升级|更换).{0,8}浏览器"
    r"|^(?:[该此本]?(?:图片|配图|图像|内容|图|文))?[为由系]?(?:AI|人工智能)(?:辅助)?生成$|增值电信业务|powered by"
    r"|^(?:版权|郑重|特别)?声明$|^版权声明|仅供.{0,6}(?:学习|交流|娱乐|使用|参考)(?!\w)"
    r"|(?:来源|源|来自|自)于?(?:网络|互联网)(?!\w)|最终解释权|举报(?:中心|电话|邮箱)$"
    r"|(?:即|我已)(?:表示|视为|阅读)?(?:并|您)?同意|请先?登录(?!页)|登录后(?:可|才能|查看)|从未签到|来自.{1,12}客户端$"
    r"|(?:仅|不)代表.{0,8}(?:观点|立场)|与本(?:网|站|平台)(?:站)?(?:立场|观点)?无关|与(?:内容|本文|正文|文章|新闻)(?:内容)?无关"
    r"|本(?:网站?|站|系统|页面).{0,24}技术支持|^技术支持\s?[:：]|^举报电话",
    re.IGNORECASE,
)
_LEGAL_CHARACTERS = re.compile(
    "[所vVyY©备证未转复盗商权授声侵系知仅准生增代无技举究览释登同签户网]"
)
"""Every match of `_LEGAL` has one of these characters; the search for them costs a tenth."""
_CLAUSES = re.compile(r"[，,。！；;|｜\n]+")

# 雨后的黄山云海。新华社记者 李明 摄; 雨后的黄山云海（图/视觉中国）.
_TAIL = re.compile(r"(?:(?<=[。！？!?；;…”」』])|\s|[|｜])\s?(?P<credit>[^。！？!?；;…]{2,40})\Z")
_BRACKETED = re.compile(r"\s?[（(【\[](?P<credit>[^（）()【】\[\]]{2,40})[)）】\]]\s?[。.]?\Z")
# Every match of `_TAIL` and of `_BRACKETED` has one of these; to search for them first is cheaper.
_SEPARATORS, _BRACKETS = re.compile(r"[。！？!?；;…”」』\s|｜]"), re.compile(r"[)）】\]]")


def _is_interface(text: str) -> bool:
    if len(text) > MAX_CHARACTERS:
        return False
    letters = _PUNCTUATION.sub("", text)
    if _PLACEHOLDER.fullmatch(letters) or _BREADCRUMBS.fullmatch(text) or _LABELLED.fullmatch(text):
        return True
    return _is_made_of_words(letters) and bool(_vocabulary()[1].search(letters))


def _is_byline(text: str) -> bool:
    """Credits, dates and counters in a row, as under a headline: 图/视觉中国 2023-05-01 阅读量：1234."""
    parts = text.split()
    return 1 < len(parts) <= MAX_PARTS and all(
        is_credit(part) or _LABELLED.fullmatch(part) or _STAMP.fullmatch(part) for part in parts
    )


def _is_control(text: str) -> bool:
    """A button or icon that only interface words describe: 搜索按钮.

    Not used for the end of a caption: 点击「导出」按钮 describes the button.
    """
    if len(text) > MAX_CHARACTERS or not _ENDS_CONTROL.search(text):
        return False
    letters = _PUNCTUATION.sub("", text)
    stem = _CONTROL.sub("", letters)
    return stem is not letters and (not stem or _is_made_of_words(stem))


def _tail(text: str) -> re.Match[str] | None:
    """The credit or click hint at the end of a caption."""
    start = max(0, len(text) - MAX_CHARACTERS)
    for pattern, sign in ((_BRACKETED, _BRACKETS), (_TAIL, _SEPARATORS)):
        match = pattern.search(text, start) if sign.search(text, start) else None
        if match and (is_credit(match["credit"]) or _is_interface(match["credit"])):
            return match
    return None


def _without_tail(text: str) -> str:
    tail = _tail(text)
    return text[: tail.start()].rstrip(" |｜") if tail else text


def _without_legal(text: str) -> str:
    """The clauses without legal lines, joined by commas; empty unless more than half is left."""
    if not _LEGAL_CHARACTERS.search(text) or not _LEGAL.search(text):
        return text
    clauses = [
        clause for clause in _CLAUSES.split(text) if clause.strip() and not _LEGAL.search(clause)
    ]
    return "，".join(clauses) if sum(map(len, clauses)) > len(text) // 2 else ""


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """Rejects a text that consists of interface words, a placeholder, a legal line or a credit.

    Cuts off a credit or click hint at the end of a caption, and legal clauses beside a longer
    caption.
    """

    def __call__(self, text: str) -> str | Drop:
        """Returns the caption, or `boilerplate` if there is none."""
        if _is_interface(text) or _is_control(text) or is_credit(text) or _is_byline(text):
            return Drop(Reason.BOILERPLATE)
        rest = _without_tail(_without_legal(text))
        if rest is text:
            return text
        return rest if rest.strip() and not is_credit(rest) else Drop(Reason.BOILERPLATE)

    def remarks(self, before: str, after: str | Drop) -> tuple[Remark, ...]:
        """Returns the `author` that a credit names: the one that was cut off, or the whole text."""
        if after is before:
            return ()
        tail = _tail(_without_legal(before))
        author = author_of(tail["credit"] if tail else before)
        return (Remark("author", author),) if author else ()
