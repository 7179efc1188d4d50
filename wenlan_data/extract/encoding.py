"""Bytes of a page to text: what the page says of itself, checked, then what Chinese pages usually are."""

import codecs
import re

_META_BYTES = 4096
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Labels by the WHATWG Encoding Standard. A list of what is taken, since Python also knows codecs that are no
# encodings of pages (idna, unicode_escape, utf-7).
_CODECS = {
    **dict.fromkeys(("utf-8", "utf8", "unicode-1-1-utf-8"), "utf-8"),
    **dict.fromkeys(
        ("gb2312", "gbk", "gb18030", "gb_2312-80", "x-gbk", "chinese", "csgb2312", "hz-gb-2312"), "gb18030"
    ),
    **dict.fromkeys(("big5", "big5-hkscs", "big5_hkscs", "cn-big5", "csbig5", "x-x-big5"), "big5hkscs"),
    **dict.fromkeys(("iso-8859-1", "latin1", "ascii", "us-ascii", "windows-1252", "cp1252"), "cp1252"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "korean"), "cp949"),
    **dict.fromkeys(("euc-jp", "x-euc-jp"), "euc_jp"),
}


def decode_page(payload: bytes, content_type: str = "") -> str:
    """The page's text: by byte order mark, the header's charset, the page's own, then UTF-8 and GB18030.

    Each is taken only where all bytes fit. Where none fits: what was declared, with U+FFFD for what does not.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if payload.startswith(mark):
            return payload[len(mark) :].decode(name, errors="replace")
    declared = [*_declared(content_type.encode("latin-1", "replace")), *_declared(payload[:_META_BYTES])]
    for name in (*declared, "utf-8", "gb18030"):
        # Nearly every byte fits windows-1252, the default of careless servers, so the others go first.
        tried = ("utf-8", "gb18030", name) if name == "cp1252" else (name,)
        for one in tried:
            try:
                return payload.decode(one)
            except UnicodeDecodeError:
                continue
    return payload.decode(next(iter(declared), "utf-8"), errors="replace")


def _declared(raw: bytes) -> list[str]:
    labels = (match.decode().lower() for match in _CHARSET.findall(raw))
    return [_CODECS[label] for label in labels if label in _CODECS]
