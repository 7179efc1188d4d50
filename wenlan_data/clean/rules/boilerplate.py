"""Rejects navigation, placeholders, legal lines and credits: texts about the page, not the
image."""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice

from wenlan_data.clean.caption_marks import lead_end, tail_start
from wenlan_data.clean.credits import author_of, is_credit
from wenlan_data.clean.page_labels import is_label, is_time_stamp
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop, Remark

MAX_CHARACTERS = 60
"""Interface words and credits are no longer. Longer texts have their legal clauses and end
checked."""
MAX_PARTS = 8
"""A byline has at most this many parts between spaces."""

MAX_CREDIT_CHARACTERS = 40
"""Of a credit at the end of a caption."""
MAX_ROUNDS = 8
"""How often a text is looked at again after something was cut off: 云海（组图）_新浪新闻 takes two."""

_IMAGE_NOUN = (
    r"(?:图片|图像|配图|插图|照片|图|相片|头像|封面|截图|图集|组图|画面|动图|海报|剧照"
    r"|images?|pictures?|pics?|img|photos?|banner|thumbnail|placeholder|untitled|logo)"
)
# Words before 图片 that leave it the name of a kind of image: 步骤图, 商品实拍图, 此图片.
_KIND = (
    "(?:此|该|本|这|一?张|单张|新闻|文章|正文|词条|百科|产品|商品|宝贝|展品|文物|藏品|作品|样品|成品|菜品|食材|配料|美食|步骤|教程|操作|过程|案例|项目|店铺|门店|酒店|房源|楼盘|景点|景区|人物|活动|现场"
    "|实物|实拍|实景|外观|内部|内景|外景|局部|细节|整体|正面|侧面|背面|前后|对比|参考|资料|网络|网页|网站|视频|屏幕|手机|电脑|微信|微博|朋友圈|用户|会员|默认|示例|空白|透明|示意|效果|预览|展示|展开|查看|点击"
    "|高清|无水印|缩略|封面|列表|详情|介绍|说明|相关|推荐|热门|精选|更多|最新|原创|焦点|幻灯|轮播|宣传|广告|背景|banner|全|原|大|小|主|头|题|首|尾|长|动态?|静态?|附|样)"
)
# 此处为图片, 产品图片1, 微信二维码, 向下的箭头, alt text, 华丽的分割线.
_PLACEHOLDER = re.compile(
    r"(?:(?:此处|这里|在此)(?:为|是|放|填写?|输入|添加|插入|上传)?)?"
    rf"{_KIND}{{0,3}}的?{_IMAGE_NOUN}(?:描述|说明|标题|名称|注释|注|展示|预览|欣赏|大全)?"
    r"[\d一二三四五六七八九十]{0,8}(?:jpe?g|png|gif|webp)?|(?:如|见)?(?:上|下|左|右)?图(?:所示|片)?"
    r"|(?:[^，。！？]{1,16}的)?(?:操作|制作|做法)?(?:步骤|步驟|第[一二三四五六七八九十\d]{1,3}步)[\d一二三四五六七八九十]{0,3}图?"
    r"|(?:官方|客服|手机|微信|公众号|小程序|app)*(?:二维码|小程序码|太阳码)"
    r"|[向朝][上下左右]的?箭头|(?:全文|正文|本文)?[完终]|正文|详细|alt(?:text)?"
    r"|(?:我是)?(?:一条|这是)?(?:华丽丽?的?)?(?:分割线|分隔[线符]|分界线)(?:素材|图片?)?",
    re.IGNORECASE,
)
_PUNCTUATION = re.compile(r"[\W_]+")
# Every match of `_PLACEHOLDER` ends with one of these.
_PLACEHOLDER_ENDS = frozenset(
    "片像图照面集报头封述明题称释注示览赏全码完终文细符线界材骤驟步0123456789一二三四五六七八九十tTeEsSgGrRdDoOpPfFlLcCjJ"
)


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

# Of an image without a title; 《无题》 and 版画 无题 are titles of works.
_UNTITLED = "无题"

