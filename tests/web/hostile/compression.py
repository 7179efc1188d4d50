"""Cases 50 to 58: bodies that expand to something else than they seem."""

import gzip
import zlib
from collections.abc import Callable
from functools import cache

import brotli
import zstandard

from tests.web.hostile.cases import Case, Run
from tests.web.hostile.web import ok

MIB = 1 << 20
PAGE = b"<!doctype html><html><title>t</title><img src=/1.jpg alt='\xe6\xa1\xa5'></html>"
TYPE = "Content-Type: text/html"


@cache
def bomb(name: str, mebibytes: int = 1024) -> bytes:
    """Returns the start of a page and then zeros, compressed."""
    start = PAGE + b" " * 1000
    if name == "br":
        packer = brotli.Compressor(quality=1)
        pieces: list[bytes] = [
            packer.process(start),
            *(packer.process(bytes(MIB)) for _ in range(mebibytes)),
        ]
        return b"".join([*pieces, packer.finish()])
    if name == "zstd":
        zstd = zstandard.ZstdCompressor().compressobj()
        return (
            b"".join([zstd.compress(start), *(zstd.compress(bytes(MIB)) for _ in range(mebibytes))])
            + zstd.flush()
        )
    packer_z = zlib.compressobj(9, wbits=31 if name == "gzip" else 15)
    return (
        b"".join(
            [packer_z.compress(start), *(packer_z.compress(bytes(MIB)) for _ in range(mebibytes))]
        )
        + packer_z.flush()
    )


def encoded(body: bytes, label: str) -> bytes:
    """Returns a page under a `Content-Encoding`."""
    return ok(body, TYPE, f"Content-Encoding: {label}")


def _page(
    number: int,
    does: str,
    outcome: str,
    *answers: bytes,
    check: "Callable[[Run], None] | None" = None,
) -> Case:
    listed = {f"/{n}": answer for n, answer in enumerate(answers)}
    return Case(
        number=number,
        does=does,
        outcome=outcome,
        answers=listed,
        paths=tuple(listed),
        pages=True,
        check=check,
    )


def _decoded_and_flagged(run: Run) -> None:
    assert run.links == []
    assert [getattr(one, "url", "") for one in run.candidates()] == [run.host.url("/1.jpg")] * 3
    warc = (run.out / "pages.warc").read_bytes()
    assert warc.count(b"X-Crawler-Note: bytes after the end of its encoding") == 1
    assert b"\r\nContent-Encoding:" not in warc


def _plain_and_encoded(run: Run) -> None:
    assert [getattr(one, "url", "") for one in run.candidates()] == [run.host.url("/1.jpg")] * len(
        run.rows
    )


BARE = zlib.compressobj(wbits=-15)
BARE_DEFLATE = BARE.compress(PAGE) + BARE.flush()

CASES = [
    _page(50, "sends a gzip bomb of 1 GiB", "too_large", encoded(bomb("gzip"), "gzip")),
    _page(
        51,
        "sends a bomb in two layers of gzip",
        "encoding",
        encoded(gzip.compress(bomb("gzip")), "gzip, gzip"),
    ),
    _page(
        51,
        "hides the second layer",
        "not_html",
        ok(gzip.compress(bomb("gzip")), "Content-Encoding: gzip"),
    ),
    _page(52, "sends a brotli bomb", "too_large", encoded(bomb("br"), "br")),
    _page(53, "sends a zstd bomb", "too_large", encoded(bomb("zstd"), "zstd")),
    _page(54, "sends a deflate bomb", "too_large", encoded(bomb("deflate"), "deflate")),
    _page(
        55,
        "labels plain bytes as encoded",
        "encoding",
        *(encoded(PAGE, label) for label in ("gzip", "br", "zstd")),
    ),
    _page(
        56,
        "cuts an encoded body",
        "short_body",
        *(
            encoded(body[: len(body) * 2 // 3], label)
            for body, label in (
                (gzip.compress(PAGE * 50), "gzip"),
                (zlib.compress(PAGE * 50), "deflate"),
                (brotli.compress(PAGE * 50), "br"),
                (zstandard.compress(PAGE * 50), "zstd"),
            )
        ),
    ),
    _page(
        57,
        "uses an encoding that nobody knows, and five at once",
        "encoding",
        encoded(PAGE, "compress"),
        encoded(PAGE, "gzip, deflate, br, zstd, gzip"),
        encoded(PAGE, "x" * 500),
    ),
    _page(
        58,
        "sends gzip in several members, with zeros and with rubbish after them",
        "ok",
        encoded(gzip.compress(PAGE[:40]) + gzip.compress(PAGE[40:]), "gzip"),
        encoded(gzip.compress(PAGE) + bytes(100), "gzip"),
        encoded(gzip.compress(PAGE) + b"rubbish", "gzip"),
        check=_decoded_and_flagged,
    ),
    _page(
        58,
        "sends a page in each encoding as it should be",
        "ok",
        encoded(PAGE, "identity"),
        encoded(gzip.compress(PAGE), "x-gzip"),
        encoded(zlib.compress(PAGE), "deflate"),
        encoded(BARE_DEFLATE, "Deflate"),
        encoded(brotli.compress(PAGE), "br"),
        encoded(zstandard.compress(PAGE), "zstd"),
        check=_plain_and_encoded,
    ),
]
