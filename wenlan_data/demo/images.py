"""Image files of the demo by path: those that the site serves, and those in the folder."""

from dataclasses import dataclass

from wenlan_data.demo.captions import IMAGES

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
"""Names of the images in the folder."""
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
_CHANGES = {"headlight": "turned_by_exif", "tower-roof": "cmyk"}


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that is derived from an image of the demo."""

    image: str
    """Name in `IMAGES`."""
    change: str = "encode"
    """Change of the image before it is encoded: a case of `site._change`."""


SITE = {
    **{
        f"photos/{name}.{_SUFFIXES.get(name, 'jpg')}": ImageFile(name, _CHANGES.get(name, "encode"))
        for name in IMAGES
        if name not in {*IN_FOLDER, "lake", "colour-wheel"}
    },
    "lake.jpg": ImageFile("lake"),
    "photos/flag.jpg": ImageFile("flag"),
    "photos/rocket-320.jpg": ImageFile("rocket", "half"),
    "photos/rocket-480.jpg": ImageFile("rocket", "shrunk"),
    "photos/cat-320.jpg": ImageFile("cat", "half"),
    "photos/coffee-320.jpg": ImageFile("coffee", "half"),
    "photos/dahlia-320.jpg": ImageFile("dahlia", "half"),
    "photos/retina-half.jpg": ImageFile("retina", "half"),
    "photos/horse-copy.png": ImageFile("horse", "shrunk"),
    "photos/cat-nose-small.jpg": ImageFile("cat-nose", "half"),
    "static/logo.png": ImageFile("logo", "icon"),
    "static/ornament.png": ImageFile("petals", "icon"),
    "static/blank.gif": ImageFile("brick", "dot"),
    "static/banner.jpg": ImageFile("galaxies", "banner"),
    "broken/half.jpg": ImageFile("brick", "truncated"),
    "broken/page.jpg": ImageFile("brick", "html"),
    "shop/wheel.jpg": ImageFile("rear-wheel"),
    "shop/camera.jpg": ImageFile("tripod"),
    "shop/coins.jpg": ImageFile("coins-top"),
    "shop/coffee.jpg": ImageFile("spoon"),
}
"""File by path on the site, the pages not included."""

FOLDER: dict[str, tuple[ImageFile, str | None]] = {
    **{f"{name}.jpg": (ImageFile(name), IMAGES[name].caption) for name in IN_FOLDER},
    "coffee-copy.webp": (ImageFile("coffee", "half"), IMAGES["coffee"].caption),
    "half-written.jpg": (ImageFile("brick", "truncated"), IMAGES["brick"].caption),
    "no-caption.jpg": (ImageFile("brick"), None),
}
"""File and text by path in `photos/`; without a text there is no .txt beside the file."""
