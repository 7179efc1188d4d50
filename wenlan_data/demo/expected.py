"""Expected result of a build of the demo: the caption of each sample, the reason of each drop.

Written by looking at the pages and the images; tests compare a build with it.
"""

PAGES = {"read": 27, "robots": 1, "redirect": 1, "http_status": 1, "listing": 1}
"""Pages by outcome: robots.txt disallows `/private/diary.html`, `/about.htm` redirects,
`/missing.html` does not exist, `/sitemap.xml` is a listing."""

SAMPLES: dict[str, tuple[str, str]] = {
    "data:image/jpeg": (
        "黑色背景上的圆形彩色色轮",
        "alt",
    ),
    "moved/lake.jpg": ("从高处望去的湖面，湖上有许多小船", "alt"),
    "photos/astronaut-face.jpg": ("一位短发女航天员面带微笑的特写", "alt"),
    "photos/astronaut.jpg": ("美国女航天员身穿橙色航天服，坐在国旗和航天飞机模型前微笑", "alt"),
    "photos/brick.jpg": ("整齐排列的砖块，砖缝是浅色的", "alt"),
    "photos/bright-star.jpg": ("带着星芒的亮星和周围的遥远星系", "figcaption"),
    "photos/cameraman-face.jpg": ("男子凑近取景器拍摄的侧面特写", "alt"),
    "photos/cameraman.jpg": ("身穿黑大衣的男子在草地上用三脚架拍摄", "alt"),
    "photos/cat-eyes.jpg": ("猫咪一双圆圆的黄绿色眼睛", "alt"),
    "photos/cat-nose.webp": ("猫的红褐色鼻子和白色胡须", "alt"),
    "photos/cat.jpg": ("一只虎斑猫的特写", "alt"),
    "photos/cell.png": ("显微镜下悬浮在盐水中的一个细胞", "alt"),
    "photos/coffee-cup.jpg": ("白色杯子里剩下的半杯咖啡", "alt"),
    "photos/coffee.jpg": ("木桌上的一杯浓缩咖啡，红色的杯子配着红色碟子和小勺", "caption"),
    "photos/coins-right.jpg": ("几枚古代钱币的特写，上面有人物头像", "figcaption"),
    "photos/coins.jpg": ("博物馆收藏的二十四枚古希腊钱币，分四排摆放", "figcaption"),
    "photos/crater.jpg": ("月面上一个边缘清晰的圆形陨石坑，它的直径有几十公里。", "surrounding"),
    "photos/dahlia.jpg": ("深绿色背景前一朵橙色的大丽花", "figcaption"),
    "photos/dome.jpg": ("草坪尽头的圆顶建筑和一座白色高楼", "alt"),
    "photos/engine.webp": ("摩托车银色发动机的特写", "alt"),
    "photos/galaxies.jpg": ("哈勃望远镜拍摄的深空照片，布满大大小小的星系", "figcaption"),
    "photos/gland.webp": ("一个被染成棕色的圆形腺体", "alt"),
    "photos/grass.png": ("黑白照片里杂乱的草地", "alt"),
    "photos/headlight.jpg": ("摩托车的圆形大灯，背景是堆着纸箱的货架", "alt"),
    "photos/helmet.jpg": ("带黑色面罩的白色航天头盔", "figcaption"),
    "photos/horse.png": ("一匹马的黑色剪影", "alt"),
    "photos/launch-tower.jpg": ("傍晚发射场上的铁塔和灯光", "figcaption"),
    "photos/moon.gif": ("月球表面的环形山", "alt"),
    "photos/motorcycle-right.jpg": ("从右侧机位拍摄的车库里的红色摩托车", "alt"),
    "photos/motorcycle.jpg": ("车库里停着一辆红色摩托车，后面是放满杂物的货架", "alt"),
    "photos/optic-disc.jpg": ("明亮的视盘和从这里伸出的血管", "figcaption"),
    "photos/page.jpg": ("一页印刷的英文文章，标题讲的是区域分割", "alt"),
    "photos/retina.jpg": ("眼底照片，可以看到视盘和血管", "alt"),
    "photos/rocket-close.jpg": ("白色的火箭直立着，顶部是整流罩", "alt"),
    "photos/rocket.jpg": ("夜色里的火箭和发射塔", "alt"),
    "photos/shuttle.jpg": ("竖立的航天飞机模型，带有棕色燃料箱和两枚白色助推器", "figcaption"),
    "photos/tissue.jpg": ("显微镜下经过染色的结肠组织切片", "alt"),
    "photos/tower-roof.jpg": ("佛香阁的琉璃瓦屋顶和彩绘屋檐", "alt"),
    "photos/tower.jpg": ("颐和园的佛香阁，远处是昆明湖", "figcaption"),
    "photos/tripod.jpg": ("草地上支起的三脚架。", "figcaption"),
}
"""Caption and caption type by image: its path on the site, or a data URI.

Images of the folder have the text beside them as caption.
"""

DROPS = (
    ("", "photos/coffee-copy.webp", "near_duplicate"),
    ("", "photos/half-written.jpg", "truncated"),
    ("", "photos/no-caption.jpg", "no_text"),
    ("animals/cat.html", "photos/cat.jpg", "duplicate"),
    ("animals/index.html", "photos/cat-320.jpg", "near_duplicate"),
    ("archive.html", "photos/tower.jpg", "duplicate"),
    ("gallery.html", "photos/coffee.jpg", "duplicate"),
    ("gallery.html", "photos/horse-copy.png", "near_duplicate"),
    ("gallery.html", "static/banner.jpg", "advertisement"),
    ("gallery.html", "static/ornament.png", "no_text"),
    ("index.html", "static/logo.png", "logo"),
    ("news.html", "broken/gone.jpg", "http_status"),
    ("news.html", "broken/half.jpg", "truncated"),
    ("news.html", "broken/page.jpg", "not_image"),
    ("noai.html", "photos/logo.png", "opt_out"),
    ("science/eye.html", "photos/retina-half.jpg", "near_duplicate"),
    ("shop/sale.html", "shop/camera.jpg", "boilerplate"),
    ("shop/sale.html", "shop/coffee.jpg", "no_han"),
    ("shop/sale.html", "shop/coins.jpg", "blocklist"),
    ("shop/sale.html", "shop/wheel.jpg", "contact_info"),
    ("space/rocket.html", "photos/rocket.jpg", "duplicate"),
    ("travel/summer-palace.html", "photos/tower.jpg", "duplicate"),
)
"""Page, image and drop reason of each dropped candidate; those of the folder have no page."""