# 提交按钮, 搜索图标.
_CONTROL = re.compile(r"(?:按钮|图标|logo)\Z", re.IGNORECASE)
# A character that ends every match of `_CONTROL`; to search for it is cheaper.
_ENDS_CONTROL = re.compile("[钮标oO]")

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
    r"|^(?:[本此该该][页頁文]|以上|文档|页面|頁面).{0,6}(?:是否|有没有|有沒有).{0,4}(?:解决|解決|帮助|幫助)|遵循.{0,12}(?:共享|授权|许可)协议"
    r"|(?:查看|下载|下載|檢視|浏览)(?:次数|次數)\s?[:：]\s?\d|(?:文件|檔案|附件)大小\s?[:：]\s?\d"
    # 230.4 KB · 查看： 40
    r"|^\d[\d.]*\s?[KMG]i?B\s?[·|,，(（]"
    r"|本(?:网站?|站|系统|页面).{0,24}技术支持|^技术支持\s?[:：]|^举报电话",
    re.IGNORECASE,
)
_LEGAL_CHARACTERS = re.compile(
    "[Bb数數件檔否没沒遵所vVyY©备证未转复盗商权授声侵系知仅准生增代无技举究览释登同签户网]"
)
"""Every match of `_LEGAL` has one of these characters; the search for them costs a tenth."""
_CLAUSES = re.compile(r"[，,。！；;|｜\n]+")

# Between a caption and its credit: 雨后的黄山云海。新华社记者 李明 摄.
_BREAK = re.compile(
    r"(?<=[。！？!?；;…”」』])\s?|\s[/／|｜—–-]{0,2}\s?|[|｜]\s?|[，,/／]\s?|[—–]{1,2}\s?"
    # 猎户座大星云图片来源：视觉中国: a label that no caption has needs no break.
    r"|(?<=\w)(?=(?:图片|照片|影像|图像)(?:来源|出处|提供|版权)[^:：\s]{0,4}[:：])"
)
# After these only a credit with one of the signs is cut off: not 网络 or 微博.
_WEAK_BREAKS = frozenset("，,/／—–")
_SENTENCE_ENDS = frozenset("。！？!?；;…|｜")
_CREDIT_SIGN = re.compile(
    "[摄供源社觉©ⓒ图](?:(?<=[供源社觉©ⓒ])|(?<=摄)(?<![拍航自俯仰偷翻]摄)|[/／|｜:：])"
)
_BRACKETED = re.compile(r"\s?[（(【\[](?P<credit>[^（）()【】\[\]]{2,40})[)）】\]]\s?[。.]?\Z")
# 雨后的黄山云海（新华社发（李明 摄））, 雨后的黄山云海。新华社发（李明 摄）
_BRACKETED_FIRST = re.compile(
    r"[（(【\[](?P<credit>[^（）()【】\[\]]{2,40})[)）】\]]\s?[：:，,]?\s?"
)
# A text without one of these, and without what credits after a comma have, has no credit at its
# end; to search for them first is cheaper.
_MAY_END = re.compile(r"[。！？!?；;…”」』\s|｜)）】\]摄供源社觉©ⓒ图_展阅閱查—–.-]")
_OPENING, _CLOSING = frozenset("（(【["), frozenset("）)】]")
_BREAKS, _BRACKETS = re.compile(r"[。！？!?；;…”」』\s|｜]"), re.compile(r"[)）】\]]")


def _is_interface(text: str) -> bool:
    if len(text) > MAX_CHARACTERS:
        return False
    letters = _PUNCTUATION.sub("", text)
    if letters[-1:] in _PLACEHOLDER_ENDS and _PLACEHOLDER.fullmatch(letters):
        return True
    if is_label(text) or _BREADCRUMBS.fullmatch(text):
        return True
    return _is_made_of_words(letters) and bool(_vocabulary()[1].search(letters))


# Signs between the parts of such a line.
_BARS = re.compile(r"[|｜]")


def _is_byline(text: str) -> bool:
    """Credits, dates, counters and interface words in a row, as under a headline: 图/视觉中国
    2023-05-01 阅读量：1234, 发表于 2019-05-03 21:08 | 只看该作者."""
    if len(text) > MAX_CHARACTERS * 2:
        return False
    parts = text.split() if " " in text else []
    if 1 < len(parts) <= MAX_PARTS and all(map(_is_byline_part, parts)):
        return True
    if not _BARS.search(text):
        return False
    parts = [part for part in _BARS.split(text) if part]
    return 1 < len(parts) <= MAX_PARTS and all(
        _is_byline_part(part.strip()) or _is_interface(part) for part in parts
    )


def _is_byline_part(part: str) -> bool:
    return is_credit(part) or is_label(part) or is_time_stamp(part)


