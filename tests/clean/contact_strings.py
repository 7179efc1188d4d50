"""Made-up personal data in sentences as pages have them, and captions full of other numbers. No
number is anybody's.

Mail domains are example.*, IDs have birthdays in 1900, cards an account of zeros; telephone numbers
are random.
"""

from collections.abc import Callable, Iterator
from random import Random

from wenlan_data.clean.rules.contact_info import Kind

SENTENCES: dict[Kind, tuple[str, ...]] = {
    "mobile": (
        "低价转让二手钢琴，电话{}",
        "{}，长期回收旧家电",
        "需要的朋友请拨打{}，非诚勿扰",
        "王师傅开锁换锁 {} 随叫随到",
        "房东直租两室一厅，联系人李女士：{}。",
        "手机号：{}，微信同号",
        "宠物走失，见到请联系{}，必有重谢",
        "厂家直销竹编灯笼（{}）批发零售",
        "招聘服务员两名，面试联系{}",
        "图为活动报名处，咨询电话 {} 张老师",
        "Tel:{} 陈先生",
    ),
    "landline": (
        "订餐电话：{}",
        "客服热线{}",
        "地址：人民路12号，电话 {}",
        "酒店总机 {}，欢迎预订",
        "传真：{} 邮编：100000",
        "参观请提前致电{}",
        "景区咨询电话{}，投诉电话另见公告",
        "办公室（{}）",
    ),
    "qq": (
        "加QQ{}领取高清原图",
        "设计稿联系QQ：{}",
        "QQ {} 长期接单",
        "素材交流，Q Q：{}",
        "扣扣{}，注明来意",
        "有意者加我QQ号{}",
        "QQ群：{}，一起交流摄影",
        "咨询请加企鹅{}",
    ),
    "wechat": (
        "翡翠手镯实拍，微信：{}",
        "加微信{}看更多款式",
        "微信号 {}",
        "看中的加V信{}",
        "VX：{} 一件代发",
        "薇信{}，非诚勿扰",
        "详情请加wx:{}",
        "代购咨询WeChat: {}",
        "联系微信（{}）",
    ),
    "email": (
        "投稿请发邮箱{}",
        "简历发送至 {}，合则约见",
        "联系方式：{}",
        "E-mail：{}",
        "图片授权请联系{}。",
        "如有侵权，请来信{}删除",
    ),
    "identity": (
        "身份证号：{}",
        "姓名：张某，身份证{}，现住本市",
        "报名表照片，证件号码{}",
        "失主请凭{}认领",
        "ID：{}",
        "公民身份号码 {} 有效期长期",
    ),
    "bank_card": (
        "汇款至{}，户名李某",
        "银行卡号：{}",
        "爱心捐款账号 {} 开户行略",
        "打款到工行{}",
        "卡号{}，收到请回复",
    ),
    "plate": (
        "一辆{}的白色轿车停在路边",
        "肇事车辆车牌号：{}",
        "寻车：{}，银色面包车",
        "网约车司机驾驶{}到达",
        "车主{}请挪车",
        "二手车展示（{}）",
    ),
}
_PREFIXES = ("13", "14", "15", "16", "17", "18", "19")
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_NAMES = (
    "lihua",
    "xiaoming",
    "zhang.wei",
    "photo_studio",
    "info",
    "kefu",
    "chen-jing",
    "tea2018",
    "ming_88",
    "sales",
)


def _digits(random: Random, count: int) -> str:
    return "".join(random.choice("0123456789") for _ in range(count))


def _mobile(random: Random) -> str:
    number = random.choice(_PREFIXES) + _digits(random, 9)
    a, b, c = number[:3], number[3:7], number[7:]
    forms = (
        number,
        number,
        number,
        f"{a}-{b}-{c}",
        f"{a} {b} {c}",
        f"+86 {number}",
        f"+86-{a}-{b}-{c}",
        f"86{number}",
    )
    return random.choice(forms)


def _landline(random: Random) -> str:
    area = random.choice(("010", "021", "020", "028", "0571", "0755", "0411", "0898", "0991"))
    number = random.choice("23456789") + _digits(random, 7)
    free = f"{random.choice(('400', '800'))}"
    forms = (
        f"{area}-{number}",
        f"{area}-{number[:4]}-{number[4:]}",
        f"({area}){number}",
        f"（{area}）{number}",
        f"{area} {number}",
        f"+86-{area[1:]}-{number}",
        f"{free}-{number[:3]}-{number[3:7]}",
        f"{free}-{number[:4]}-{number[4:7]}",
    )
    return random.choice(forms)


def _qq(random: Random) -> str:
    return random.choice("123456789") + _digits(random, random.randint(5, 9))


def _wechat(random: Random) -> str:
    name = random.choice(("jade", "tea", "xiaoyu", "lily", "huahua", "lin", "zhou"))
    return random.choice(
        (
            f"{name}_{_digits(random, 4)}",
            f"{name}{_digits(random, 6)}",
            f"wxid_{_digits(random, 3)}ab{_digits(random, 9)}",
        )
    )


def _email(random: Random) -> str:
    domain = random.choice(
        ("example.com", "example.com.cn", "mail.example.org", "example.net", "example.cn")
    )
    return f"{random.choice(_NAMES)}{random.choice(('', _digits(random, 2)))}@{domain}"


