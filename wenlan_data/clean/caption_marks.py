"""What stands before and after a caption on a page: 图为, ▲, 图1：; _新浪新闻, （组图）, 如下图所示."""

import re

MAX_CHARACTERS = 60
"""Characters of a text at whose end a mark is searched."""

MAX_MORE_CHARACTERS = 6
"""Of the end of a link to the rest of a text."""
MAX_SEE_CHARACTERS = 16
"""Of 如下图所示 and the like, after 图."""
_CLOSING = frozenset("）)】]")

_NUMBER = r"(?:\d{1,3}(?:[.\-–—]\d{1,3}){0,2}[a-zA-Z]?|[一二三四五六七八九十]{1,3}|[①-⑳])"
_SIDE = "(?:[上下左右中前后]|左上|左下|右上|右下|上[左右中]|下[左右中])"
_POINTING = "[▲△▼▽▴▾◢◣▶►◀◄↑↓←→⬆⬇⬅➡☝👆👇◎●■□◆◇★☆※♦✦🔺🔻]\ufe0f?"
_NAME = (
    r"(?:(?:图片|图像|照片|配图|插图|题图|封面图?|首图|主图)?(?:描述|说明|注释|注解|简介)|图[注说释解例示]"
    r"|题图|配图|插图|图片|照片|图文|图|标题"
    r"|(?:高清|精彩|高清)?(?:组图|图集|多图|图片新闻)|幻灯|高清|视频)"
)
_LEAD = re.compile(
    r"(?:"
    # ▲ 湖边的小船
    rf"{_POINTING}\s?"
    # 图为湖边的小船, 左图是, 上图：, （左图）
    rf"|(?:{_SIDE}?图(?:[中上]|片)?为|{_SIDE}图(?:中)?是|图中是)[：:]?\s?(?!何|什么|证|媒)"
    rf"|[（(【\[]\s?{_SIDE}?图(?:[中上]|片)?(?:\s?{_NUMBER})?\s?[)）】\]][：:]?\s?|{_SIDE}图\s?[：:]\s?"
    rf"|{_SIDE}图\s(?=\S)"
    # 图1：, 图4.1 , 图①, 图3为, Fig. 2
    rf"|(?:图表?|插图|图片|照片|配图|Fig(?:ure)?\.?)\s?{_NUMBER}(?:\s?[:：、.，|｜)）]\s?(?!\d)|\s(?=\S)"
    rf"|(?:[为是])\s?(?!何|什么)|(?<=[\d①-⑳])(?=[\u4e00-\u9fff])(?![张幅个组条种页款图册级集])\s?)"
    r"|[①-⑳]\s?(?![^①-⑳]*[①-⑳])"
    # 描述:, 图注：, [组图]
    rf"|{_NAME}\s?[:：]\s?|[（(【\[]\s?(?:{_NAME}|多图|视频|幻灯)\s?[)）】\]]\s?[:：]?\s?"
    # What BBC 中文 says to screen readers.
    r"|图[像片]加[注註]文字[，,：:]\s?"
    # （社会）（1）, 新华社照片，北京，2023年5月1日
    r"|(?:[（(][^（()）]{2,12}[）)]\s?)?[（(]\d{1,2}[）)]\s?"
    r"|新华社照片，[^，]{2,8}，\d{4}年\d{1,2}月\d{1,2}日\s?"
    r")++",
    re.IGNORECASE,
)
_LEAD_STARTS = frozenset(
    "▲△▼▽▴▾◢◣▶►◀◄↑↓←→⬆⬇⬅➡☝👆👇◎●■□◆◇★☆※♦✦🔺🔻图上下左右中前后（(【[插照配fF①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳描说注简题封首主标高精组多幻视新"
)

