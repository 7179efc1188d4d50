"""Contact data beside the texts of a sample."""

import pytest

from wenlan_data.clean.masking import (
    mask_author,
    mask_contact_info,
    mask_licence,
    mask_unless_url,
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("张三 13812345678", "张三 [手机]"),
        ("张三１３８１２３４５６７８", "张三[手机]"),
        ("zhang@example.com", "[邮箱]"),
        ("CC BY 4.0, 联系 zhang@example.com", "CC BY 4.0, 联系 [邮箱]"),
        ("摄影QQ：123456789", "摄影QQ：[QQ]"),
        ("微信：abc12345", "微信：[微信]"),
        ("mailto:zhang@example.com", "mailto:[邮箱]"),
        ("photos/张三13812345678.jpg", "photos/张三[手机].jpg"),
        ("photos/zhang@example.com/1.jpg", "photos/[邮箱]/1.jpg"),
    ],
)
def test_contact_data_are_replaced_as_in_captions(text: str, masked: str) -> None:
    assert mask_contact_info(text) == masked
    assert mask_contact_info(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "新华社记者 李明",
        "Ａｎｎ  Lee",
        "CC BY-SA 4.0",
        "photos/2023/IMG_20230501_123000.jpg",
        "photos/1556789012345.jpg",
        "photos/e3b0c44298fc1c149afbf4c8996fb924.jpg",
    ],
)
def test_other_statements_stay_as_they_are_written(text: str) -> None:
    assert mask_contact_info(text) == text
    assert mask_unless_url(text) == text


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/13812345678.jpg",
        "HTTP://example.org/a?mail=zhang@example.com",
        "https://a_b.example.com.cn:8443?qq=123456",
        "http://127.0.0.1:8085/13812345678.jpg",
        "http://localhost:8085/13812345678.jpg",
        "http://[2001:db8::1]/13812345678.jpg",
        "https://xn--fsqu00a.xn--fiqs8s/张三13812345678.jpg",
        "https://example.org./#13812345678",
    ],
)
def test_a_url_stays_where_it_can_be_opened(url: str) -> None:
    assert mask_unless_url(url) == url
    assert mask_licence(url) == url


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://张三13812345678", "https://张三[手机]"),
        ("https://13812345678", "https://[手机]"),
        ("https://x.cn/\t13812345678", "https://x.cn/ [手机]"),
        ("https://x.cn/\u300013812345678", "https://x.cn/ [手机]"),
        ("https://x.cn/\u202e13812345678", "https://x.cn/[手机]"),
        ("https://x.cn张三/13812345678", "https://x.cn张三/[手机]"),
        ("https://x.cn:张三13812345678", "https://x.cn:张三[手机]"),
        ("https:// 13812345678", "https:// [手机]"),
        ("httpsx://x.cn/张三13812345678", "httpsx://x.cn/张三[手机]"),
    ],
)
def test_what_only_begins_like_a_url_is_masked(text: str, masked: str) -> None:
    assert mask_unless_url(text) == masked


def test_an_author_is_masked_even_if_it_is_a_url() -> None:
    assert mask_author("https://张三13812345678") == "https://张三[手机]"
    assert mask_author("https://x.cn/张三13812345678") == "https://x.cn/张三[手机]"
    assert mask_author("https://weibo.com/zhangsan") == "https://weibo.com/zhangsan"


def test_author_and_licence_are_one_line_without_control_characters() -> None:
    assert mask_author("a\x1b[31mb\u202e") == "a [31mb"
    assert mask_author(" 张三\n李四\u200e") == "张三 李四"
    assert mask_author("欧阳娜娜·Ann Lee") == "欧阳娜娜·Ann Lee"
    assert mask_licence("https://x.cn/\t13812345678") == "https://x.cn/ [手机]"
    assert mask_licence("CC BY 4.0\r\n署名") == "CC BY 4.0 署名"


def test_a_long_text_is_masked_in_linear_time() -> None:
    for text in ("https://" + "a." * 200_000, "https://" + "a-" * 200_000 + "\t"):
        assert mask_unless_url(text) == text