def _identity(random: Random) -> str:
    area = random.choice(("110101", "310104", "440305", "510107", "330106"))
    body = f"{area}1900{random.randint(1, 12):02d}{random.randint(1, 28):02d}{_digits(random, 3)}"
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(body))
    return body + "10X98765432"[total % 11]


def _bank_card(random: Random) -> str:
    body = random.choice(
        ("622202", "621700", "622848", "436742", "625880", "550213")
    ) + "0" * random.choice((9, 12))
    total = sum(
        sum(divmod(int(digit) * (2 - place % 2), 10)) for place, digit in enumerate(reversed(body))
    )
    card = body + str(-total % 10)
    return random.choice((card, " ".join(card[at : at + 4] for at in range(0, len(card), 4))))


def _plate(random: Random) -> str:
    head = random.choice(_PROVINCES) + random.choice(_LETTERS)
    tail = random.choice(
        (
            _digits(random, 5),
            random.choice(_LETTERS) + _digits(random, 4),
            _digits(random, 3) + random.choice(_LETTERS) + _digits(random, 1),
            "D" + _digits(random, 5),  # electric cars have six
        )
    )
    return head + random.choice(("", "", "·", " ")) + tail


_MAKERS: dict[Kind, Callable[[Random], str]] = {
    "mobile": _mobile,
    "landline": _landline,
    "qq": _qq,
    "wechat": _wechat,
    "email": _email,
    "identity": _identity,
    "bank_card": _bank_card,
    "plate": _plate,
}


def contact_strings(count: int, seed: int) -> Iterator[tuple[Kind, str, str]]:
    """(kind, number, sentence with the number), the kinds in turns."""
    random = Random(seed)
    kinds = list(_MAKERS)
    for place in range(count):
        kind = kinds[place % len(kinds)]
        number = _MAKERS[kind](random)
        yield kind, number, random.choice(SENTENCES[kind]).format(number)


_THINGS = (
    "糖醋排骨",
    "青花瓷瓶",
    "山地自行车",
    "苏绣屏风",
    "高铁列车",
    "丹顶鹤",
    "油菜花田",
    "木雕花窗",
    "紫砂壶",
    "老城墙",
)
_PLACES = ("西湖", "敦煌", "哈尔滨", "三亚", "平遥古城", "黄山", "成都", "泉州", "喀什", "雪乡")
_CLEAN = (
    "{thing}用料：面粉{n3}克，鸡蛋{n1}个，清水{n3}毫升，盐{n1}克",
    "{year}年{place}冬季的雪景",
    "{thing} 促销价{n4}元，原价{n4}.{n2}元",
    "{place}站第{n3}次列车进站",
    "第{n2}章 {place}往事",
    "主队以{n2}比{n2}战胜客队，{place}赛区第{n2}轮",
    "型号{a}{n4}-{n2}{a} {thing}",
    "{thing}，清乾隆，高{n2}.{n1}厘米，口径{n2}厘米",
    "{place}海拔{n4}米，面积{n5}平方公里",
    "{year}-{year}年间拍摄的{place}",
    "编号{year}{n6}的{thing}",
    "{thing}，容量{n4}mAh，重{n3}g",
    "总投资{n8}万元的{place}大桥",
    "{year}年{n1}月{n2}日，{place}，{n2}:{n2}:{n2}",
    "ISBN 978-7-{n4}-{n4}-{n1}，{thing}图录",
    "{place}人口{n7}人，人均收入{n5}元",
    "北纬{n2}.{n5}，东经1{n2}.{n5}，{place}",
    "{a}{n3}航班降落{place}机场",
    "{place}马拉松{n5}号选手冲过终点",
    "{thing}尺寸{n4}x{n4}x{n3}mm",
    "微信扫码支付的{thing}摊位，{n2}元一份",
    "QQ音乐{year}年度歌单封面，{place}",
    "条形码69{n6}{n5}的{thing}",
    "{thing}（{n2}/{n2}）",
    "{place}地铁{n1}号线{n2}站，全长{n2}.{n3}公里",
    "股票代码{n6}，{place}分公司大楼",
    "中国{a}{n2}高速公路{place}段，桩号K{n4}+{n3}",
    "{year}{n4}期彩票站门口的{thing}",
    "图{n1}-{n2} {thing}的结构示意",
    "播放量{n8}次的{place}航拍",
    "门牌{n4}号，{place}老街",
    "GB/T {n5}-{year} {thing}国家标准",
    "数据：{n3},{n3},{n3}人次游览{place}",
    "{n4}-{n4}mm变焦镜头拍摄的{thing}",
    "窗台上的{thing}和远处的{place}",
)


def clean_captions(count: int, seed: int) -> Iterator[str]:
    """Captions that hold numbers, none of them personal."""
    random = Random(seed)
    for place in range(count):
        words: dict[str, str] = {}
        text = _CLEAN[place % len(_CLEAN)]
        for _ in range(text.count("{")):
            words = {
                f"n{size}": random.choice("123456789") + _digits(random, size - 1)
                for size in range(1, 9)
            }
            words |= {"thing": random.choice(_THINGS), "place": random.choice(_PLACES)}
            words |= {"year": str(random.randint(1840, 2026)), "a": random.choice(_LETTERS)}
            name = text[text.index("{") + 1 : text.index("}")]
            text = text.replace("{" + name + "}", words[name], 1)
        yield text
