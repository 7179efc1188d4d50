"""Makes the demo's site and folder from photographs that scikit-image and scikit-learn ship."""

import base64
import importlib.util
import io
from pathlib import Path

from PIL import Image

from wenlan_data.demo.captions import PICTURES
from wenlan_data.demo.rows import FOLDER, SITE, Made
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
_SITEMAP = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset>{listed}</urlset>\n'
_IN_SITEMAP = ("index.html", "archive.html", "private/diary.html")
_ERROR_PAGE = (
    "<!DOCTYPE html><html><head><title>404</title></head><body>"
    + "<p>您访问的图片不存在</p>" * 100
    + "</body></html>"
)
_EXIF_ORIENTATION = 0x0112
_TURN_CLOCKWISE = 6


def photo_paths() -> dict[str, Path]:
    """File name to path of the photographs on this machine.

    Raises `UsageError` where the extra `[demo]` is not installed.
    """
    found: dict[str, Path] = {}
    for package, folder in _FOLDERS.items():
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UsageError(
                f"the demo's photographs need the package {package}: pip install 'wenlan-data[demo]'"
            )
        found |= {
            path.name: path
            for path in (Path(spec.submodule_search_locations[0]) / folder).iterdir()
        }
    missing = sorted({picture.photo for picture in PICTURES.values()} - set(found))
    if missing:
        raise UsageError(
            f"scikit-image here ships no {missing[0]}: pip install --upgrade 'wenlan-data[demo]'"
        )
    return found


def write_site(root: Path, host: str) -> None:
    """Every page and picture of the site under `root`, robots.txt and sitemap.xml, for `host`."""
    photos = photo_paths()
    for path, made in SITE.items():
        _write(root / path, made, photos)
    for name in page_names():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(_page(name, photos))
    (root / "robots.txt").write_text(_ROBOTS.format(host=host), encoding="utf-8")
    listed = "".join(f"<url><loc>http://{host}/{name}</loc></url>" for name in _IN_SITEMAP)
    (root / "sitemap.xml").write_text(_SITEMAP.format(listed=listed), encoding="utf-8")


def write_folder(root: Path) -> None:
    """The pictures of the folder, each with its .txt beside it."""
    photos = photo_paths()
    for path, (made, text) in FOLDER.items():
        _write(root / path, made, photos)
        if text is not None:
            (root / path).with_suffix(".txt").write_text(text + "\n", encoding="utf-8")


def page_names() -> list[str]:
    """The paths of the site's pages, sorted."""
    return sorted(path.relative_to(_PAGES).as_posix() for path in _PAGES.rglob("*.html"))


def _page(name: str, photos: dict[str, Path]) -> bytes:
    """A page as it is served: its head and body in a frame, captions and inline pictures in place, in its encoding."""
    head, _, body = (_PAGES / name).read_text("utf-8").partition("\n\n")
    encoding = "gb18030" if "gb18030" in head else "utf-8"
    html = _FRAME.format(
        meta="" if "charset" in head else '<meta charset="utf-8">\n', head=head, body=body
    )
    for key, picture in PICTURES.items():
        html = html.replace(f"{{{key}}}", picture.caption)
        if f"{{inline:{key}}}" in html:
            data = base64.b64encode(_bytes_of(Made(key), ".jpg", photos)).decode()
            html = html.replace(f"{{inline:{key}}}", f"data:image/jpeg;base64,{data}")
    return html.encode(encoding)


def _write(path: Path, made: Made, photos: dict[str, Path]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_bytes_of(made, path.suffix, photos))


def _bytes_of(made: Made, suffix: str, photos: dict[str, Path]) -> bytes:
    picture = PICTURES[made.picture]
    source = photos[picture.photo]
    if made.change == "encode" and picture.box is None and source.suffix == suffix:
        return source.read_bytes()
    with Image.open(source) as opened:
        image = opened.crop(picture.box) if picture.box else opened.copy()
    return _changed(image, made.change, suffix)


def _changed(image: Image.Image, change: str, suffix: str) -> bytes:
    match change:
        case "half":
            return encode(_scaled(image, 0.5), suffix)
        case "shrunk":
            return encode(_scaled(image, 0.9), suffix, quality=40)
        case "icon":
            return encode(image.resize((64, 64)), suffix, quality=95)
        case "banner":
            return encode(image.crop((0, 0, image.width, image.width // 5)), suffix)
        case "dot":
            return encode(Image.new("RGB", (1, 1), (255, 255, 255)), suffix)
        case "cmyk":
            return encode(image.convert("CMYK"), suffix)
        case "turned_by_exif":
            return _turned_by_exif(image, suffix)
        case "truncated":
            whole = encode(image, suffix)
            return whole[: len(whole) // 2]
        case "html":
            return _ERROR_PAGE.encode()
        case _:
            return encode(image, suffix)


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    size = (int(image.width * factor), int(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def _turned_by_exif(image: Image.Image, suffix: str) -> bytes:
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = _TURN_CLOCKWISE
    return encode(image.transpose(Image.Transpose.ROTATE_90), suffix, exif=exif.tobytes())


def encode(image: Image.Image, suffix: str, quality: int = 90, exif: bytes = b"") -> bytes:
    """The picture as a file of that suffix (.jpg, .png, .webp, .gif)."""
    file = io.BytesIO()
    match suffix:
        case ".jpg":
            ready = image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")
            ready.save(file, "JPEG", quality=quality, exif=exif)
        case ".webp":
            image.convert("RGB").save(file, "WEBP", quality=quality)
        case ".gif":
            image.convert("P", palette=Image.Palette.ADAPTIVE).save(file, "GIF")
        case _:
            image.save(file, "PNG")
    return file.getvalue()
