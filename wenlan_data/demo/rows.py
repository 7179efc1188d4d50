"""The pictures of the demo: what the site serves and what the folder holds, by path."""

from dataclasses import dataclass

from wenlan_data.demo.captions import PICTURES

IN_FOLDER = (
    *(
        "flag",
        "spoon",
        "coins-top",
        "gravel",
        "horse-head",
        "far-galaxies",
        "snake-head",
        "rear-wheel",
        "formulas",
    ),
    *("tree", "macula", "petals"),
)
_SUFFIXES = {
    "cell": "png",
    "grass": "png",
    "horse": "png",
    "logo": "png",
    "engine": "webp",
    "gland": "webp",
    "cat-nose": "webp",
    "moon": "gif",
}
_CHANGED = {"headlight": "turned_by_exif", "tower-roof": "cmyk"}


@dataclass(frozen=True, slots=True)
class Made:
    """A file that is made from a picture."""

    picture: str
    """Its name in `PICTURES`."""
    change: str = "encode"
    """What is done to it: a function of `material`."""


SITE = {
    **{
        f"photos/{name}.{_SUFFIXES.get(name, 'jpg')}": Made(name, _CHANGED.get(name, "encode"))
        for name in PICTURES
        if name not in {*IN_FOLDER, "lake", "colour-wheel"}
    },
    "lake.jpg": Made("lake"),
    "photos/flag.jpg": Made("flag"),
    "photos/rocket-320.jpg": Made("rocket", "half"),
    "photos/rocket-480.jpg": Made("rocket", "shrunk"),
    "photos/cat-320.jpg": Made("cat", "half"),
    "photos/coffee-320.jpg": Made("coffee", "half"),
    "photos/dahlia-320.jpg": Made("dahlia", "half"),
    "photos/retina-half.jpg": Made("retina", "half"),
    "photos/horse-copy.png": Made("horse", "shrunk"),
    "photos/cat-nose-small.jpg": Made("cat-nose", "half"),
    "static/logo.png": Made("logo", "icon"),
    "static/ornament.png": Made("petals", "icon"),
    "static/blank.gif": Made("brick", "dot"),
    "static/banner.jpg": Made("galaxies", "banner"),
    "broken/half.jpg": Made("brick", "truncated"),
    "broken/page.jpg": Made("brick", "html"),
    "shop/wheel.jpg": Made("rear-wheel"),
    "shop/camera.jpg": Made("tripod"),
    "shop/coins.jpg": Made("coins-top"),
    "shop/coffee.jpg": Made("spoon"),
}
"""Path under the site's root to what is served there, besides the pages."""

FOLDER: dict[str, tuple[Made, str | None]] = {
    **{f"{name}.jpg": (Made(name), PICTURES[name].caption) for name in IN_FOLDER},
    "coffee-copy.webp": (Made("coffee", "half"), PICTURES["coffee"].caption),
    "half-written.jpg": (Made("brick", "truncated"), PICTURES["brick"].caption),
    "no-caption.jpg": (Made("brick"), None),
}
"""Path in `photos/` to picture and text; None: no .txt lies beside the file."""
