"""What the demo's table and folder hold, row by row, and what a build makes of each: the expected outcome."""

from dataclasses import dataclass

from wenlan_data.demo.captions import PICTURES

SAMPLE = "sample"
TWIN = "twin"
"""Equal bytes at two addresses: the one with the smaller key stays, and keys hang on the port of the run."""
IN_FOLDER = (
    "flag",
    "spoon",
    "coins-top",
    "gravel",
    "horse-head",
    "far-galaxies",
    "snake-head",
    "rear-wheel",
    "formulas",
    "tree",
    "macula",
    "petals",
)
_SUFFIXES = {
    "cell": "png",
    "grass": "png",
    "horse": "png",
    "logo": "png",
    "engine": "webp",
    "gland": "webp",
    "moon": "gif",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table, or one file of the folder with its text beside it."""

    path: str
    """Under the site's root (or the folder); a whole URL is taken as it stands; empty for none."""
    picture: str
    """Its name in `PICTURES`."""
    text: str | None
    """None: no .txt lies beside the file."""
    change: str = "encode"
    """What is done to the picture: a function of `material`."""
    becomes: str = SAMPLE
    """`SAMPLE`, `TWIN`, or the reason of its drop row."""
    caption: str = ""
    """The caption in the corpus, where the text rules change the text."""


def _good(name: str, **more: str) -> Row:
    path = f"{name}.{_SUFFIXES.get(name, 'jpg')}"
    return Row(**{"path": path, "picture": name, "text": PICTURES[name].caption, **more})


def _copy(path: str, picture: str, change: str, becomes: str) -> Row:
    return Row(path=path, picture=picture, text=PICTURES[picture].caption, change=change, becomes=becomes)


def _wrong_text(number: int, text: str, becomes: str) -> Row:
    return Row(path=f"texts/{number}.jpg", picture="coffee", text=text, becomes=becomes)


_ODD_BUT_GOOD = {
    "astronaut-face": _good(
        "astronaut-face",
        text="一位短髮女航天員面帶微笑的特寫",
        caption=PICTURES["astronaut-face"].caption,
    ),
    "dahlia": _good(
        "dahlia",
        text="深绿色背景前一朵<b>橙色</b>的大丽花&nbsp;",
        caption=PICTURES["dahlia"].caption,
    ),
    "rocket": _good("rocket", becomes=TWIN),
    "headlight": _good("headlight", change="turned_by_exif"),
    "tower-roof": _good("tower-roof", change="cmyk"),
    "lake": _good("lake", path="moved/lake.jpg"),
}

_GOOD = tuple(_ODD_BUT_GOOD.get(name) or _good(name) for name in PICTURES if name not in IN_FOLDER)

_COPIES = (
    _copy("half/astronaut.jpg", "astronaut", "half", "near_duplicate"),
    _copy("half/retina.jpg", "retina", "half", "near_duplicate"),
    _copy("shrunk/cat.jpg", "cat", "shrunk", "near_duplicate"),
    _copy("shrunk/galaxies.jpg", "galaxies", "shrunk", "near_duplicate"),
    _copy("shrunk/dahlia.png", "dahlia", "shrunk", "near_duplicate"),
    _copy("shrunk/tower.webp", "tower", "shrunk", "near_duplicate"),
    _copy("shrunk/coffee.gif", "coffee", "shrunk", "near_duplicate"),
    _copy("mirror/rocket.jpg", "rocket", "encode", TWIN),
    _copy("galaxies.jpg", "galaxies", "encode", "duplicate"),
    Row(path="dahlia.jpg", picture="dahlia", text="花园里盛开的大丽花", becomes="duplicate"),
)

_BROKEN = (
    _copy("broken/truncated.jpg", "brick", "truncated", "truncated"),
    _copy("broken/error-page.jpg", "brick", "html", "not_image"),
    _copy("broken/missing.jpg", "brick", "nothing", "http_status"),
    _copy("small/icon.jpg", "cat", "icon", "too_small"),
    _copy("small/banner.jpg", "astronaut", "banner", "aspect"),
    _copy("small/plain.png", "brick", "plain", "too_few_bytes"),
    _copy("private/tissue.jpg", "tissue", "encode", "robots"),
    _copy("noai/grass.jpg", "grass", "encode", "opt_out"),
    _copy("http://127.0.0.1:9/router.jpg", "brick", "nothing", "port"),
    Row(path="", picture="brick", text="没有网址的一行", change="nothing", becomes="bad_url"),
    Row(path="texts/0.jpg", picture="coffee", text="", becomes="no_text"),
)

_WRONG_TEXTS = (
    _wrong_text(1, "IMG_2034.JPG", "file_name"),
    _wrong_text(2, "低价出售二手摩托车，联系电话13800138000", "contact_info"),
    _wrong_text(3, "点击查看大图", "boilerplate"),
    _wrong_text(4, "A cup of espresso on a wooden table", "no_han"),
    _wrong_text(5, "木のテーブルの上にあるコーヒーカップの写真", "language"),
    _wrong_text(6, "咖啡咖啡咖啡咖啡咖啡咖啡咖啡咖啡咖啡咖啡", "repetition"),
    _wrong_text(7, "杯", "too_short"),
    _wrong_text(8, "澳门赌场在线开户，注册就送彩金", "blocklist"),
)

TABLE = (*_GOOD, *_COPIES, *_BROKEN, *_WRONG_TEXTS)
"""The rows of `urls.csv`, in order."""

FOLDER = (
    *(_good(name) for name in IN_FOLDER),
    _copy("coffee-copy.webp", "coffee", "half", "near_duplicate"),
    _copy("half-written.jpg", "brick", "truncated", "truncated"),
    Row(path="no-caption.jpg", picture="brick", text=None, becomes="no_text"),
)
"""The pictures of `photos/`, each with its text beside it."""
