"""Labels, dates, counters and prices of a page: 下一篇：, 阅读 1234, 3楼, 2019-5-3 21:07 上传."""

import re

# 2023-05-01 12:30, 3小时前, 昨天 08:00.
_WHEN = (
    r"(?:[\d\s:：/.年月日时分秒-]{4,30}(?:星期|周)?[一二三四五六日]?"
    r"|\d{1,3}\s?(?:秒|分钟|小时|天|个月|年)之?前|[今昨前]天.{0,9})"
)

# 阅读量, 点赞数, 销量; with a number: 阅读量：1.2万.
_COUNTED = (
    r"(?:(?:点击|阅读|浏览|播放|下载|评论|回复|点赞|收藏|转发|分享|人气|热度|查看|访问)(?:量|数|次数)?|(?:编辑|更新|下载|分享)次数"
    r"|(?:累计|全部|商品)?评[价论]|有用|赞同?|喜欢|推荐|感谢|弹幕|打赏|订阅|销量|月销量?|已售|已有|库存|粉丝|关注|付款|想看|看过|回答|在看)"
)
_COUNT = r"\d[\d.,]*\s?[万千wk]?\+?\s?"
# A day with its year, or a time of day; not 5月1日, which may be part of a caption.
_CLOCK = r"\d{1,2}[:：]\d{2}(?:[:：]\d{2})?"
_STATED_TIME = (
    rf"(?:\d{{4}}[-/.年]\d{{1,2}}[-/.月]\d{{1,2}}日?(?:\s?{_CLOCK})?"
    rf"|(?:\d{{1,2}}[-/.月]\d{{1,2}}日?|[今昨前]天)\s?{_CLOCK}"
    r"|\d{1,3}\s?(?:秒|分钟|小时|天)之?前)\s?"
)
_PRICE = r"[¥￥$]\s?\d[\d.,]*(?:\s?[-~–—]\s?[¥￥$]?\d[\d.,]*)?\s?[元起]?(?:/\w{1,2})?"
_FOLLOW = "(?:关注|下载|加入|添加|打开|访问|了解|查看|领取|报名|进群|分享)"
_STAMP = re.compile(r"(?:(?:时间|日期)\s?[:：])?[\d:：/.年月日时分秒-]{4,20}")
_LABELLED = re.compile(
    r"(?:上|下)一[篇页张章]\s?[:：].*|(?:相关|延伸|推荐|热门)(?:阅读|推荐|文章|新闻|链接|内容)\s?[:：].*"
    r"|(?:文章|本文)?(?:标签|关键词|分类|栏目|所属分类|责任编辑|发布者|发布人|上传者)\s?[:：].*"
    rf"|{_COUNTED}\s?[:：(（]?\s?{_COUNT}[次条]?\s?[)）]?"
    rf"|(?:已有|共有?|共?找到)?\s?{_COUNT}[人次条个篇位]{{1,2}}(?:已|在|想)?(?:结果|记录|{_COUNTED})"
    r"|(?:字体|字号|文字)(?:大小)?\s?[:：\s](?:\s?(?:[特超]?[大中小]|默认|标准)){2,}"
    r"|第\s?\d+\s?页\s?[/／]?\s?(?:共\s?\d+\s?页)?|共\s?\d+\s?页(?:\s\d+)*|共\s?\d+\s?[张幅图]"
    # 图片发自简记App; 原图 赞[3] 转发 评论 10月28日 来自 手机客户端
    r"|图片?(?:发自|來自|来自|上传自)\s?.{1,12}(?:APP|客户端|手机)"
    rf"|(?:{_STATED_TIME}|\d{{4}}[-/.年]\d{{1,2}}[-/.月]\d{{1,2}}日?\s)?"
    r"(?:(?:原图|点?赞|转发|评论|回[应复]|收藏|分享|删除|举报|操作|有用|喜欢|打赏)\s?(?:[\[(（]?\d+[\])）]?)?\s?){2,8}"
    r"(?:\d{1,2}月\d{1,2}日|今天|昨天)?[\s\d:：]*(?:(?<=[\s\d\])）:：日天])来自.{1,16})?"
    rf"|(?:发表|发布|更新|编辑|创建|上传|修改|回复|发帖|回帖|注册)(?:时间|日期)?[于在]?\s?[:：]?\s?{_WHEN}"
    # 2019-5-3 21:07 上传, 11月20日 08:12 来自 手机客户端, IMG_0023.jpg (120 KB, 下载次数: 3), 3楼
    rf"|{_STATED_TIME}(?:上传|发表|发布|编辑|更新|修改|回复)?(?:\s?(?:来自|发自|通过)\s?.{{1,16}})?"
    r"|(?=.*次)[^（(]{0,40}[（(]\s?\d[\d.]*\s?[KMG]?i?B\s?(?:[,，]?\s?下载次数.{0,24}|[)）].{0,14}\d\s?次)|第?\s?\d{1,5}\s?(?:楼|#|F层?)|(?:顶端)?\s?Posted\s?[:：].{0,30}"
    # ￥286.00, 到手价¥39.9起
    rf"|(?=.*[\u4e00-\u9fff])(?:[\u4e00-\u9fff]{{0,5}}价|到手|券后|仅需?|只[要需]|低至|售)?\s?[:：]?\s?{_PRICE}"
    r"\s?(?:包邮|已售.{0,8}|月销.{0,8})?"
    # 长按识别二维码 关注我们, 扫一扫 关注某某网官方微信, 某某网公众号
    rf"|(?:微信|手机|请)?(?:扫一扫|扫码|扫描|长按|识别).{{0,16}}{_FOLLOW}(?:我们|.{{0,12}}(?:公众号|微信|微博|客户端|APP|小程序|群|视频号|抖音号?|网站|页面?|更多|详情))?"
    r"|[^的上里中，。]{0,12}(?:官方)?(?:公众号|官方微信|官方微博|订阅号|视频号|服务号|小程序码)"
    rf"|今天是\s?[:：]?\s?{_WHEN}|(?:本[帖贴文])?最后由.{{1,24}}[于在].{{1,24}}编辑",
    re.IGNORECASE,
)
"""A label and its target (下一篇：...), a counter (1234次浏览), font sizes, page numbers, a label
with a date."""

# Every match of `_LABELLED` has a digit or colon, begins with one of these, or ends with one.
_DIGIT_OR_COLON = re.compile(r"[\d:：]")
_LABEL_STARTS, _LABEL_ENDS = (
    frozenset("微手请扫长识字文本最顶图原赞点转评回收分删举操有喜打"),
    frozenset("号信博码"),
)


def is_label(text: str) -> bool:
    """Whether the text is a label with its target or number, a counter, a date of the page, a price
    or an invitation to follow, and nothing else. Meant for short texts."""
    may_be = _DIGIT_OR_COLON.search(text) or text[:1] in _LABEL_STARTS or text[-1:] in _LABEL_ENDS
    return bool(may_be and _LABELLED.fullmatch(text))


def is_time_stamp(text: str) -> bool:
    """Whether the text is a date or a time of day."""
    return bool(_STAMP.fullmatch(text))