def _is_control(text: str) -> bool:
    """A button or icon that only interface words describe: 搜索按钮.

    Not used for the end of a caption: 点击「导出」按钮 describes the button.
    """
    if len(text) > MAX_CHARACTERS or not _ENDS_CONTROL.search(text):
        return False
    letters = _PUNCTUATION.sub("", text)
    stem = _CONTROL.sub("", letters)
    return stem is not letters and (not stem or _is_made_of_words(stem))


def _credit(text: str) -> tuple[int, str] | None:
    """Position and words of the credit or click hint at the end of a caption."""
    start = max(0, len(text) - MAX_CHARACTERS)
    bracketed = None
    if _BRACKETS.search(text, start):
        match = _BRACKETED.search(text, start)
        if match and (is_credit(match["credit"]) or _is_interface(match["credit"])):
            bracketed = match.start(), match["credit"]
    if not _BREAKS.search(text, start) and not _CREDIT_SIGN.search(text, start):
        return bracketed
    found = _credit_after_break(text, start)
    # 花灯。大江在线发（陈远 摄）: the brackets are the end of a longer credit.
    return found if bracketed is None or (found and found[0] < bracketed[0]) else bracketed


def _credit_after_break(text: str, start: int) -> tuple[int, str] | None:
    for number, match in enumerate(_BREAK.finditer(text, start)):
        words = text[match.end() :]
        if not words or len(words) > MAX_CREDIT_CHARACTERS:
            continue
        is_weak = match[0][:1] in _WEAK_BREAKS
        if is_weak and not _CREDIT_SIGN.search(words):
            continue
        # A click hint is a sentence, or all that follows the first break: in 冰箱速冻 12 小时以上
        # 保存, the last word is none.
        may_be_hint = not is_weak and (not number or text[match.start() - 1] in _SENTENCE_ENDS)
        if is_credit(words) or (may_be_hint and _is_interface(words)):
            return match.start(), words
    return None


def _first_credit(text: str) -> re.Match[str] | None:
    """A credit in brackets at the beginning of a caption."""
    match = _BRACKETED_FIRST.match(text) if text[:1] in _OPENING else None
    return match if match and match.end() < len(text) and is_credit(match["credit"]) else None


def _cut(text: str) -> tuple[str, str]:
    """Cuts one thing off: a credit, else what marks a caption. Returns the rest, and the credit."""
    begin, end = lead_end(text), len(text)
    if _MAY_END.search(text, max(0, end - MAX_CHARACTERS)):
        if credit := _credit(text):
            return text[: credit[0]], credit[1]
        end = tail_start(text)
    if first := _first_credit(text):
        return text[first.end() :], first["credit"]
    if text[:1] in _OPENING and text[-1:] in _CLOSING and lead_end(text[1:]):
        return text[1:-1], ""
    if begin or end < len(text):
        return text[begin : max(begin, end)], ""
    return text, ""


def _without_ends(text: str) -> tuple[str, list[str]]:
    """The caption without what stands before and after it, and the credits among that."""
    credits: list[str] = []
    for _ in range(MAX_ROUNDS):
        rest, credit = _cut(text)
        if rest is text or rest == text:
            break
        credits += [credit] if credit else []
        text = rest.strip(" |｜")
    return text, credits


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

    Cuts off a credit or click hint at the end of a caption, what marks it as a caption (图为, ▲,
    （组图）) or names the site, and legal clauses beside a longer caption.
    """

    def __call__(self, text: str) -> str | Drop:
        """Returns the caption, or `boilerplate` if there is none."""
        if _is_boilerplate(text):
            return Drop(Reason.BOILERPLATE)
        legal = _without_legal(text)
        rest, _ = _without_ends(legal)
        if rest is text:
            return text
        return rest if rest and not _is_boilerplate(rest) else Drop(Reason.BOILERPLATE)

    def remarks(self, before: str, after: str | Drop) -> tuple[Remark, ...]:
        """Returns the `author` that a credit names: the one that was cut off, or the whole text."""
        if after is before:
            return ()
        _, credits = _without_ends(_without_legal(before))
        authors = filter(None, map(author_of, [*credits, before]))
        return tuple(Remark("author", author) for author in islice(authors, 1))


def is_boilerplate(text: str) -> bool:
    """Whether the whole text is boilerplate. Costs a third of the rule, which also looks for a part
    that is none."""
    return _is_boilerplate(text) or not _without_legal(text)


def _is_boilerplate(text: str) -> bool:
    return (
        _is_interface(text)
        or _is_control(text)
        or is_credit(text)
        or _is_byline(text)
        or text == _UNTITLED
    )
