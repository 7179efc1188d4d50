"""Removes HTML, Markdown, BBCode and templates around words, and URLs, @mentions, #topics#,
emoticons and marks of footnotes.

Each pattern stops at the character that opens the next match, so that no part of a text is scanned
twice.
"""

import re
from dataclasses import dataclass

from wenlan_data.clean.characters import HAN
from wenlan_data.clean.emoticons import without_emoticons
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop, Remark

# First test: a text without one of these has no markup.
_HINT = re.compile(
    r"[<>{}\[\]#|*`~@$\\]|__|//|：／／|www\.|^\s*(?:[-+]\s|(?:var|let|const|function|window|document)\b)|/.",
    re.I,
)

# var a = 1, function f(, window., if (, <?php, @media, .menu { color: red }, {"a":
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
    """Whether a text is the line under the head of a Markdown table, such as | --- | :-: |."""
    return "|" in text and "--" in text and bool(_TABLE_SIGNS.fullmatch(text))


# Pattern and replacement, applied in this order.
_SUBSTITUTIONS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (r"<!--.*?(?:-->|\Z)", " "),  # comments
        (r"<(script|style|noscript|template|iframe)\b[^<>]*>.*?(?:</\1\s*>|\Z)", " "),
        # <% if %>, <?xml ?>, CDATA, <!doctype>
        (r"<(?:%|\?)[^<>]*>|<!\[CDATA\[|\]\]>|<!doctype[^<>]*>", " "),
        # {{ name }}, {% if %}, ${name}, <#if>
        (r"\{\{[^{}]*\}\}|\{%[^{}]*%\}|[$#]\{[^{}]*\}|<#[^<>]*>", " "),
        (_TAG, _instead_of_tag),  # <b>长城</b>; a < b stays
        # [img]http://a.cn/1.jpg[/img], [b], [url=http://a.cn]
        (r"\[img\b[^\[\]]*\][^\[\]]*(?:\[/img\]|\Z)", " "),
        (rf"\[/?(?:{_BB})(?:=[^\[\]]*)?\]", ""),
        # ![长城](a.png), [长城](http://a.cn): the words stay
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
        # Markdown: # heading, - item, > quotation; **bold**; `code`
        (r"^\s*(?:#{1,6}|[-*+]|>)\s+", ""),
        (r"(\*\*|__|~~)([^*_~\s][^*_~\n]*)\1", r"\2"),
        (r"`([^`\n]*)`", r"\1"),
        # @mentions; not the name in a credit, such as 图源：@市集日记
        (
            r"(?:回[复覆]\s?|//\s?|(?<![\w.%+-])(?<!(?:图源|来源|摄影|供图)[:：])(?<!(?:图源|来源|摄影|供图)[:：]\s)(?<!(?<!\w)[图摄][:：]))@[\w·-]{1,30}[:：]?(?=[\s，。：:！!？?、,)）]|\Z|[@#]|(?<=[:：]))",
            " ",
        ),
    )
)
# #摄影#, #photo
_TOPIC = re.compile(r"#([^#\s][^#\n]{0,60})#|(?:(?<=\s)|\A)#(?![0-9])(\w{1,40})(?=\s|\Z)")
# Marks of footnotes after Han characters: 榕树[3], 榕树[注 1][2], 榕树[来源请求].
_REFERENCES = re.compile(
    rf"(?<=[{HAN}，。、；：！？”」』）》])(?:\s?\[(?:注\s?)?\d{{1,3}}(?:[-–,，、]\s?\d{{1,3}})?\]|\[(?:来源请求|來源請求|编辑|原创研究？?)\])+"
)
# Brackets around a removed URL: （http://a.cn）.
_EMPTY_BRACKETS = re.compile(r"[（(【\[]\s?[)）】\]]")
_LETTER = re.compile(r"[^\W_]")


def _strip(text: str) -> str:
    for pattern, replacement in _SUBSTITUTIONS:
        text = pattern.sub(replacement, text)
    if "[" in text or "#(" in text:
        text = without_emoticons(_REFERENCES.sub("", text))
    without_topics = _TOPIC.sub(" ", text)
    if not _LETTER.search(without_topics):  # a text of topics alone: their words are the caption
        without_topics = _TOPIC.sub(r"\1\2 ", text)
    return without_topics


@dataclass(frozen=True, slots=True)
class Markup:
    """Removes tags, comments, templates, Markdown and BBCode and leaves their words; removes
    scripts, URLs, @mentions, #topics#, emoticons ([哈哈]) and marks of footnotes ([3]).

    Only known tag names count, so that a < b stays. Rejects a text that begins as a script, a style
    sheet or JSON.
    """

    def __call__(self, text: str) -> str | Drop:
        """Returns the words, or `markup` if there are none."""
        if not _HINT.search(text):
            return text
        if _CODE.match(text) or _is_table_rule(text):
            return Drop(Reason.MARKUP)
        stripped = _strip(text)
        if stripped == text:
            return text
        stripped = " ".join(_EMPTY_BRACKETS.sub(" ", stripped).split())
        return stripped if _LETTER.search(stripped) else Drop(Reason.MARKUP)

    def remarks(self, before: str, after: str | Drop) -> tuple[Remark, ...]:
        """Returns the `flag` html if the text had tags, comments or scripts."""
        return (Remark("flag", "html"),) if after is not before and _HTML.search(before) else ()
