"""The images of the demo: photographs and crops of them, each with a correct Chinese caption.

The captions were written by looking at the images. scikit-image ships its photographs without
copyright restrictions; china.jpg and flower.jpg of scikit-learn are CC BY 2.0, by danielbuechele
and vultilion.
"""

from dataclasses import dataclass

from wenlan_data.records import Box


@dataclass(frozen=True, slots=True)
class CaptionedImage:
    """A photograph, or its crop to `box` (x1, y1, x2, y2 in pixels), with a caption."""

    photo: str
    caption: str
    box: Box | None = None


IMAGES = {
    "astronaut": CaptionedImage(
        "astronaut.png", "美国女航天员身穿橙色航天服，坐在国旗和航天飞机模型前微笑"
    ),
    "astronaut-face": CaptionedImage(
        "astronaut.png", "一位短发女航天员面带微笑的特写", (110, 0, 310, 190)
    ),
    "shuttle": CaptionedImage(
        "astronaut.png", "竖立的航天飞机模型，带着棕色燃料箱和两枚白色助推器", (340, 10, 512, 310)
    ),
    "helmet": CaptionedImage("astronaut.png", "带黑色面罩的白色航天头盔", (270, 340, 512, 512)),
    "flag": CaptionedImage("astronaut.png", "一面垂挂着的美国国旗", (0, 0, 130, 260)),
    "brick": CaptionedImage("brick.png", "整齐排列的砖块，砖缝是浅色的"),
    "cameraman": CaptionedImage("camera.png", "身穿黑大衣的男子在草地上用三脚架拍摄"),
    "cameraman-face": CaptionedImage(
        "camera.png", "男子凑近取景器拍摄的侧面特写", (140, 40, 400, 250)
    ),
    "dome": CaptionedImage("camera.png", "草坪尽头的圆顶建筑和一座白色高楼", (300, 100, 512, 290)),
    "tripod": CaptionedImage("camera.png", "草地上支起的三脚架", (200, 130, 430, 512)),
    "cell": CaptionedImage("cell.png", "显微镜下悬浮在盐水中的一个细胞"),
    "cat": CaptionedImage("chelsea.png", "一只虎斑猫的脸部特写，眼睛是黄绿色的"),
    "cat-eyes": CaptionedImage("chelsea.png", "猫咪一双圆圆的黄绿色眼睛", (120, 60, 350, 200)),
    "cat-nose": CaptionedImage("chelsea.png", "猫的红褐色鼻子和白色胡须", (200, 190, 345, 300)),
    "coffee": CaptionedImage("coffee.png", "木桌上的一杯浓缩咖啡，红色的杯子配着红色碟子和小勺"),
    "coffee-cup": CaptionedImage("coffee.png", "白色杯子里剩下的半杯咖啡", (160, 10, 430, 200)),
    "spoon": CaptionedImage("coffee.png", "搁在红色碟子上的不锈钢小勺", (330, 220, 440, 340)),
    "coins": CaptionedImage("coins.png", "博物馆收藏的二十四枚古希腊钱币，分四排摆放"),
    "coins-right": CaptionedImage(
        "coins.png", "几枚古代钱币的特写，上面有人物头像", (240, 150, 384, 303)
    ),
    "coins-top": CaptionedImage("coins.png", "上下两排大小不一的古钱币", (0, 0, 384, 150)),
    "colour-wheel": CaptionedImage("color.png", "黑色背景上的圆形彩色色轮"),
    "grass": CaptionedImage("grass.png", "黑白照片里杂乱的草地"),
    "gravel": CaptionedImage("gravel.png", "铺满地面的碎石子"),
    "horse": CaptionedImage("horse.png", "一匹马的黑色剪影"),
    "horse-head": CaptionedImage("horse.png", "马头和脖子的黑色剪影", (230, 0, 400, 160)),
    "galaxies": CaptionedImage(
        "hubble_deep_field.jpg", "哈勃望远镜拍摄的深空照片，布满大大小小的星系"
    ),
    "bright-star": CaptionedImage(
        "hubble_deep_field.jpg", "带着星芒的亮星和周围的遥远星系", (650, 420, 1000, 700)
    ),
    "far-galaxies": CaptionedImage(
        "hubble_deep_field.jpg", "深空中颜色各异的星系", (380, 0, 700, 280)
    ),
    "tissue": CaptionedImage("ihc.png", "显微镜下经过染色的结肠组织切片"),
    "gland": CaptionedImage("ihc.png", "一个被染成棕色的圆形腺体", (240, 300, 390, 470)),
    "logo": CaptionedImage("logo.png", "橙绿两色的圆形标志，中间画着一条蛇"),
    "snake-head": CaptionedImage("logo.png", "标志中橙色蛇头的特写", (150, 80, 360, 260)),
    "moon": CaptionedImage("moon.png", "月球表面的环形山"),
    "crater": CaptionedImage("moon.png", "月面上一个边缘清晰的圆形陨石坑", (40, 20, 200, 170)),
    "motorcycle": CaptionedImage(
        "motorcycle_left.png", "车库里停着一辆红色摩托车，后面是放满杂物的货架"
    ),
    # The other half of a stereo pair: 4 pHash bits from "motorcycle" but 84 PDQ bits: both stay.
    "motorcycle-right": CaptionedImage(
        "motorcycle_right.png", "从右侧机位拍摄的车库里的红色摩托车"
    ),
    "rear-wheel": CaptionedImage(
        "motorcycle_left.png", "停在水泥地面上的摩托车后轮", (0, 230, 240, 460)
    ),
    "engine": CaptionedImage("motorcycle_left.png", "摩托车银色发动机的特写", (260, 200, 460, 400)),
    "headlight": CaptionedImage(
        "motorcycle_left.png", "摩托车的圆形大灯，背景是堆着纸箱的货架", (450, 70, 680, 260)
    ),
    "page": CaptionedImage("page.png", "一页印刷的英文文章，标题讲的是区域分割"),
    "retina": CaptionedImage("retina.jpg", "眼底照片，可以看到视盘和血管"),
    "optic-disc": CaptionedImage("retina.jpg", "明亮的视盘和从这里伸出的血管", (0, 400, 500, 900)),
    "macula": CaptionedImage("retina.jpg", "视网膜中央颜色较深的黄斑", (500, 500, 900, 900)),
    "rocket": CaptionedImage("rocket.jpg", "夜幕下矗立在发射台上的火箭"),
    "rocket-close": CaptionedImage(
        "rocket.jpg", "白色的火箭直立着，顶部是整流罩", (250, 100, 390, 427)
    ),
    "launch-tower": CaptionedImage("rocket.jpg", "傍晚发射场上的铁塔和灯光", (0, 0, 200, 427)),
    "formulas": CaptionedImage("text.png", "纸上手写的数学公式"),
    "tower": CaptionedImage("china.jpg", "颐和园的佛香阁，远处是昆明湖"),
    "tower-roof": CaptionedImage("china.jpg", "佛香阁的琉璃瓦屋顶和彩绘屋檐", (80, 20, 300, 300)),
    "lake": CaptionedImage("china.jpg", "从高处望去的湖面，湖上有许多小船", (280, 180, 640, 320)),
    "tree": CaptionedImage("china.jpg", "湖边一棵枝叶茂密的大树", (540, 120, 640, 427)),
    "dahlia": CaptionedImage("flower.jpg", "深绿色背景前一朵橙色的大丽花"),
    "petals": CaptionedImage("flower.jpg", "大丽花层层叠叠的橙色花瓣", (150, 60, 380, 320)),
}
"""Image by name."""
