"""Cases 118 to 132, 138 to 140, 143, 145 and 146: images that are bombs, truncated, corrupt, or of
another type."""

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

from tests.web.hostile.cases import QUICK, Case, Run, fetch_part
from tests.web.hostile.web import Answer, Web, ok
from wenlan_data.image.hash import grey_thumbnail, perceptual_hashes
from wenlan_data.image.normalise import normalise, srgb_pixels
from wenlan_data.testing import make_image
from wenlan_data.web.blocklists import Blocklists
from wenlan_data.web.limits import HostLimits

GOOD = make_image(1)
MIB = 1 << 20


def chunk(name: bytes, body: bytes) -> bytes:
    """Returns a chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, kind: int = 6) -> bytes:
    """Returns a PNG whose header declares more pixels than it holds."""
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000), 0))
        + chunk(b"IEND", b"")
    )


def png_with(name: bytes, body: bytes) -> bytes:
    """Returns a valid PNG with one more chunk after its header."""
    data = make_image(1, kind="PNG")
    return data[:33] + chunk(name, body) + data[33:]


def zeros(mebibytes: int) -> bytes:
    """Returns compressed zeros."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(mebibytes)) + packer.flush()


def scans(count: int) -> bytes:
    """Returns a progressive JPEG whose last scan is repeated `count` times."""
    data = saved("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + b"\xff\xd9"


def saved(kind: str, mode: str = "RGB", **more: object) -> bytes:
    """Returns the valid image in another format."""
    out = io.BytesIO()
    Image.open(io.BytesIO(GOOD)).convert(mode).save(out, kind, **more)
    return out.getvalue()


def animated(kind: str, frames: int = 4) -> bytes:
    """Returns an animation."""
    first, *rest = (
        Image.open(io.BytesIO(make_image(n))).convert("RGB") for n in range(1, frames + 1)
    )
    out = io.BytesIO()
    first.save(out, kind, save_all=True, append_images=rest)
    return out.getvalue()


def many_frames() -> bytes:
    """Returns a GIF of 300,000 frames, 7 MB."""
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0"
    return saved("GIF", "P")[:-1] + frame * 300_000 + b"\x3b"


def exif_loop() -> bytes:
    """Returns a JPEG with EXIF whose directory names itself as the next one, and as its own
    sub-directory."""
    tiff = (
        b"II*\0"
        + struct.pack("<IH", 8, 5000)
        + struct.pack("<HHII", 0x8769, 4, 1, 8) * 5000
        + struct.pack("<I", 8)
    )
    return with_segment(0xE1, (b"Exif\0\0" + tiff)[:65_000])


def with_segment(marker: int, content: bytes, times: int = 1) -> bytes:
    """Returns the valid JPEG with segments after its start marker."""
    return (
        GOOD[:2]
        + (bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content) * times
        + GOOD[2:]
    )


def archive() -> bytes:
    """Returns a ZIP with a script."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("payload.js", "alert(1)" * 500)
    return out.getvalue()


def frame_of(marker: int, precision: int = 8) -> bytes:
    """Returns the valid JPEG with a header that states another coding."""
    at = GOOD.index(b"\xff\xc0")
    return (
        GOOD[:at]
        + bytes([0xFF, marker])
        + GOOD[at + 2 : at + 4]
        + bytes([precision])
        + GOOD[at + 5 :]
    )


def images(number: int, does: str, outcome: str, *bodies: bytes, **more: object) -> Case:
    """Returns a case of images under correct headers."""
    answers: dict[str, Answer] = {
        f"/{n}.jpg": ok(body, "Content-Type: image/jpeg") for n, body in enumerate(bodies)
    }
    return Case(
        number=number,
        does=does,
        outcome=outcome,
        answers=answers,
        paths=tuple(answers),
        **more,  # type: ignore[arg-type]
    )


def _stored_is_clean(run: Run) -> None:
    """Checks that what goes into a shard has nothing after its end marker."""
    warc = (run.out / "images.warc").read_bytes()
    for row in run.rows:
        start = int(str(row["warc_offset"]))
        data = warc[start : start + int(str(row["bytes"]))]
        stored = normalise(data, max_side_px=1024, jpeg_quality=92).jpeg
        assert stored.endswith(b"\xff\xd9")
        assert not any(word in stored for word in (b"alert(1)", b"<script", b"PK\x03\x04"))


def _hashes_are_recorded(run: Run) -> None:
    assert len({row["sha256"] for row in run.rows}) == len(run.rows)


def _flipped(bits: int) -> list[bytes]:
    found = []
    for n in range(bits):
        data = bytearray(GOOD)
        data[len(data) // 2 + n * 37] ^= 1 << n % 8
        found.append(bytes(data))
    return found


def _changing(folder: Path) -> str:
    """Checks that the digest of the fetched bytes is recorded, so that a second fetch of other
    bytes differs."""
    with Web() as web:
        host = web.host({"/a.jpg": [ok(make_image(n)) for n in range(1, 4)]})
        seen = []
        for n in range(2):
            out = folder / str(n) / "out"
            out.mkdir(parents=True)
            fetch_part(
                folder / str(n), [host.url("/a.jpg")], {host.name: HostLimits(min_gap_s=0)}, QUICK
            )(out)
            seen += pq.read_table(out / "facts.parquet")["sha256"].to_pylist()
        agents = {one.head.partition(b"User-Agent: ")[2].partition(b"\r")[0] for one in host.log}
        assert len(agents) == 1
        assert not any(b"Referer" in one.head for one in host.log)
        return "ok" if len(set(seen)) == 2 else "not distinguished"


def _blocked(folder: Path) -> str:
    """Checks that an image on a list, by digest or by PDQ, leaves nothing on disk but one row."""
    by_digest, by_look = make_image(11), make_image(12)
    again = io.BytesIO()
    Image.open(io.BytesIO(by_look)).save(again, "JPEG", quality=60)
    pdq = perceptual_hashes(grey_thumbnail(srgb_pixels(by_look)))[1]
    (folder / "sha256.txt").write_text("# ours\n" + _digest(by_digest) + "\n")
    (folder / "pdq.txt").write_text(pdq.hex() + " # seen in spring\n")
    with Web() as web:
        host = web.host(
            {"/a.jpg": ok(by_digest), "/b.jpg": ok(again.getvalue()), "/c.jpg": ok(by_look[:5000])}
        )
        urls = [host.url(path) for path in ("/a.jpg", "/b.jpg", "/c.jpg")]
        part = fetch_part(folder, urls, {host.name: HostLimits(min_gap_s=0)}, QUICK)
        out = folder / "out"
        out.mkdir()
        lists = Blocklists(sha256=str(folder / "sha256.txt"), pdq=str(folder / "pdq.txt"))
        replace(part, politeness=replace(part.politeness, blocklists=lists))(out)
    rows = pq.read_table(out / "facts.parquet").to_pylist()
    assert (out / "images.warc").stat().st_size == 0
    assert [(row["reason"], row["detail"]) for row in rows[:2]] == [
        ("excluded", "sha256"),
        ("excluded", "pdq"),
    ]
    assert rows[2]["reason"] == "truncated"
    assert rows[2]["warc_offset"] == -1
    return str(rows[0]["reason"])


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _broken_files() -> Sequence[bytes]:
    """Returns corrupted files of every format, like those in the tests of Pillow. Whatever their
    outcome is, none may crash the worker."""
    found = []
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        data = bytearray(saved(kind, "P" if kind == "GIF" else "RGB"))
        for seed in range(6):
            broken = bytearray(data)
            for step in range(40):
                broken[(seed * 7919 + step * 104_729) % len(broken)] ^= (
                    seed * 31 + step * 17
                ) % 255 + 1
            found.append(bytes(broken))
    return found


def _worker_lives(folder: Path) -> str:
    with Web() as web:
        bodies = _broken_files()
        host = web.host(
            {f"/{n}.jpg": ok(body) for n, body in enumerate(bodies)} | {"/good.jpg": ok(GOOD)}
        )
        urls = [*(host.url(f"/{n}.jpg") for n in range(len(bodies))), host.url("/good.jpg")]
        out = folder / "out"
        out.mkdir()
        fetch_part(folder, urls, {host.name: HostLimits(min_gap_s=0)}, QUICK)(out)
        reasons = pq.read_table(out / "facts.parquet")["reason"].to_pylist()
        assert len(reasons) == len(urls)
        return reasons[-1] or "ok"


ONE_PIXEL = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"

CASES = [
    images(118, "sends an image of one pixel", "too_few_bytes", ONE_PIXEL),
    images(119, "sends nothing", "empty_body", b""),
    images(120, "sends a PNG of 60,000 squared", "too_large", png(60_000, 60_000)),
    images(121, "sends a PNG of 13,000 squared", "too_large", png(13_000, 13_000)),
    images(
        122,
        "sends 38 bytes of WebP that claim 16,383 squared",
        "too_large",
        b"RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0\x2f"
        + struct.pack("<I", 16_382 | 16_382 << 14)
        + bytes(3000),
    ),
    images(123, "sends a JPEG of 1,000 scans", "too_large", scans(1000)),
    images(124, "sends a GIF of 300,000 frames: the first counts", "ok", many_frames()),
    images(125, "sends an animated WebP: the first frame counts", "ok", animated("WEBP")),
    images(
        126,
        "sends a PNG with 1 GB of text, and of profile",
        "too_large",
        png_with(b"zTXt", b"Comment\0\0" + zeros(1024)),
        png_with(b"iCCP", b"icc\0\0" + zeros(1024)),
    ),
    images(
        127,
        "sends EXIF that names itself, and 6 MB of XMP",
        "ok",
        exif_loop(),
        with_segment(0xE1, bytes(65_000), 100),
    ),
    images(
        128,
        "cuts images of every format",
        "truncated",
        *(
            data[: len(data) * 2 // 3]
            for data in (GOOD, saved("PNG"), saved("WEBP"), saved("GIF", "P"))
        ),
    ),
    images(
        129,
        "flips bits of a JPEG: it may be kept, under its own digest",
        "ok",
        *_flipped(8),
        check=_hashes_are_recorded,
    ),
    images(
        130,
        "sends something else than an image as image/jpeg",
        "not_image",
        b"<!doctype html><html>" + b" " * 3000,
        b'{"image": "' + b"x" * 3000 + b'"}',
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>" + b" " * 3000,
        b"%PDF-1.7\n" + bytes(3000),
        b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(3000),
        b"\0\0\0\x18ftypmp42" + bytes(3000),
    ),
    images(130, "sends TIFF and ICO as image/jpeg", "format", saved("TIFF"), saved("ICO")),
    Case(
        number=131,
        does="sends JPEGs as text, and without a type",
        outcome="ok",
        answers={
            "/0.jpg": ok(GOOD, "Content-Type: text/html"),
            "/1.jpg": ok(make_image(2)),
            "/2": ok(make_image(3), "Content-Type: x"),
        },
        paths=("/0.jpg", "/1.jpg", "/2"),
    ),
    images(
        132,
        "sends files of two formats at once: the image is kept, the rest removed",
        "ok",
        GOOD + archive(),
        GOOD + b"<html><script>alert(1)</script>",
        saved("GIF", "P") + b"*/=1;alert(1)//",
        with_segment(0xFE, b"<script>alert(1)</script><!--"),
        check=_stored_is_clean,
    ),
    images(138, "sends a progressive JPEG", "ok", saved("JPEG", progressive=True)),
    images(
        138, "sends 12 bits, and lossless coding", "undecodable", frame_of(0xC1, 12), frame_of(0xC3)
    ),
    images(139, "sends AVIF, which is off by default", "format", saved("AVIF")),
    images(
        140,
        "sends APNG, and an interlaced PNG",
        "ok",
        animated("PNG"),
        saved("PNG", interlace=True),
    ),
    Case(number=143, does="sends other bytes each time", outcome="ok", own=_changing),
    Case(
        number=145,
        does="sends images that the operator's lists name",
        outcome="excluded",
        own=_blocked,
    ),
    Case(
        number=146,
        does="sends files that were corrupted to crash decoders",
        outcome="ok",
        own=_worker_lives,
    ),
]
