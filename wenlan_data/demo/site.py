"""Writes the site and the folder of the demo, from photographs of scikit-image and scikit-learn."""

import base64
import importlib.util
import io
from pathlib import Path

from PIL import Image

from wenlan_data.demo.captions import IMAGES
from wenlan_data.demo.images import FOLDER, SITE, ImageFile
from wenlan_data.errors import UsageError

_FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}
_PAGES = Path(__file__).parent / "pages"
_FRAME = """<!DOCTYPE html>
<html lang="zh-CN">
<head>
{meta}{head}
</head>
<body>
{body}<footer><a href="/index.html">首页</a> 版权所有 拾光图志</footer>
</body>
</html>
"""
_ROBOTS = "User-agent: *\nDisallow: /private/\n\nSitemap: http://{host}/sitemap.xml\n"
_SITEMAP = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset>{urls}</urlset>\n'
_IN_SITEMAP = ("index.html", "archive.html", "private/diary.html")
_ERROR_PAGE = (
    "<!DOCTYPE html><html><head><title>404</title></head><body>"
    + "<p>您访问的图片不存在</p>" * 100
    + "</body></html>"
)
_EXIF_ORIENTATION = 0x0112
_ROTATE_CLOCKWISE = 6


def photo_paths() -> dict[str, Path]:
    """Returns the path of each photograph on this machine by file name.

    Raises `UsageError` if the extra `[demo]` is not installed.
    """
    found: dict[str, Path] = {}
    for package, folder in _FOLDERS.items():
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UsageError(
                f"the photographs of the demo come with the package {package}: "
                "pip install 'wenlan-data[demo]'"
            )
        found |= {
            path.name: path
            for path in (Path(spec.submodule_search_locations[0]) / folder).iterdir()
        }
    missing = sorted({image.photo for image in IMAGES.values()} - set(found))
    if missing:
        raise UsageError(
            f"the installed scikit-image lacks {missing[0]}: "
            "pip install --upgrade 'wenlan-data[demo]'"
        )
    return found


def write_site(root: Path, host: str) -> None:
    """Writes the site for `host` (host:port) to `root`: pages, images, robots.txt, sitemap.xml."""
    photos = photo_paths()
    for path, file in SITE.items():
        _write(root / path, file, photos)
    for name in page_names():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(_page(name, photos))
    (root / "robots.txt").write_text(_ROBOTS.format(host=host), encoding="utf-8")
    urls = "".join(f"<url><loc>http://{host}/{name}</loc></url>" for name in _IN_SITEMAP)
    (root / "sitemap.xml").write_text(_SITEMAP.format(urls=urls), encoding="utf-8")


def write_folder(root: Path) -> None:
    """Writes the images of the folder to `root`, with their texts beside them."""
    photos = photo_paths()
    for path, (file, text) in FOLDER.items():
        _write(root / path, file, photos)
        if text is not None:
            (root / path).with_suffix(".txt").write_text(text + "\n", encoding="utf-8")


def page_names() -> list[str]:
    """Returns the paths of the pages on the site, sorted."""
    return sorted(path.relative_to(_PAGES).as_posix() for path in _PAGES.rglob("*.html"))


def _page(path: str, photos: dict[str, Path]) -> bytes:
    """Returns a page as it is served: framed, with captions and data URIs, in its encoding."""
    head, _, body = (_PAGES / path).read_text("utf-8").partition("\n\n")
    encoding = "gb18030" if "gb18030" in head else "utf-8"
    html = _FRAME.format(
        meta="" if "charset" in head else '<meta charset="utf-8">\n', head=head, body=body
    )
    for name, image in IMAGES.items():
        html = html.replace(f"{{{name}}}", image.caption)
        if f"{{inline:{name}}}" in html:
            data = base64.b64encode(_encode_file(ImageFile(name), ".jpg", photos)).decode()
            html = html.replace(f"{{inline:{name}}}", f"data:image/jpeg;base64,{data}")
    return html.encode(encoding)


def _write(path: Path, file: ImageFile, photos: dict[str, Path]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_encode_file(file, path.suffix, photos))


def _encode_file(file: ImageFile, suffix: str, photos: dict[str, Path]) -> bytes:
    """Returns the bytes of a file. An unchanged photograph keeps the bytes that were shipped."""
    captioned = IMAGES[file.image]
    photo = photos[captioned.photo]
    if file.change == "encode" and captioned.box is None and photo.suffix == suffix:
        return photo.read_bytes()
    with Image.open(photo) as opened:
        image = opened.crop(captioned.box) if captioned.box else opened.copy()
    return _change(image, file.change, suffix)


def _change(image: Image.Image, change: str, suffix: str) -> bytes:
    match change:
        case "half":
            return encode(_scale(image, 0.5), suffix)
        case "shrunk":
            return encode(_scale(image, 0.9), suffix, quality=40)
        case "icon":
            return encode(image.resize((64, 64)), suffix, quality=95)
        case "banner":
            return encode(image.crop((0, 0, image.width, image.width // 5)), suffix)
        case "dot":
            return encode(Image.new("RGB", (1, 1), (255, 255, 255)), suffix)
        case "cmyk":
            return encode(image.convert("CMYK"), suffix)
        case "turned_by_exif":
            return _rotate_by_exif(image, suffix)
        case "truncated":
            whole = encode(image, suffix)
            return whole[: len(whole) // 2]
        case "html":
            return _ERROR_PAGE.encode()
        case _:
            return encode(image, suffix)


def _scale(image: Image.Image, factor: float) -> Image.Image:
    size = (int(image.width * factor), int(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def _rotate_by_exif(image: Image.Image, suffix: str) -> bytes:
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = _ROTATE_CLOCKWISE
    return encode(image.transpose(Image.Transpose.ROTATE_90), suffix, exif=exif.tobytes())


def encode(image: Image.Image, suffix: str, quality: int = 90, exif: bytes = b"") -> bytes:
    """Returns the image encoded in the format of a suffix (.jpg, .png, .webp, .gif)."""
    file = io.BytesIO()
    match suffix:
        case ".jpg":
            writable = image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")
            writable.save(file, "JPEG", quality=quality, exif=exif)
        case ".webp":
            image.convert("RGB").save(file, "WEBP", quality=quality)
        case ".gif":
            image.convert("P", palette=Image.Palette.ADAPTIVE).save(file, "GIF")
        case _:
            image.save(file, "PNG")
    return file.getvalue()
