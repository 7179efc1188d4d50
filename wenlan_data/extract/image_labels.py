"""Words that label an image as no content: `alt` and `title`, and the lines beside it.

A pattern matches the whole text, since a caption may mention any of these things: 市民扫一扫二维码乘坐
地铁 describes a photograph, 扫一扫二维码 labels a QR code.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from wenlan_data.extract.page_regions import simplified
from wenlan_data.extract.page_tree import count_han
from wenlan_data.reasons import Reason

MAX_ALT_CHARACTERS = 30
MAX_LINE_CHARACTERS = 30
"""Of the lines beside a QR code together."""
MAX_BYLINE_CHARACTERS = 24
MAX_NAME_HAN = 6
"""Of a user's name beside a time."""

_CODE = r"(?:[上下]方|[左右][侧边]|旁边|[上下]面|图中|屏幕|此|本|该|这个|我的?|微信|支付宝|公众号)*(?:二维码|小程序码)"
_SCAN = (
    rf"(?:(?:扫一扫|扫一下|扫码|扫我|长按)+(?:识别|扫描|保存)?(?:{_CODE}|[此本该上下]?图片?)?"
    rf"|(?:扫描?|识别|长按识别){_CODE})"
)
# What to do with the page behind a code. The verbs of the first line take a name, the others
# nothing but these words: 扫码支付走进菜市场 is a headline.
_THEN = (
    r"(?:(?:关注|下载|添加|加入|加|领取?|获取|咨询|联系|分享到?|投稿|反馈|报名).{0,16}"
    r"|(?:在|用|到|去|支付|打赏|赞赏|捐赠|进入?|登录|打开|访问|查?看|阅?读|收?听|观看|收看|浏览|转发|体验|参与|参加|收藏|保存|预约|购买"
    r"|下单|交流|了解|有|惊喜|手机|移动端|当前页面?|此页|网页|继续|随时|随地|更多|精彩|内容|详情|原文|全文|本文|文章|视频|直播|新闻|资讯"
    r"|故事|消息|语音|导览|讲解|音频|课程|我们|我|官网|小程序|公众号|客户端|APP|微信|群|吧|哦|一下|即可|可以?|立即|马上|，|、|\s)+)"
)
# The words after an instruction do not end with those who follow it: 扫码进入展厅的游客.
_NOT_PEOPLE = (
    r"(?!.*(?:市民|游客|群众|居民|乘客|顾客|学生|观众|读者|老人|男子|女子|孩子|村民|现场|场景)\Z)"
)
# The owner of a code, who does nothing with it: neither 市民扫二维码 nor 景区推出二维码.
_OWNER = r"(?:(?![，。！？、扫展贴查看推用]).){0,16}"
_CODE_NAME = r"(?:二维码|QR ?code|小程序码|太阳码|收款码|付款码|赞赏码|公众号|服务号|订阅号|官方微信|官方微博)"
_APP = (
    r"(?:下载|安装|打开|扫码下载|点击下载|立即下载).{0,6}(?:客户端|APP)|.{0,8}(?:客户端|APP)(?:下载|二维码)"
    r"|.{0,4}(?:日报|晚报|新闻|手机|移动|官方|网|在线|电视台)(?:客户端|APP)|(?:手机)?客户端|APP"
)
_INSTRUCTION = (
    rf"{_NOT_PEOPLE}(?:请|欢迎|立即|快来|打开|使用|用|微信|手机|支付宝|QQ|淘宝|浏览器|相机|的|点击)*{_SCAN}"
    rf"(?:即可|可|立即|马上|一起|，|,|·|\||\s)*(?:{_THEN})?"
    r"|(?:欢迎|请|点击|敬请|立即|快来)?关注(?:我们|我|.{0,18}(?:公众号|微信|微博|官微|视频号|抖音号))"
    rf"(?:[，,\s]*{_THEN})?"
)
_PAY = (
    r"真诚赞赏.{0,6}|(?:觉得|如果|喜欢|既然).{0,10}(?:打赏|赞赏).{0,4}|请(?:我|作者|博主)喝.{0,6}"
    r"|(?:微信|支付宝|扫码)(?:打赏|赞赏|支付|收款|付款|转账|捐赠)码?"
    r"|(?:打赏|赞赏|赞助|收款|付款)(?:作者|我们|我|本站|博主|一下|支持|码)*"
)
_PLATFORM = r"(?:微信|微博|QQ|朋友圈|空间|豆瓣|贴吧|人人|开心网|好友|Facebook|Twitter|LINE|脸书|推特|Email|邮件)"


