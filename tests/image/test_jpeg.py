import io
import struct

from PIL import Image, ImageCms

from wenlan_data.image.jpeg import JpegHeader, check_segments, read_header, strip_metadata
from wenlan_data.records import Drop
from wenlan_data.testing import make_image


def header_of(data: bytes) -> JpegHeader:
    header = read_header(data)
    assert isinstance(header, JpegHeader)
    return header


def saved(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def test_header_tells_size_components_and_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    header = header_of(saved(Image.new("L", (30, 20)), exif=exif, progressive=True))
    assert (header.width, header.height, header.components, header.precision_bits) == (30, 20, 1, 8)
    assert (header.orientation, header.frame, header.icc) == (8, 0xC2, b"")


def test_a_profile_in_several_pieces_is_joined() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(150_000)
    data = saved(Image.new("RGB", (8, 8)), icc_profile=profile)
    assert header_of(data).icc == profile
    stripped = strip_metadata(data)
    assert stripped is not None
    assert header_of(stripped).icc == profile


def test_a_profile_with_a_missing_piece_is_none() -> None:
    piece = b"ICC_PROFILE\0" + bytes([2, 2]) + b"rest"
    data = saved(Image.new("RGB", (8, 8)))
    data = data[:2] + b"\xff\xe2" + struct.pack(">H", len(piece) + 2) + piece + data[2:]
    assert header_of(data).icc == b""


def test_a_header_cut_anywhere_is_a_drop_or_none_at_all() -> None:
    data = make_image(1)
    start = data.index(b"\xff\xda")
    for length in range(2, start + 4):
        assert isinstance(read_header(data[:length]), Drop)


def test_scans_are_counted_outside_of_metadata_only() -> None:
    data = make_image(1)
    comment = b"\xff\xda" * 200
    data = data[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + data[2:]
    assert check_segments(data) is None
    assert check_segments(saved(Image.new("RGB", (64, 64)), progressive=True)) is None


def test_metadata_and_bytes_after_the_end_are_removed() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x010E] = "description"
    plain = Image.open(io.BytesIO(make_image(2)))
    data = saved(
        plain, exif=exif, comment=b"secret comment", xmp=b"<x:xmpmeta/>", dpi=(72, 72), quality=85
    )
    data = data[:2] + b"\xff\xed\x00\x10Photoshop 3.0\0" + data[2:]
    bare = strip_metadata(data + b"PK\x03\x04 and more")
    assert bare is not None
    assert bare.endswith(b"\xff\xd9")
    for gone in (b"Exif", b"description", b"secret", b"xmpmeta", b"Photoshop", b"PK\x03\x04"):
        assert gone not in bare
    assert bare[6:11] == b"JFIF\0"
    assert strip_metadata(bare) == bare


def test_a_thumbnail_in_the_jfif_segment_is_removed() -> None:
    data = make_image(3)
    assert data[2:4] == b"\xff\xe0"
    fat = b"JFIF\0\x01\x01\0\0\x01\0\x01\x02\x01" + b"RGBRGB"
    data = data[:2] + b"\xff\xe0" + struct.pack(">H", len(fat) + 2) + fat + data[20:]
    bare = strip_metadata(data)
    assert bare is not None
    assert b"RGBRGB" not in bare
    Image.open(io.BytesIO(bare)).load()


def test_the_second_image_of_an_mpo_is_removed() -> None:
    first, second = (Image.open(io.BytesIO(make_image(seed))) for seed in (1, 2))
    out = io.BytesIO()
    first.save(out, "MPO", save_all=True, append_images=[second])
    bare = strip_metadata(out.getvalue())
    assert bare is not None
    assert bare.count(b"\xff\xd9") == 1
    assert b"MPF\0" not in bare


def test_a_file_without_its_end_mark_gives_none() -> None:
    assert strip_metadata(make_image(1)[:-2]) is None
