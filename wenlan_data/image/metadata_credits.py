"""Licence and author in an image's own metadata: EXIF, IPTC and XMP, read before they are stripped.

Only these fields are looked for; no pixel is decoded, and no block is read beyond
`limits.MAX_METADATA_BYTES`.
"""

import html
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from wenlan_data.image.exif import ascii_tags
from wenlan_data.image.limits import MAX_METADATA_BYTES
from wenlan_data.image.sniff import sniff

MAX_CHARS = 500
"""Characters of a field; a longer one is cut."""
_EXIF, _XMP, _IPTC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"Photoshop 3.0\0"
_ARTIST, _COPYRIGHT, _XP_AUTHOR = 0x013B, 0x8298, 0x9C9D
_BYLINE, _CREDIT, _COPYRIGHT_NOTICE = 80, 110, 116


# CC BY 4.0, Creative Commons, public domain, MIT License, 非商业使用, 转载请注明.
_TERMS = re.compile(
    r"\bCC[- ]?(?:0|BY)\b|creative ?commons|public ?domain|\blicen[cs]ed?\b|\b(?:royalty|copyright)[- ]free\b|\bGFDL\b"
    r"|\b(?:may|must|can|do) not be\b|\bfor (?:personal|editorial|commercial|educational|non-?commercial)\b"
    r"|\b(?:non-?commercial|editorial|personal) use\b|\bno (?:re)?use\b|\bpermission\b|\bterms\b"
    r"|署名|知识共享|公有领域|公共领域|许可协议|授权协议|(?:禁止|不得|请勿|严禁|未经).{0,12}(?:转载|使用|商用|复制|传播|许可|授权)"
    r"|转载.{0,6}(?:注明|联系|授权)|(?:非商业|商业|免费|自由|编辑)(?:性)?(?:使用|用途|转载)",
    re.IGNORECASE,
)
# The address of a page with terms, such as https://a.example/terms; https://a.example/ is only that
# of the right holder.
_LICENCE_URL = re.compile(r"https?://[^\s/]+/[^\s/]\S*", re.IGNORECASE)
# What a notice has around the name.
_NOTICE_WORDS = re.compile(
    r"\(c\)|[©ⓒ]|\bcopyrights?\b|\bcopr\b|\ball rights? reserved\b|\bby\b"
    r"|(?:19|20)\d\d(?:\s?[-–~]\s?(?:(?:19|20)?\d\d))?年?"
    r"|(?:本图|图片|照片|作品)?(?:版权|著作权|权利)(?:归|为|属于)?|所有(?:权利)?|保留(?:所有|一切)权利|翻印必究|盗版必究",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    """Values of the fields of one block, or of all."""

    licences: list[str] = field(default_factory=list)
    """Of fields that hold a licence and nothing else."""
    terms: list[str] = field(default_factory=list)
    """Of fields for terms or their address, which often hold a name or an address."""
    notices: list[str] = field(default_factory=list)
    """Copyright notices."""
    authors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credits:
    """Licence and author; empty if the metadata names none."""

    licence: str = ""
    """URL of a licence if one is named, else the terms; never the name or address of a right
    holder."""
    author: str = ""
    """The creator, else the holder that the copyright notice names."""


def credits_of(data: bytes) -> Credits:
    """Licence and author in the metadata of an image; XMP takes precedence over IPTC, and IPTC over
    EXIF.

    Never raises: corrupt metadata names nobody.
    """
    blocks = sorted(_blocks(data), key=lambda block: _ORDER.index(block[0]))
    read = [_READERS[kind](block[:MAX_METADATA_BYTES]) for kind, block in blocks]
    fields = _Fields(
        licences=_lines(one.licences for one in read),
        terms=_lines(one.terms for one in read),
        notices=_lines(one.notices for one in read),
        authors=_lines(one.authors for one in read),
    )
    stated = [*fields.licences, *filter(_states_terms, [*fields.terms, *fields.notices])]
    holders = [*fields.authors, *filter(None, map(_holder, [*fields.notices, *fields.terms]))]
    return Credits(licence=next(iter(stated), ""), author=next(iter(holders), ""))


def _lines(values: Iterable[list[str]]) -> list[str]:
    return [line for one in values for value in one if (line := _to_line(value))]


def _states_terms(text: str) -> bool:
    """Whether a text states a licence or terms of use, and not only who holds the rights."""
    return bool(_TERMS.search(text) or _LICENCE_URL.fullmatch(text))


def _holder(notice: str) -> str:
    """The name or address in a copyright notice: of © 2019 李四 版权所有, 李四; empty if the notice
    states terms, or names nobody."""
    if _states_terms(notice):
        return ""
    return _to_line(_NOTICE_WORDS.sub(" ", notice)).strip(" ,，.。;；:：-–—|/")


def _to_line(text: str) -> str:
    """The text on one line, without control characters, at most `MAX_CHARS` long."""
    visible = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(visible.split())[:MAX_CHARS].strip()


def _blocks(data: bytes) -> Iterator[tuple[str, bytes]]:
    walk = _WALKS.get(sniff(data))
    if walk is None:
        return
    try:
        yield from walk(data)
    except (struct.error, IndexError):
        return


def _jpeg_blocks(data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 2
    while data[position] == 0xFF:
        marker = data[position + 1]
        if marker in {0xDA, 0xD9}:
            return
        (size,) = struct.unpack_from(">H", data, position + 2)
        if marker in {0xE1, 0xED}:
            content = data[position + 4 : position + 2 + size]
            yield from _named(content)
        position += 2 + size


def _named(content: bytes) -> Iterator[tuple[str, bytes]]:
    for kind, mark in (("exif", _EXIF), ("xmp", _XMP), ("iptc", _IPTC)):
        if content.startswith(mark):
            yield kind, content[len(mark) :]


def _png_blocks(data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 8
    while True:
        size, name = struct.unpack_from(">I4s", data, position)
        content = data[position + 8 : position + 8 + min(size, MAX_METADATA_BYTES)]
        if name == b"eXIf":
            yield "exif", content
        elif name == b"iTXt" and content.startswith(b"XML:com.adobe.xmp\0\0"):
            yield "xmp", content
        elif name in {b"tEXt", b"iTXt"}:
            yield "text", content
        elif name == b"IEND":
            return
        position += 12 + size


def _webp_blocks(data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 12
    while True:
        name, size = struct.unpack_from("<4sI", data, position)
        kind = {b"EXIF": "exif", b"XMP ": "xmp"}.get(name)
        if kind:
            content = data[position + 8 : position + 8 + min(size, MAX_METADATA_BYTES)]
            yield kind, content.removeprefix(_EXIF)
        position += 8 + size + (size & 1)


def _gif_blocks(data: bytes) -> Iterator[tuple[str, bytes]]:
    start = data.find(b"\x21\xff\x0bXMP DataXMP", 0, MAX_METADATA_BYTES)
    if start >= 0:
        yield "xmp", data[start + 14 : start + 14 + MAX_METADATA_BYTES]


def _from_exif(block: bytes) -> _Fields:
    tags = ascii_tags(block, {_ARTIST, _COPYRIGHT, _XP_AUTHOR})
    wide = tags.get(_XP_AUTHOR, b"").decode("utf-16-le", "ignore")
    # The photographer's copyright, then, after a NUL, the editor's.
    notice = tags.get(_COPYRIGHT, b"").partition(b"\0")[0]
    return _Fields(notices=[_text(notice)], authors=[_text(tags.get(_ARTIST, b"")), wide])


def _from_iptc(block: bytes) -> _Fields:
    found: dict[int, list[str]] = {}
    for number, value in _datasets(block):
        found.setdefault(number, []).append(_text(value))
    return _Fields(
        notices=found.get(_COPYRIGHT_NOTICE, []),
        authors=["; ".join(found.get(_BYLINE, [])), *found.get(_CREDIT, [])],
    )


def _datasets(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields number and value of the IPTC application record's data sets, in Photoshop's resource
    0x0404."""
    start = block.find(b"8BIM\x04\x04")
    if start < 0:
        return
    try:
        name_bytes = block[start + 6] | 1
        (size,) = struct.unpack_from(">I", block, start + 7 + name_bytes)
        position, end = start + 11 + name_bytes, start + 11 + name_bytes + size
        while position + 5 <= min(end, len(block)) and block[position] == 0x1C:
            record, number, length = struct.unpack_from(">BBH", block, position + 1)
            # An extended data set, of more than 32 KiB: no name is that long.
            if length & 0x8000:
                return
            if record == 2:
                yield number, block[position + 5 : position + 5 + length]
            position += 5 + length
    except (struct.error, IndexError):
        return


# No XML parser on hostile bytes. Linear: each pattern is a fixed start, then a bounded run.
_XMP_LICENCES = (
    re.compile(r"<cc:license[^>]{0,200}rdf:resource=[\"']([^\"']{1,500})"),
    re.compile(r"cc:license=[\"']([^\"']{1,500})"),
)
_XMP_STATEMENTS = (
    re.compile(r"xmpRights:WebStatement=[\"']([^\"']{1,500})"),
    re.compile(r"<xmpRights:WebStatement[^>]{0,200}>([^<]{1,500})"),
)
_XMP_TERMS = (
    re.compile(r"<xmpRights:UsageTerms\b[^>]{0,200}>(?:\s{0,99}<[^>]{1,200}>){0,4}([^<]{1,500})"),
    re.compile(r"xmpRights:UsageTerms=[\"']([^\"']{1,500})"),
)
_XMP_NOTICES = (
    re.compile(r"<dc:rights\b[^>]{0,200}>(?:\s{0,99}<[^>]{1,200}>){0,4}([^<]{1,500})"),
    re.compile(r"dc:rights=[\"']([^\"']{1,500})"),
)
_XMP_CREATORS = re.compile(r"<dc:creator\b[^>]{0,200}>(.{0,4000}?)</dc:creator>", re.DOTALL)
_XMP_ITEM = re.compile(r"<rdf:li[^>]{0,200}>([^<]{1,500})")
_XMP_AUTHORS = (
    re.compile(r"dc:creator=[\"']([^\"']{1,500})"),
    re.compile(r"photoshop:Credit=[\"']([^\"']{1,500})"),
    re.compile(r"<photoshop:Credit>([^<]{1,500})"),
)


def _from_xmp(block: bytes) -> _Fields:
    text = block.decode("utf-8", "replace")
    listed = _XMP_CREATORS.search(text)
    creators = [html.unescape(one) for one in _XMP_ITEM.findall(listed[1])] if listed else []
    return _Fields(
        licences=_values(_XMP_LICENCES, text),
        terms=[*_values(_XMP_STATEMENTS, text), *_values(_XMP_TERMS, text)],
        notices=_values(_XMP_NOTICES, text),
        authors=["; ".join(creators), *_values(_XMP_AUTHORS, text)],
    )


def _values(patterns: tuple[re.Pattern[str], ...], text: str) -> list[str]:
    found = (pattern.search(text) for pattern in patterns)
    return [html.unescape(match[1]) for match in found if match]


def _from_text(block: bytes) -> _Fields:
    name, _, value = block.partition(b"\0")
    text = [_text(value.rpartition(b"\0")[2])]
    if name in {b"License", b"Licence"}:
        return _Fields(licences=text)
    if name == b"Copyright":
        return _Fields(notices=text)
    return _Fields(authors=text if name == b"Author" else [])


def _text(raw: bytes) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.rstrip(b"\0 ").decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


_ORDER = ("xmp", "iptc", "exif", "text")
_READERS = {"xmp": _from_xmp, "iptc": _from_iptc, "exif": _from_exif, "text": _from_text}
_WALKS = {"jpeg": _jpeg_blocks, "png": _png_blocks, "webp": _webp_blocks, "gif": _gif_blocks}