def _pattern(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_QR_LABEL = _pattern(rf"{_OWNER}{_CODE_NAME}(?:图片|图)?", _INSTRUCTION, _PAY)
_QR_LINE = _pattern(_QR_LABEL.pattern, _APP)
_ALT: tuple[tuple[Reason, re.Pattern[str]], ...] = (
    (
        Reason.AVATAR,
        _pattern(
            r"(?:[^，。]{0,12}的)?(?:用户|会员|作者|个人|默认|楼主|网友|博主|我的|微信)?头像(?:图片|图)?",
            r"(?:user |author |default )?avatar|.{1,20}'s avatar",
        ),
    ),
    (Reason.QR_CODE, _pattern(_QR_LABEL.pattern, "支付宝|微信|weixin|wechat|alipay")),
    (
        Reason.ADVERTISEMENT,
        _pattern(
            r"(?:顶部|底部|首页|内页|正文|通栏|文字|图片|左侧|右侧|中部|悬浮|弹窗|商业|公益|赞助商?)*"
            r"(?:广告|推广)(?:位|图片|图|条)?\d{0,3}",
            r"(?:ad|banner|advertisement)\d{0,3}|限时(?:秒杀|抢购|优惠|特惠)",
        ),
    ),
    (Reason.LOGO, _pattern(r".{0,16}(?:logo|标志图|站标|台标)")),
    (
        Reason.SHARE_BUTTON,
        _pattern(
            r"(?:一键)?(?:分享|转发)(?:按钮|图标|本页|本文|此文)?",
            rf"(?:一键)?(?:分享|转发)(?:到|至|给)(?:新浪|腾讯|我的)?(?:{_PLATFORM}.{{0,4}}|)",
            r"(?:新浪|腾讯)微博|QQ(?:空间|好友)|(?:微信)?朋友圈|微信好友|share(?: (?:on|to) .{1,20})?",
        ),
    ),
    (
        Reason.NAVIGATION,
        _pattern(
            _APP,
            r"(?:返回|回到)顶部|返回(?:首页|目录|列表)?|首页|目录|[上下]一(?:页|篇|章|张|组|图集)",
            r"[^，。]{0,6}(?:网警|网络警察)(?:网络|报警|平台|图标|标志|服务|巡查|执法)*",
            r"[^，。]{0,6}(?:公安|网安)(?:机关)?(?:联网)?备案(?:图标|号|信息)?[\d号 ]*|[^，。]{0,4}公网安备[\d号 ]*",
            r"(?:我为)?政府网站找错|(?:党政机关|事业单位)(?:网站)?(?:标识|标志|图标)?",
            r"(?:网站|信息)?无障碍(?:浏览|版|阅读|辅助|服务|模式|工具)?|适老化(?:版|模式)?",
            r"[^，。]{0,12}举报(?:中心|平台|专区|电话|邮箱|入口|网站)|我要举报|举报",
        ),
    ),
)

# What stands beside a user's name: 08-12 10:30, 3小时前, 粉丝 120, LV5, 3楼.
_TIME = re.compile(
    r"(?:(?:19|20)\d\d\s?[-/.年]\s?)?\d{1,2}\s?[-/.月]\s?\d{1,2}日?\s*\d{1,2}:\d\d(?::\d\d)?"
    # 3小时前 and 刚刚, not 5000年前的陶罐, 刚刚出炉的面包 and 今天的外滩.
    r"|(?<!\d)\d{1,3}\s?(?:秒|分钟|小时|天|周|个?月|年)前(?:(?![\u4e00-\u9fff])|(?=发|来自|更新|回|评|编辑))"
    r"|刚刚(?![\u4e00-\u9fff])|[今昨前]天(?:\s?\d{1,2}:\d\d|(?![\u4e00-\u9fff]))"
)
# 18:30 may be the time of a photograph, or the length of a video.
_DATE = re.compile(
    r"(?<![\d:])\d{1,2}:\d\d(?![\d:])|(?:19|20)\d\d\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d{1,2}日?(?!\d)"
    r"|(?<![\d.])\d{1,2}\s?[-/月]\s?\d{1,2}日?(?!\d)"
)
_MARK = re.compile(
    r"(?:\w{0,4}(?:作者|楼主|版主|会员|贡献者)|博主|层主|级别|等级|(?:百家|头条|搜狐|网易|大鱼|企鹅|澎湃)号"
    r"|原创|关注|已关注|\+关注|加关注|私信|回复|发表于|发布于|编辑于|\d+楼|第\d+楼"
    r"|LV\.?\d{1,2}|★+|☆+|(?:粉丝|关注|回复|获赞|帖子|文章|积分)[:：]?\d[\d.万wk]*"
    r"|\d[\d.万wk]*(?:粉丝|关注|回复|获赞|帖子|文章|积分))",
    re.IGNORECASE,
)
_COUNT_OF = re.compile(r"(粉丝|关注|回复|获赞|帖子|文章|积分)\s+(?=\d)")
# z***8：, 张**: a shop hides the names of its customers.
_MASKED_NAME = re.compile(r"[\w]{1,2}\*{2,6}[\w]{0,2}(?![\w*])")
_TOKENS = re.compile(r"[\s|·•:：/]+")
_SENTENCE = re.compile(r"[，。！？；,!?]")
_COUNT = re.compile(r"[\d.]+[万亿kwKW]\+?")
_NAME = re.compile(r"[^\W\d_]{2}")
_SPACE_AND_STOPS = " \t\r\n\u3000。.！!：:~～→↓↑>»-"


@lru_cache(maxsize=4096)
def reason_of_alt(value: str) -> Reason | None:
    """Returns what an `alt` or `title` labels an image as, None for a description.

    >>> reason_of_alt("江边日报微信公众号").value
    'qr_code'
    >>> reason_of_alt("捐赠仪式现场") is None
    True
    """
    line = " ".join(value.split())
    if not line or len(line) > MAX_ALT_CHARACTERS:
        return None
    folded = simplified(line)
    return next((reason for reason, pattern in _ALT if pattern.fullmatch(folded)), None)


def is_qr_line(lines: Iterable[str]) -> bool:
    """Whether one of the lines beside an image is an instruction to scan it, or the name of a code.

    >>> is_qr_line(["扫一扫，关注我们"]), is_qr_line(["脑部核磁共振扫描图像"])
    (True, False)
    """
    all_lines = list(lines)
    if sum(map(len, all_lines)) > MAX_LINE_CHARACTERS:
        return False
    folded = [simplified(line).strip(_SPACE_AND_STOPS) for line in all_lines]
    joined = " ".join(folded)
    return any(_QR_LINE.fullmatch(line) for line in (*folded, joined))


def is_byline(line: str, *, with_date: bool) -> bool:
    """Whether a line is a user's name with a time of day, a grade or the like.

    `with_date` takes a date in place of a time, and a date without a name: beside a photograph, a
    title and a date are its caption.

    >>> is_byline("小城旅人 3小时前", with_date=False), is_byline("西湖雪景 2019年1月5日", with_date=False)
    (True, False)
    """
    line = simplified(line) if len(line) <= MAX_BYLINE_CHARACTERS else ""
    if _MASKED_NAME.match(line):
        return True
    if not line or _SENTENCE.search(line):
        return False
    name, marks = _TIME.subn(" ", line)
    if with_date:
        name, dates = _DATE.subn(" ", name)
        marks += dates
    has_time = marks > 0
    tokens = [token for token in _TOKENS.split(_COUNT_OF.sub(r"\1", name)) if token]
    words = [token for token in tokens if not _MARK.fullmatch(token)]
    marks += len(tokens) - len(words)
    name = _COUNT.sub("", "".join(words))
    if not marks:
        return False
    if not _NAME.search(name):
        return with_date and has_time and not _COUNT.search(line) and not _is_duration(line)
    return count_han(name) <= MAX_NAME_HAN


def _is_duration(line: str) -> bool:
    """Whether a line has a clock time alone, which may be the length of a video."""
    return not re.search(r"[-/.月前天刚]", line)
