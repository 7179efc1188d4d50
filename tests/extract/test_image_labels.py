"""Words that label an image as no content, and captions that only mention such things."""

import pytest

from wenlan_data.extract.image_labels import is_byline, is_qr_line, reason_of_alt


@pytest.mark.parametrize(
    ("alt", "reason"),
    [
        ("小城旅人的头像", "avatar"),
        ("默认头像", "avatar"),
        ("江边日报微信公众号", "qr_code"),
        ("扫码关注", "qr_code"),
        ("支付宝收款码", "qr_code"),
        ("欢迎关注江边日报公众号，看更多故事", "qr_code"),
        ("底部广告位3", "advertisement"),
        ("江边日报LOGO", "logo"),
        ("分享到微博", "share_button"),
        ("QQ空间", "share_button"),
        ("下载客户端", "navigation"),
        ("人民日报客户端", "navigation"),
        ("京公网安备11000002号", "navigation"),
        ("违法和不良信息举报中心", "navigation"),
        ("上一页", "navigation"),
    ],
)
def test_an_alt_that_is_a_label_has_a_reason(alt: str, reason: str) -> None:
    assert reason_of_alt(alt) == reason


@pytest.mark.parametrize(
    "alt",
    [
        "捐赠仪式现场", "关注留守儿童", "支付首批农民工工资", "分享会现场", "无障碍坡道方便了轮椅出行",
        "党政机关干部参加植树", "老街的旧广告", "工程师调试客户端程序", "公安备案登记现场", "分享到深夜的故事",
        "微信支付码上线仪式", "网警走进校园", "市民扫一扫二维码乘坐地铁", "扫码进入展厅的游客", "扫码支付走进菜市场",
        "扫描图片", "扫雪的环卫工", "长按钮的老式收音机", "头像邮票", "头像" * 20, "",
    ],
)  # fmt: skip
def test_an_alt_that_mentions_such_a_thing_has_none(alt: str) -> None:
    assert reason_of_alt(alt) is None


@pytest.mark.parametrize(
    "lines",
    [
        ["扫一扫，关注我们"],
        ["長按識別二維碼"],
        ["江边日报", "扫码关注"],
        ["请用微信扫描下方二维码"],
        ["扫一扫在手机打开当前页"],
        ["觉得有用就打赏一下吧"],
        ["真诚赞赏，手留余香"],
        ["手机客户端"],
    ],
)
def test_an_instruction_to_scan_stands_beside_a_qr_code(lines: list[str]) -> None:
    assert is_qr_line(lines)


@pytest.mark.parametrize(
    "line",
    ["脑部核磁共振扫描图像", "赞助企业代表合影留念", "工程师调试客户端程序", "市民扫一扫二维码乘坐地铁",
     "扫描电镜下的花粉",
     "扫码乘车的市民", "小程序开发大赛现场", "扫码关注江边日报的读者", "景区推出二维码", "扫" * 40],
)  # fmt: skip
def test_a_caption_that_mentions_scanning_does_not(line: str) -> None:
    assert not is_qr_line([line])


@pytest.mark.parametrize(
    "line",
    ["小城旅人 3小时前", "小城旅人 2024-05-01 10:30", "阿木 LV5", "粉丝 120 阿木", "楼主 阿木", "慢半拍 级别: 论坛版主",
     "远山有灯 03-12 08:30 百家号", "z***8：布料厚实"],
)  # fmt: skip
def test_a_name_with_a_time_or_a_grade_is_a_byline(line: str) -> None:
    assert is_byline(line, with_date=False)


@pytest.mark.parametrize("line", ["小城旅人 5月3日", "5月3日", "1 天前", "阿木 10:30"])
def test_a_date_makes_one_beside_another_image_alone(line: str) -> None:
    assert is_byline(line, with_date=True)
    assert not is_byline(line, with_date=False)


@pytest.mark.parametrize(
    "line",
    ["作者自画像", "新车发布现场", "记者 李明 摄", "03:21", "1.2万", "小城旅人，3小时前在湖边", "图 4.2. 选择语言",
     "会员代表大会现场", "3小时前在湖边拍到的船停在岸边很久", ""],
)  # fmt: skip
def test_a_title_a_credit_and_a_duration_are_none(line: str) -> None:
    assert not is_byline(line, with_date=True)
