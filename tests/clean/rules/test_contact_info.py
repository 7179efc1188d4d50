import pytest

from tests.conformance import check_rule
from wenlan_data.clean.rules.contact_info import ContactInfo
from wenlan_data.records import Drop


def test_contact_info_is_a_rule() -> None:
    check_rule(ContactInfo())
    check_rule(ContactInfo("mask"))


@pytest.mark.parametrize(
    ("text", "kind", "masked"),
    [
        ("联系电话：13812345678", "mobile", "联系电话：[手机]"),
        ("+86 177-1234-5678 批发", "mobile", "[手机] 批发"),
        ("聯絡電話 0912-345-678 林小姐", "mobile", "聯絡電話 [手机] 林小姐"),
        ("订座 (021) 55550123", "landline", "订座 [电话]"),
        ("客服热线400-800-1234", "landline", "客服热线[电话]"),
        ("加QQ：123456789 领取", "qq", "加QQ：[QQ] 领取"),
        ("翡翠实拍，微信 jade_store_99", "wechat", "翡翠实拍，微信 [微信]"),
        ("加V信xiaoming_8888看款", "wechat", "加V信[微信]看款"),
        ("简历发至hr@example.com.cn", "email", "简历发至[邮箱]"),
        ("身份证110101190001010014。", "identity", "身份证[身份证]。"),
        ("打到 6225 8800 0000 0001", "bank_card", "打到 [银行卡]"),
        ("车主：京A12345", "plate", "车主：[车牌]"),
        ("浙AD12345，白色", "plate", "[车牌]，白色"),
    ],
)
def test_every_kind_is_found_named_and_masked(text: str, kind: str, masked: str) -> None:
    assert ContactInfo()(text) == Drop("contact_info", kind)
    assert ContactInfo(action="mask")(text) == masked
    assert ContactInfo(action="mask")(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "封面，ISBN 9787020002207",
        "12345政务服务热线的接线员",
        "1937-1945年的照片",
        "编号20230512001的展品",
        "总投资13812345678元",
        "微信支付界面截图",
        "微信 Windows 版",
        "QQ音乐的播放界面",
        "坐标 116.3975, 39.9087",
        "云A321飞机",
        "2024/05/12 13:45:12",
        "条形码6901234567892",
        "总长13800138000毫米",
        "电压V：220",
        "航班CA1234",
        "QQ飞车20230512版本",
        "编号1 3 5 7 9 11 13 15 17 19 21",
        "身份证110101190001010013",  # wrong checksum
        "卡号 6225 8800 0000 0002",  # wrong checksum
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert ContactInfo()(text) == text


def test_kinds_that_are_not_asked_for_stay() -> None:
    assert ContactInfo(kinds=("email",))("电话13812345678") == "电话13812345678"


def test_kinds_can_be_treated_apart_by_two_rules() -> None:
    masks, rejects = ContactInfo(kinds=("plate",), action="mask"), ContactInfo()
    masked = masks("路边的京A12345轿车")
    assert masked == "路边的[车牌]轿车"
    assert rejects(masked) == masked
    assert rejects(str(masks("京A12345车主电话13812345678"))) == Drop("contact_info", "mobile")


@pytest.mark.parametrize(
    "text",
    [
        "手机13812345678/13912345678",
        "咨询电话 18396837359 张老师",
        "Tel138 1234 5678",
        "電話(02)2712-3456",
        "台北電話 02-2712-3456",
        "京 A12345",
        "粤Z1234港",
        "微 信：tea_2020",
        "联系138001 38000",
        "4008001234客服热线",
        "q群 123456789",
        "V:tea2020abc",
        "身份证 110101 19000101 001 4",
    ],
)
def test_unusual_ways_to_write_them_are_found_and_masked_whole(text: str) -> None:
    masked = ContactInfo("mask")(text)
    assert isinstance(masked, str)
    assert not any(character.isdigit() for character in masked)
