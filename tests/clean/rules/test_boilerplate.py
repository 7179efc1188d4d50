import pytest

from tests.conformance import check_rule
from wenlan_data.clean.rules.boilerplate import Boilerplate
from wenlan_data.records import Drop


def test_boilerplate_is_a_rule() -> None:
    check_rule(Boilerplate())


@pytest.mark.parametrize(
    "text",
    [
        "首页 > 新闻 > 国内 > 正文",
        "上一页",
        "点赞 收藏 评论 转发",
        "请点击图片浏览下一页",
        "长按识别二维码关注公众号",
        "图片1",
        "此图片没有提供说明文字",
        "京ICP备12345678号-1",
        "未经授权，禁止转载",
        "免责声明：本文仅代表作者个人观点，与本网无关",
        "图片来源：视觉中国",
        "图/视觉中国",
        "新华社记者 王小明 摄",
        "照片由受访者提供",
        "责任编辑：张三",
        "在这里插入图片描述",
        "请输入图片描述",
        "网页截图",
        "如图所示",
        "上一篇：黄山云海",
        "标签：旅游 摄影",
        "展开全文c",
        "本文由作者授权发布",
        "搜索按钮",
        "网站logo",
        "用户头像",
        "官方微信二维码",
        "请输入验证码",
        "404 页面不存在",
        "阅读(1234)",
        "发布者：admin",
        "图片仅供参考，请以实物为准",
        "内容来自网络，如有侵权请联系本站",
        "如有侵权，请联系删除",
        "本图与内容无关",
        "图片为AI生成",
    ],
)
def test_what_a_page_says_about_itself_is_rejected(text: str) -> None:
    assert Boilerplate()(text) == Drop("boilerplate")


@pytest.mark.parametrize(
    "text",
    [
        "《人民日报》创刊号首页",
        "分享一碗热汤面的老夫妻",
        "图片墙前驻足的参观者",
        "来源于藏北高原的野牦牛群",
        "二维码扫码乘车的闸机",
        "记者在灾区采访",
        "人像摄影",
        "工程师为农户提供技术支持",
        "登录页面",
        "登录界面截图",
        "下图为故宫角楼",
        "记者站在洪水中报道",
        "插入花瓶的梅花",
        "图2-3：电路原理图",
        "红色按钮特写",
        "「导出」按钮",
        "ABCD 按钮",
        "微信图标的巨型雕塑",
        "公交站牌上的二维码",
        "侵权案庭审现场",
        "仅供参考的菜单样式",
        "关闭的城门",
        "下载量最高的游戏海报",
        "猫咪由AI生成的头像",
    ],
)
def test_captions_with_the_same_words_stay(text: str) -> None:
    assert Boilerplate()(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("渔民在查干湖冬捕。张三 摄", "渔民在查干湖冬捕。"),
        ("游客赏荷。新华社记者 李明 摄", "游客赏荷。"),
        ("红叶满山的公园（图片来源：视觉中国）", "红叶满山的公园"),
        ("三江源的雪豹（点击查看大图）", "三江源的雪豹"),
        ("长城雪景 张三 摄", "长城雪景"),
        ("手工编织的灰色羊毛围巾，图片仅供参考", "手工编织的灰色羊毛围巾"),
        ("大熊猫在四川卧龙的竹林里吃竹子，禁止转载", "大熊猫在四川卧龙的竹林里吃竹子"),
    ],
)
def test_credits_and_hints_at_the_end_are_cut_off(text: str, clean: str) -> None:
    assert Boilerplate()(text) == clean
