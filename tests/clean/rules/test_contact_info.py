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


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("工商银行卡号9558-8000-0000-0000-000", "工商银行卡号[银行卡]"),  # ICBC's old prefix
        ("①③⑧⓪⓪⓪⓪①②③④ 疏通下水道", "[手机] 疏通下水道"),
        ("咨询壹叁捌零零零零壹贰叁肆", "咨询[手机]"),
        ("电话1 3 8 0 0 0 0 1 2 3 4", "电话[手机]"),
        ("前台010－65551234", "前台[电话]"),
        ("v❤x：tea889900", "v❤x：[微信]"),
        ("薇❤：kkmm8899", "薇❤：[微信]"),
        ("加卫星 dd66778", "加卫星 [微信]"),
        ("abc at example dot com", "[邮箱]"),
        ("前台0898-42607490-697", "前台[电话]"),  # an extension
        ("4006-123-456 全国", "[电话] 全国"),
        ("传真 021-55550123转8001", "传真 [电话]"),
        ("酒店总机：55550123", "酒店[电话]"),
        ("手机 138 934 71118", "手机 [手机]"),  # grouped in threes
        ("短信报名至1506 989 0063", "短信报名至[手机]"),
        ("拨打1389 621 5314即可", "拨打[手机]即可"),
        ("交流群：36474330", "交流群：[QQ]"),
        ("加群8839453358领资料", "加群[QQ]领资料"),
        ("微信公众号：huahua957273", "微信公众号：[微信]"),
        ("加微信lrfxnmmr87", "加微信[微信]"),
        ("V信 ettcu-58", "V信 [微信]"),
        ("➕V kypz-88", "➕V [微信]"),
    ],
)
def test_rarer_ways_of_writing_a_number_are_known(text: str, masked: str) -> None:
    assert isinstance(ContactInfo()(text), Drop)
    assert ContactInfo(action="mask")(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "书桌 1500 600 1200 三种宽度",
        "群里的36474330只候鸟",
        "加微信小程序的iPad界面",
        "订单9557000000000000的快递",
        "订单号2023051200012345678的快递",
        "预订2024-2025赛季球票的球迷",
        "区间0755-2010年",
        "云南威信县G4216高速",
        "进群山深处2023年的雪",
        "①番茄切块 ②鸡蛋打散 ③热锅凉油",
        "民国二十三年的壹圆银币",
        "2019–2023年销量对比",
        "Look at 故宫 dot painting",
    ],
)
def test_numbers_that_only_look_like_those_stay(text: str) -> None:
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
