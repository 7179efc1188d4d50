"""Contact data beside the texts of a sample."""

import pytest

from wenlan_data.clean.masking import mask_contact_info


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
        "https://example.org/13812345678.jpg",
        "HTTP://example.org/a?mail=zhang@example.com",
        "photos/2023/IMG_20230501_123000.jpg",
        "photos/1556789012345.jpg",
        "photos/e3b0c44298fc1c149afbf4c8996fb924.jpg",
    ],
)
def test_other_statements_and_urls_stay_as_they_are_written(text: str) -> None:
    assert mask_contact_info(text) == text
