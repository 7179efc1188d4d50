"""Makes the demo's site and folder from photographs that scikit-image and scikit-learn ship."""

import csv
import importlib.util
import io
from pathlib import Path

from PIL import Image

from wenlan_data.demo.captions import PICTURES
from wenlan_data.demo.rows import FOLDER, TABLE, Row
from wenlan_data.errors import UsageError

_FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}
_ROBOTS = "User-agent: *\nDisallow: /private/\n"
_ERROR_PAGE = (
    "<!DOCTYPE html><html><head><title>404</title></head><body>" + "<p>您访问的图片不存在</p>" * 100 + "</body></html>"
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
            raise UsageError(f"the demo's photographs need the package {package}: pip install 'wenlan-data[demo]'")
        found |= {path.name: path for path in (Path(spec.submodule_search_locations[0]) / folder).iterdir()}
    missing = sorted({picture.photo for picture in PICTURES.values()} - set(found))
    if missing:
        raise UsageError(f"scikit-image here ships no {missing[0]}: pip install --upgrade 'wenlan-data[demo]'")
    return found


def write_site(root: Path, host: str, table: Path) -> None:
    """Every file that the table's rows point to under `root`, robots.txt, and the table, for `host`."""
    photos = photo_paths()
    for row in TABLE:
        _write(root, row, photos)
    (root / "robots.txt").write_text(_ROBOTS, encoding="utf-8")
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["url", "text"])
        writer.writerows([url_of(row, host), row.text] for row in TABLE)


def write_folder(root: Path) -> None:
    """The pictures of the folder, each with its .txt beside it."""
    photos = photo_paths()
    for row in FOLDER:
        _write(root, row, photos)
        if row.text is not None:
            (root / row.path).with_suffix(".txt").write_text(row.text + "\n", encoding="utf-8")


def url_of(row: Row, host: str) -> str:
    """The address that the table holds for the row."""
    return row.path if not row.path or "://" in row.path else f"http://{host}/{row.path}"


def _write(root: Path, row: Row, photos: dict[str, Path]) -> None:
    if row.change == "nothing":
        return
    # What moved is served from where it lies now.
    path = root / row.path.removeprefix("moved/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_bytes_of(row, photos))


def _bytes_of(row: Row, photos: dict[str, Path]) -> bytes:
    picture = PICTURES[row.picture]
    source = photos[picture.photo]
    suffix = Path(row.path).suffix
    if row.change == "encode" and picture.box is None and source.suffix == suffix:
        return source.read_bytes()
    with Image.open(source) as opened:
        image = opened.crop(picture.box) if picture.box else opened.copy()
    return _changed(image, row.change, suffix)


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
        case "plain":
            return encode(Image.new("RGB", (200, 200), (200, 200, 200)), suffix)
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