_SITE = (
    r"(?:新浪|网易|搜狐|腾讯|凤凰|知乎|豆瓣|百度|微博|微信|小红书|抖音|快手|头条|淘宝|天猫|京东|拼多多|携程"
    r"|马蜂窝|去哪儿|大众点评|下厨房|豆果|美食杰|哔哩哔哩|bilibili|简书|掘金|CSDN|博客园|天涯|猫扑|贴吧"
    r"|新华|人民|央视|中新"
    r"|[^\s_|｜\-–—。，！？!?]{0,12}(?:新闻|资讯|频道|论坛|社区|百科|博客|客户端|日报|晚报|早报|晨报|时报"
    r"|商报|都市报|网站|图片库|图库|商城|旗舰店|专卖店|官网|贴吧|门户|之窗|信息港|信息网|在线"
    r"|(?<![蛛渔丝球河路电水拦护滤围筛纱尼联互])网(?:站)?)|[^\s_|｜\-–—。，！？!?]{1,12}\.(?:com|cn|net|org))"
    r"(?:新闻|网|图片|视频|博客|体育|财经|百科|社区|频道)?"
)
_KIND = "(?:组图|多图|高清组图|高清|图集|配图|附图|有图|图文|图|视频|如图|见图)"
_SEE = (
    r"(?:(?<![犹宛假例比])如|详?见|参见|请看|请见|参照|参考)(?:以?[上下左右]图|图\s?\d{1,3}(?:[.-]\d{1,3})?"
    r"|附图)|(?<![犹宛假例比])如图\s?(?:\d{1,3}(?:[.-]\d{1,3})?)?"
)
# 另开新视窗, 在新窗口中打开, 点击放大: what a link does.
_WINDOW = (
    r"(?:另开新?(?:视窗|窗口?)|在?新(?:视窗|窗口|分页|标签页)中?(?:打开|开启)"
    r"|点[击选我](?:图片)?(?:可|即可|后)?(?:放大|查看(?:大图|原图)|看大图))"
)
# _新浪新闻, - 知乎, ——中国新闻网
_TAIL_SITE = re.compile(
    rf"\s?(?:[_|｜]+|\s-+\s|--+|—+|(?<=[\u4e00-\u9fff])-(?=[\u4e00-\u9fff]))\s?{_SITE}\Z",
    re.IGNORECASE,
)
_SITE_SIGNS = re.compile(r"[_|｜—-]")
# （组图）, （1/12）, （3）, （见下图）, [12P]
_TAIL_BRACKETED = re.compile(
    rf"[（(【\[]\s?(?:{_KIND}(?:共?\s?\d{{1,3}}\s?张)?|\d{{1,3}}(?:\s?[/／]\s?\d{{1,3}})?|共?\s?\d{{1,3}}\s?[张幅][图片照]*"
    rf"|\d{{1,3}}\s?[Pp图]|(?:{_SEE})[^（()）]{{0,6}}|{_SIDE}图|[下上以]+下?同|第\s?\d{{1,3}}\s?[张幅页]|(?:20\d\d-)?(?:0?[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])|{_WINDOW})\s?[)）】\]]\Z",
    re.IGNORECASE,
)
# 雪后的长城 1/12, 雪后的长城_03, 图片2
_TAIL_NUMBER = re.compile(
    r"(?:\s(?<![例的约为至到占切成]\s)\d{1,3}\s?/\s?(?:[5-9]|\d{2,3})|_\d{1,4}|[\s_-]图片?\s?\d{1,3}|\s第\s?\d{1,3}\s?[张幅])\Z"
)
# 预览图, 图片大全, .jpg
_TAIL_KIND = re.compile(
    r"(?:[\s_-]?(?:的|—)?(?:预览图|高清大?图片?|图片(?:大全|预览|欣赏|素材|下载)|(?<=[\s_-])(?:大图"
    r"|原图|小图|封面图))"
    r"|\.(?:jpe?g|png|gif|webp|bmp))\Z",
    re.IGNORECASE,
)
_KIND_ENDS = ("图", "图片", "大全", "预览", "欣赏", "素材", "下载", "g", "G", "f", "F", "p", "P")
# 展开查看全文, ...展开: a link to the rest of a text that the page cuts off, or to its comments.
_TAIL_MORE = re.compile(
    # 阅读更多 and 查看全部 may be what a person does.
    r"\s?(?:(?:展开|展開)(?:查看|阅读|閱讀)?全文|收起全文"
    r"|(?:(?<=[…。！？!?\s])|(?<=\.\.\.))(?:展开|展開|查看|阅读|閱讀)(?:更多|全部|全文)"
    r"|(?:查看|阅读|閱讀)(?:更多|全部|全文)(?=\s?[>»›])"
    r"|(?:(?<=…)|(?<=\.\.\.)|(?<=…\s)|(?<=\.\.\.\s))(?:展开|展開))[cd]?\s?[>»›∨▾▼﹀]{0,2}\Z"
    # 2回应, 15条评论
    r"|\s\d{1,6}\s?(?:[个條条次人]\s?)?(?:回应|回應|回复|回覆|评论|評論|点赞|喜欢|收藏|浏览|瀏覽)\Z"
)
_MORE_SIGNS = re.compile(
    r"(?:(?:全[文部]|更多|展[开開])c?d?\W{0,3}|回[应應复覆]|[评評][论論]|点赞|喜欢|收藏|浏览|瀏覽)\Z"
)
# ，如下图所示。
_TAIL_SEE = re.compile(
    rf"(?:[，,、；;\s]?(?:效果|样子|具体|详情|造型)?(?:{_SEE})(?:中?所?示)?\s?[：:。.！!]?"
    rf"|[，,、；;。]\s?{_SIDE}图\s?[：:]?)\Z"
)
# 图①：铜鼓；图②：啄木鸟 and 左图：正面；右图：背面 are captions of several images.
_ANOTHER = re.compile(rf"[；;。，,、\s](?:图\s?{_NUMBER}|{_SIDE}图)")


def lead_end(text: str) -> int:
    """Returns the number of characters before the caption: of ▲ 图为湖边的小船, 4."""
    if text[:1] not in _LEAD_STARTS:
        return 0
    match = _LEAD.match(text)
    return match.end() if match and not _ANOTHER.search(text, match.end()) else 0


def tail_start(text: str) -> int:
    """Returns the position where the caption ends: of 湖边的小船_新浪新闻, 5."""
    start = max(0, len(text) - MAX_CHARACTERS)
    match = None
    if text[-1:] in _CLOSING:
        opening = max(map(text.rfind, "（(【["))
        match = _TAIL_BRACKETED.match(text, opening) if opening >= start else None
    elif text[-1:].isdigit() or text[-1:] in "张幅":
        match = _TAIL_NUMBER.search(text, start)
    elif text.endswith(_KIND_ENDS):
        match = _TAIL_KIND.search(text, start)
    if match is None and text.find("图", -MAX_SEE_CHARACTERS) >= 0:
        match = _TAIL_SEE.search(text, start)
    if match is None and _MORE_SIGNS.search(text, max(start, len(text) - MAX_MORE_CHARACTERS)):
        match = _TAIL_MORE.search(text, start)
    if match is None and _SITE_SIGNS.search(text, start):
        match = _TAIL_SITE.search(text, start)
    return match.start() if match else len(text)
