import pytest

from wenlan_data.extract.encoding import decode_page

TEXT = "<title>江南水乡的石桥</title>"


@pytest.mark.parametrize(
    ("payload", "content_type"),
    [
        (TEXT.encode(), ""),
        (TEXT.encode("gb18030"), ""),
        (b"\xef\xbb\xbf" + TEXT.encode(), "text/html; charset=gbk"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "text/html"),
        (TEXT.encode("gbk"), 'text/html; charset="GB2312"'),
        (TEXT.encode("big5", "ignore"), "text/html; charset=big5"),
        (TEXT.encode(), "text/html; charset=ISO-8859-1"),
        (TEXT.encode("gbk"), "text/html; charset=utf-8"),
        (TEXT.encode(), "text/html; charset=gb2312"),
        (TEXT.encode(), "text/html; charset=unicode_escape"),
        (TEXT.encode(), "text/html; charset=nonsense"),
    ],
)
def test_a_page_is_decoded_whatever_its_server_declares(payload: bytes, content_type: str) -> None:
    expected = TEXT.encode("big5", "ignore").decode("big5") if "big5" in content_type else TEXT
    assert decode_page(payload, content_type) == expected


def test_the_page_declares_its_charset_if_the_header_does_not() -> None:
    page = f'<meta http-equiv="Content-Type" content="text/html; charset=gb2312">{TEXT}'
    assert decode_page(page.encode("gbk"), "text/html") == page


def test_broken_bytes_cost_a_character_not_the_page() -> None:
    assert decode_page(b"<meta charset=utf-8>" + TEXT.encode() + b"\xff\xff\xff") == (
        f"<meta charset=utf-8>{TEXT}\ufffd\ufffd\ufffd"
    )


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("江南水鄉的石橋和小船，這張照片是清晨拍的，湖面上有霧。", "big5"),
        ("香港嘅啲茶餐廳，凍檸茶同菠蘿油，喺度食嘢嘅人好多。", "big5hkscs"),
        ("㐂㑇㒀四字节的汉字𠮷野家，江南水乡的石桥和小船。", "gb18030"),
        ("江南水乡的石桥和小船，清晨的湖面上有雾。", "utf-16-le"),
        ("江南水乡的石桥和小船，清晨的湖面上有雾。", "utf-16-be"),
    ],
)
def test_a_page_without_a_declared_encoding_is_decoded_by_its_bytes(
    text: str, encoding: str
) -> None:
    page = f"<html><head><title>{text}</title></head><body><p>{text}</p></body></html>"
    assert decode_page(page.encode(encoding), "text/html") == page


@pytest.mark.parametrize("label", ["gb2312", "big5", "iso-8859-1"])
def test_utf_8_is_recognised_under_any_label(label: str) -> None:
    page = f"<p>{TEXT * 3}一"
    assert decode_page(page.encode(), f"text/html; charset={label}") == page
