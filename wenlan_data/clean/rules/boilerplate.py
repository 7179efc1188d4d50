"""Navigation, placeholders, legal lines and credits: what a page says about itself, not about the picture."""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from wenlan_data.clean.credits import author_of, is_credit
from wenlan_data.records import Drop, Remark

MAX_CHARACTERS = 60
"""Words of an interface and credits are no longer; a longer text is searched for legal clauses and at its end."""


_PICTURE = (
    r"(?:图片|图像|配图|插图|照片|图|相片|头像|封面|截图|(?:缩略|封面|示意|题|头|主|轮播|细节|详情|效果|背景|广告|宣传|banner)图"
    r"|image|picture|img)"
)
_PLACEHOLDER = re.compile(
    rf"(?:此|该|本|新闻|文章|产品|商品|默认|示例|网络|网页|视频|屏幕|用户|会员|空白)?{_PICTURE}(?:描述|说明|标题|名称|注释|注)?"
    r"[\d一二三四五六七八九十]{0,3}|(?:如|见)?(?:上|下|左|右)?图(?:所示|片)?"
    r"|(?:官方|客服|手机|微信|公众号|小程序|app)*二维码",
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

_CONTROL = re.compile(r"(?:按钮|图标|logo)\Z", re.IGNORECASE)

_LABELLED = re.compile(
    r"(?:上|下)一[篇页张章]\s?[:：].*|(?:相关|延伸|推荐|热门)(?:阅读|推荐|文章|新闻|链接|内容)\s?[:：].*"
    r"|(?:文章|本文)?(?:标签|关键词|分类|栏目|所属分类|责任编辑|发布者|发布人|上传者)\s?[:：].*"
    r"|(?:点击|阅读|浏览|播放|下载|评论|回复|点赞|收藏|转发|人气)(?:量|数|次数)?\s?[:：(（]?\s?\d+\s?[次条万]?\s?[)）]?"
)
"""A label of the page with what it leads to, and a counter."""

_LEGAL = re.compile(
    r"(?:版权|著作权)(?:归.{1,20})?所有(?![者权人])|all rights? reserved|copyright|©\s?(?:19|20)\d\d"
    r"|ICP[备证]|公网安备|经营许可证编?号|未经.{0,8}(?:授权|许可|同意|允许)"
    r"|(?:禁止|请勿|谢绝|不得)(?:擅自)?(?:转载|复制|盗用|商用|转发)|转载请|经授权(?:发布|转载|使用)|(?:作者|本人|原创)授权(?:发布|转载)|免责声明|侵权.{0,8}删|侵删"
    r"|如有侵权|如涉及?侵权|^\s?请?(?:及时)?(?:联系|告知).{0,8}(?:删除|处理)|图片仅供|仅供参考$|以实物为准"
    r"|^(?:图片|配图|图像|内容|本[图文])?[为由系]?(?:AI|人工智能)生成$|增值电信业务|powered by"
    r"|(?:仅|不)代表.{0,8}(?:观点|立场)|与本(?:网|站|平台)(?:站)?(?:立场|观点)?无关|与(?:内容|本文|正文|文章|新闻)(?:内容)?无关"
    r"|本(?:网站?|站|系统|页面).{0,24}技术支持|^技术支持\s?[:：]|^举报电话",
    re.IGNORECASE,
)
_CLAUSES = re.compile(r"[，,。！；;|｜\n]+")

_TAIL = re.compile(r"(?:(?<=[。！？!?；;…”」』])|\s|[|｜])\s?(?P<credit>[^。！？!?；;…]{2,40})\Z")
_BRACKETED = re.compile(r"\s?[（(【\[](?P<credit>[^（）()【】\[\]]{2,40})[)）】\]]\s?[。.]?\Z")


def _is_interface(text: str) -> bool:
    if len(text) > MAX_CHARACTERS:
        return False
    letters = _SIGNS.sub("", text)
    if _PLACEHOLDER.fullmatch(letters) or _BREADCRUMBS.fullmatch(text) or _LABELLED.fullmatch(text):
        return True
    words, strong = _vocabulary()
    return bool(words.fullmatch(letters) and strong.search(letters))


def _is_control(text: str) -> bool:
    """A button or icon that nothing but words of an interface describe. No tail: 「导出」按钮 is about the button."""
    letters = _SIGNS.sub("", text)
    stem = _CONTROL.sub("", letters)
    return len(text) <= MAX_CHARACTERS and stem is not letters and (not stem or bool(_vocabulary()[0].fullmatch(stem)))


def _tail(text: str) -> re.Match[str] | None:
    """The credit or click hint at the caption's end."""
    start = max(0, len(text) - MAX_CHARACTERS)
    for pattern in (_BRACKETED, _TAIL):
        match = pattern.search(text, start)
        if match and (is_credit(match["credit"]) or _is_interface(match["credit"])):
            return match
    return None


def _without_tail(text: str) -> str:
    tail = _tail(text)
    return text[: tail.start()].rstrip(" |｜") if tail else text


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
        if _is_interface(text) or _is_control(text) or is_credit(text):
            return Drop("boilerplate")
        rest = _without_tail(_without_legal(text))
        if rest is text:
            return text
        return rest if rest.strip() and not is_credit(rest) else Drop("boilerplate")

    def remarks(self, before: str, after: str | Drop) -> tuple[Remark, ...]:
        """The `author` whom the credit names that was cut off, or that the whole text is."""
        if after is before:
            return ()
        tail = _tail(_without_legal(before))
        author = author_of(tail["credit"] if tail else before)
        return (Remark("author", author),) if author else ()
