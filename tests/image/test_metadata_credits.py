import io
import struct

import pytest
from PIL import Image, PngImagePlugin

from wenlan_data.image.metadata_credits import MAX_CHARS, Credits, credits_of
from wenlan_data.testing import make_image

XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>
<rdf:Description xmpRights:WebStatement="https://creativecommons.org/licenses/by-sa/4.0/">
<dc:creator><rdf:Seq><rdf:li>李四</rdf:li><rdf:li>Tom &amp; Jerry</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© 李四</rdf:li></rdf:Alt></dc:rights>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
FROM_XMP = Credits(
    licence="https://creativecommons.org/licenses/by-sa/4.0/", author="李四; Tom & Jerry"
)


def exif(**tags: object) -> Image.Exif:
    made = Image.Exif()
    for number, value in {0x013B: tags.get("artist"), 0x8298: tags.get("copyright")}.items():
        if value is not None:
            made[number] = value
    return made


def saved(kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(make_image(1))).save(out, kind, **options)
    return out.getvalue()


def with_segment(marker: int, content: bytes) -> bytes:
    data = saved()
    return (
        data[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + data[2:]
    )


def iptc(*sets: tuple[int, str, str]) -> bytes:
    body = b"".join(
        struct.pack(">BBBH", 0x1C, 2, number, len(raw)) + raw
        for number, text, encoding in sets
        for raw in [text.encode(encoding)]
    )
    return b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(body)) + body


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_names_artist_and_copyright(kind: str) -> None:
    data = saved(kind, exif=exif(artist="Zhang San", copyright="CC BY 4.0"))
    assert credits_of(data) == Credits(licence="CC BY 4.0", author="Zhang San")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_xmp_counts_before_exif(kind: str) -> None:
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP)
        data = saved(kind, pnginfo=info, exif=exif(artist="Zhang San"))
    elif kind == "GIF":
        data = saved(kind)
        block = b"\x21\xff\x0bXMP DataXMP" + XMP.encode() + bytes([1, *range(255, -1, -1), 0])
        data = data[:-1] + block + data[-1:]
    else:
        data = saved(kind, xmp=XMP.encode(), exif=exif(artist="Zhang San"))
    assert credits_of(data) == FROM_XMP


def test_iptc_in_utf_8_and_in_gbk() -> None:
    for encoding in ("utf-8", "gb18030"):
        content = iptc(
            (80, "王五", encoding),
            (80, "赵六", encoding),
            (116, "版权所有", encoding),
            (110, "社", encoding),
        )
        assert credits_of(with_segment(0xED, content)) == Credits(author="王五; 赵六")


def test_a_licence_of_creative_commons_is_its_url() -> None:
    xmp = b'http://ns.adobe.com/xap/1.0/\0<cc:license rdf:resource="https://creativecommons.org/publicdomain/zero/1.0/"/>'
    found = credits_of(with_segment(0xE1, xmp))
    assert found == Credits(licence="https://creativecommons.org/publicdomain/zero/1.0/")


def test_text_of_a_png_names_the_author() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Ann")
    info.add_itxt("Copyright", "版权 2020")
    assert credits_of(saved("PNG", pnginfo=info)) == Credits(author="Ann")


@pytest.mark.parametrize(
    ("notice", "author"),
    [
        ("李四", "李四"),
        ("© 李四", "李四"),
        ("(C) 2019-2021 Zhang San", "Zhang San"),
        ("Copyright 2020 by Zhang San. All rights reserved.", "Zhang San"),
        ("版权归李四所有", "李四"),
        ("© 2019年 某某图片社 版权所有", "某某图片社"),
        ("www.zhangsan.example", "www.zhangsan.example"),
        ("https://zhangsan.example/", "https://zhangsan.example"),
        ("zhang@example.com 13812345678", "zhang@example.com 13812345678"),
        ("All rights reserved", ""),
        ("版权所有，翻印必究", ""),
    ],
)
def test_a_copyright_notice_names_the_author_and_no_licence(notice: str, author: str) -> None:
    raw = notice.encode()
    data = with_segment(0xED, iptc((116, notice, "utf-8")))
    assert credits_of(data) == Credits(author=author)
    assert credits_of(saved(exif=exif(copyright=raw))) == Credits(author=author)


@pytest.mark.parametrize(
    "terms",
    [
        "CC BY-SA 4.0",
        "Creative Commons Attribution 4.0",
        "Public domain",
        "https://creativecommons.org/licenses/by/4.0/",
        "https://zhangsan.example/terms.html",
        "Licensed for editorial use only",
        "未经许可，不得转载",
        "署名-非商业性使用 4.0 国际",
    ],
)
def test_a_notice_that_states_terms_is_a_licence(terms: str) -> None:
    data = with_segment(0xED, iptc((116, terms, "utf-8")))
    assert credits_of(data) == Credits(licence=terms)


@pytest.mark.parametrize(
    ("statement", "credits"),
    [
        ("李四", Credits(author="李四")),
        ("zhang@example.com", Credits(author="zhang@example.com")),
        ("https://zhangsan.example", Credits(author="https://zhangsan.example")),
        ("https://zhangsan.example/rights", Credits(licence="https://zhangsan.example/rights")),
    ],
)
def test_a_web_statement_counts_if_it_states_terms(statement: str, credits: Credits) -> None:
    for form in (
        f'<a xmpRights:WebStatement="{statement}">',
        f"<xmpRights:WebStatement>{statement}</xmpRights:WebStatement>",
        f"<xmpRights:UsageTerms><rdf:Alt><rdf:li>{statement}</rdf:li></rdf:Alt></xmpRights:UsageTerms>",
    ):
        data = with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + form.encode())
        assert credits_of(data) == credits


def test_hostile_words_come_out_on_one_short_line() -> None:
    found = credits_of(saved(exif=exif(artist="a\x1b[31m\nb" + "x" * 9000)))
    assert found.author.startswith("a [31m b")
    assert len(found.author) == MAX_CHARS


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", make_image(1), saved("PNG"), saved("GIF"), saved("WEBP")]
)
def test_an_image_without_metadata_has_no_credits(data: bytes) -> None:
    assert credits_of(data) == Credits()


def test_corruption_never_raises() -> None:
    whole = saved(exif=exif(artist="Zhang San", copyright="c" * 100), xmp=XMP.encode())
    for cut in range(0, 900, 7):
        credits_of(whole[:cut])
        credits_of(whole[:cut] + b"\xff\0\x80" + whole[cut + 3 :])


def test_ten_megabytes_of_xmp_are_read_to_the_limit_only() -> None:
    junk = b"<dc:creator" * 1_000_000
    chunk = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + junk
    data = saved("PNG")
    whole = data[:33] + struct.pack(">I", len(chunk) - 4) + chunk + bytes(4) + data[33:]
    assert credits_of(whole) == Credits()
