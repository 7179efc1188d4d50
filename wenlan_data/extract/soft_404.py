"""Soft 404s and captchas: pages with status 200 that hold no images of the site."""

import re

from wenlan_data.reasons import Reason

MAX_TEXT_CHARACTERS = 600
"""Such a page has no more text; an article about error pages has more."""

_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{0,200})", re.IGNORECASE)
_MARKUP = re.compile(
    r"<(?:script|style)\b.{0,20000}?</(?:script|style)\s*>|<[^<>]{0,2000}>",
    re.IGNORECASE | re.DOTALL,
)
_TITLE_SEPARATORS = re.compile(r"[-_|–—·:：,，!！。]+")
_CONTENT_NOUN = "(?:页面|网页|内容|文章|商品|图片)"
# 404 Not Found, 您访问的页面不存在, 出错啦.
_NOT_FOUND = re.compile(
    r"(?:error|http|错误)?\s*404(?:\s*(?:not found|error|错误|页面|错误页面))?|(?:page |file )?not found|出错啦?"
    rf"|(?:您访问的)?{_CONTENT_NOUN}(?:不存在|已删除|已被删除|未找到|没有找到|找不到了)|找不到(?:该)?{_CONTENT_NOUN}",
    re.IGNORECASE,
)
# 安全验证, 请输入验证码, Just a moment, Access denied.
_CAPTCHA = re.compile(
    r"(?:安全|人机|访问|身份|滑动|图形)验证|(?:请)?(?:输入)?验证码|访问(?:被拒绝|受限|过于频繁)|captcha"
    r"|are you (?:a )?(?:human|robot)|verify you are human|just a moment|access denied|attention required",
    re.IGNORECASE,
)


def soft_error_reason(html: str) -> str:
    """Returns `soft_404` or `captcha` for a short page with such a title; empty for any other."""
    title = _TITLE.search(html[:20_000])
    if not title:
        return ""
    parts = [part.strip(" .…\r\n\t") for part in _TITLE_SEPARATORS.split(title[1])]
    reason = next(
        (reason for reason, pattern in _REASONS if any(pattern.fullmatch(part) for part in parts)),
        "",
    )
    if (
        reason
        and len(html) < 200_000
        and len("".join(_MARKUP.sub(" ", html).split())) <= MAX_TEXT_CHARACTERS
    ):
        return reason
    return ""


_REASONS = ((Reason.SOFT_404, _NOT_FOUND), (Reason.CAPTCHA, _CAPTCHA))
