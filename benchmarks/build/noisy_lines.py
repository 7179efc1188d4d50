"""Generates lines like those of the Chinese web from a seed: two of three are captions, the others
are noise.
"""

from random import Random

_THINGS = (
    "窗台上的三花猫",
    "雨后的黄山云海",
    "刚出锅的糖醋排骨",
    "青花瓷缠枝莲纹瓶",
    "海边日落时的灯塔",
    "胡同口的老槐树",
    "正在写生的学生",
    "雪中的故宫角楼",
)
_MORE = (
    "",
    "，游客在石阶上排队",
    "，2023年冬拍摄",
    "，高30.5厘米，清乾隆",
    "。背景是连绵的雪山",
    "（局部）",
    "，用时45分钟，盐5克",
    "与远处的跨海大桥",
)
_NOISE = (
    "{}",
    "{}",
    "{}",
    "{}",
    "<b>{}</b>&nbsp;",
    "{} 图/视觉中国",
    "{}（图片来源：新华社）",
    "#摄影# {} http://t.example/abc",
    "ＨＤ{}\u200b１０８０",
    "{}，電話13800138000",
    "IMG_{n}.JPG",
    "点击查看大图",
    "上一页 下一页 返回首页",
    "版权所有 未经许可不得转载",
    "{}{}{}{}",
    "在这里写着台灣的{}與說明",
)


def noisy_lines(count: int, seed: int = 1) -> list[str]:
    """Returns `count` lines."""
    random = Random(seed)
    lines = []
    for _ in range(count):
        caption = random.choice(_THINGS) + random.choice(_MORE)
        noise = random.choice(_NOISE).replace("{n}", str(random.randint(1000, 9999)))
        lines.append(noise.replace("{}", caption))
    return lines
