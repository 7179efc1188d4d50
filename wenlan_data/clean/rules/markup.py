"""Takes the words out of HTML, Markdown, BBCode and templates, and removes URLs, @mentions and #topics#.

Each pattern stops at the character that opens the next one, so that none looks at a stretch of text twice.
"""

import re
from dataclasses import dataclass

from wenlan_data.clean.characters import HAN
from wenlan_data.records import Drop, Remark

_SIGN = re.compile(
    r"[<>{}\[\]#|*`~@$\\]|__|//|：／／|www\.|^\s*(?:[-+]\s|(?:var|let|const|function|window|document)\b)|/.",
    re.I,
)

_CODE = re.compile(
    r"\s*(?:(?:var|let|const)\s+[\w$]{1,64}\s*=|(?:async\s+)?function\b[^()]{0,64}\(|(?:window|document|console)\."
    r"|\(function\b|\$\(|(?:if|for|while|switch)\s?\(|<\?php|@(?:media|import|charset|font-face)\b|/\*"
    r"|[.#@*\w][^{}<>\u3000-\uffff]{0,200}\{[^{}:]*:[^{}]*\}"  # CSS: a selector and at least one property
    r"|[\[{]\s*\{?\s*[\"'][^\"']{0,64}[\"']\s*:)",  # JSON
    re.IGNORECASE,
)
_HTML = re.compile(r"<[/!?%]?[a-z-]|\{\{|\{%|\$\{", re.IGNORECASE)
_TABLE_SIGNS = re.compile(r"[\s|:+-]+")

_INLINE_TAGS = """a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark q s samp small span strike
strong sub sup tt u var"""
_BLOCK_TAGS = """address area article aside audio base blockquote body br button canvas caption center col colgroup dd
details div dl dt embed fieldset figcaption figure footer form frame h1 h2 h3 h4 h5 h6 head header hr html iframe img
input legend li link main map meta nav noscript object ol optgroup option p param path picture pre progress script
section select source style summary svg table tbody td template textarea tfoot th thead title tr track ul video wbr"""
_INLINE, _BLOCK = frozenset(_INLINE_TAGS.split()), frozenset(_BLOCK_TAGS.split())
_TAG = r"</?([a-z][a-z0-9]{0,15})(?=[\s/>])[^<>]*(?:>|\Z|(?=<))"
_URL_END = rf"[^\s<>\"'\[\]，。！？；、（）《》“”{HAN}]"
_BB = "b|i|u|s|url|color|size|font|quote|code|center|left|right|align|table|td|tr|list|attach|flash|media|email"


def _instead_of_tag(match: re.Match[str]) -> str:
    name = match[1].lower()
    return "" if name in _INLINE else " " if name in _BLOCK else match[0]


def _is_table_rule(text: str) -> bool:
    """The line under the head of a Markdown table, such as | --- | :-: |."""
    return "|" in text and "--" in text and bool(_TABLE_SIGNS.fullmatch(text))


# Pattern and what stands in its place, in this order.
_STEPS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), put)
    for pattern, put in (
        (r"<!--.*?(?:-->|\Z)", " "),
        (r"<(script|style|noscript|template|iframe)\b[^<>]*>.*?(?:</\1\s*>|\Z)", " "),
        (r"<(?:%|\?)[^<>]*>|<!\[CDATA\[|\]\]>|<!doctype[^<>]*>", " "),
        (r"\{\{[^{}]*\}\}|\{%[^{}]*%\}|[$#]\{[^{}]*\}|<#[^<>]*>", " "),
        (_TAG, _instead_of_tag),
        (r"\[img\b[^\[\]]*\][^\[\]]*(?:\[/img\]|\Z)", " "),
        (rf"\[/?(?:{_BB})(?:=[^\[\]]*)?\]", ""),
        (r"!?\[([^\[\]]*)\]\([^()./#\s]*[./#][^()]*\)", r"\1"),
        (
            r"\A\s*https?://\S+\.(?:jpe?g|png|gif|webp|html?|php|aspx?)\s*\Z",
            " ",
        ),  # Han characters in its path
        (rf"(?:https?|ftp)(?:://|：//|：／／){_URL_END}*", " "),
        (rf"(?<![\w@.-])www\.[a-z0-9-]+(?:\.[a-z0-9-]+)*{_URL_END}*", " "),
        (
            r"\A\s*(?:[a-z0-9-]{1,63}\.){1,4}(?:com|cn|net|org|tw|hk|cc|top|info|io)(?::\d+)?(?:/\S*)?\Z",
            "",
        ),
        (r"^\s*(?:#{1,6}|[-*+]|>)\s+", ""),
        (r"(\*\*|__|~~)([^*_~\s][^*_~\n]*)\1", r"\2"),
        (r"`([^`\n]*)`", r"\1"),
        (
            r"(?:回[复覆]\s?|//\s?|(?<![\w.%+-]))@[\w·-]{1,30}[:：]?(?=[\s，。：:！!？?、,)）]|\Z|[@#]|(?<=[:：]))",
            " ",
        ),
    )
)
_TOPIC = re.compile(r"#([^#\s][^#\n]{0,60})#|(?:(?<=\s)|\A)#(?![0-9])(\w{1,40})(?=\s|\Z)")
_EMPTY_BRACKETS = re.compile(r"[（(【\[]\s?[)）】\]]")
_LETTER = re.compile(r"[^\W_]")


def _strip(text: str) -> str:
    for pattern, put in _STEPS:
        text = pattern.sub(put, text)
    without_topics = _TOPIC.sub(" ", text)
    if not _LETTER.search(without_topics):  # topics alone are words too
        without_topics = _TOPIC.sub(r"\1\2 ", text)
    return without_topics


@dataclass(frozen=True, slots=True)
class Markup:
    """Tags, comments, templates, Markdown and BBCode go, their words stay; scripts, URLs, @mentions, #topics# go.

    Only known tag names count, so that a < b stays. A text that begins as a script, a style sheet or JSON is code.
    """

    def __call__(self, text: str) -> str | Drop:
        """The words, or `markup` where there are none."""
        if not _SIGN.search(text):
            return text
        if _CODE.match(text) or _is_table_rule(text):
            return Drop("markup")
        stripped = _strip(text)
        if stripped == text:
            return text
        stripped = " ".join(_EMPTY_BRACKETS.sub(" ", stripped).split())
        return stripped if _LETTER.search(stripped) else Drop("markup")

    def remarks(self, before: str, after: str | Drop) -> tuple[Remark, ...]:
        """A `flag` html where tags, comments or scripts stood in the text."""
        return (Remark("flag", "html"),) if after is not before and _HTML.search(before) else ()
