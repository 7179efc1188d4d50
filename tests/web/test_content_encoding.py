"""Encoded bodies that decode to next to nothing, or that are made of many pieces."""

import gzip
import os
import random
import struct
import time
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from wenlan_data.records import Drop
from wenlan_data.web.content_encoding import Decoder, EncodingError, decoder_for

MIB = 1 << 20
RANDOM: bytes = random.Random(3).randbytes(2 * MIB)
PAGE = b"<html>" + os.urandom(100_000).hex().encode()


def made(label: str) -> Decoder:
    decoder = decoder_for(label)
    assert decoder is not None
    assert not isinstance(decoder, Drop)
    return decoder


def with_field(flag: int, field: bytes, content: bytes = PAGE) -> bytes:
    """A gzip file with a header field."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = packer.compress(content) + packer.flush()
    end = struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08" + bytes((flag,)) + bytes(4) + b"\0\x03" + field + deflated + end


def brotli_metadata(size: int) -> bytes:
    """Window bits, then one metadata block of `size` bytes (RFC 7932, 9.2)."""
    # WBITS 16 (0), ISLAST 0, MNIBBLES 0 (11), reserved 0, MSKIPBYTES 3 (11), then the length.
    bits = 0 | 0 << 1 | 0b11 << 2 | 0 << 4 | 0b11 << 5 | (size - 1) << 7
    return bits.to_bytes(4, "little") + bytes(size)


def zstd_skippable(size: int) -> bytes:
    return struct.pack("<II", 0x184D2A50, size) + bytes(size)


SILENT: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a name of 5 MB": ("gzip", lambda: with_field(8, b"x" * 5 * MIB + b"\0")),
    "a name without an end": ("gzip", lambda: with_field(8, b"x" * 5 * MIB)),
    "a comment of 5 MB": ("gzip", lambda: with_field(16, b"x" * 5 * MIB + b"\0")),
    "name and comment of 300 kB": (
        "gzip",
        lambda: with_field(24, (b"x" * 300_000 + b"\0") * 2),
    ),
    "80 empty members with the largest extra field": (
        "gzip",
        lambda: with_field(4, struct.pack("<H", 65_535) + bytes(65_535), b"") * 80,
    ),
    "250,000 empty members": ("gzip", lambda: gzip.compress(b"") * 250_000),
    "250,000 members of one byte": ("gzip", lambda: gzip.compress(b"x") * 250_000),
    "a million empty blocks": (
        "gzip",
        lambda: b"\x1f\x8b\x08" + bytes(6) + b"\x03" + b"\0\0\0\xff\xff" * 1_000_000,
    ),
    "a million empty blocks of zlib": (
        "deflate",
        lambda: b"\x78\x9c" + b"\0\0\0\xff\xff" * 1_000_000,
    ),
    "a million empty blocks of deflate": ("deflate", lambda: b"\0\0\0\xff\xff" * 1_000_000),
    "metadata of brotli": ("br", lambda: brotli_metadata(5 * MIB)),
    "a skippable frame of zstd": ("zstd", lambda: zstd_skippable(5 * MIB)),
    "many skippable frames of zstd": ("zstd", lambda: zstd_skippable(8) * 300_000),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SILENT)
@pytest.mark.parametrize("piece_bytes", [1 << 16, 1 << 30])
def test_a_body_of_next_to_nothing_is_refused_before_its_end(name: str, piece_bytes: int) -> None:
    label, make = SILENT[name]
    data, decoder = make(), made(label)
    decoded, started = 0, time.process_time()

    def feed_all() -> None:
        nonlocal decoded
        for start in range(0, len(data), piece_bytes):
            decoded += len(decoder.feed(data[start : start + piece_bytes], 10 * MIB))

    try:
        feed_all()
    except EncodingError:
        pass
    else:
        # zstd ends at its first frame, and what follows is noticed.
        assert decoder.trailing or not decoder.finished
        assert decoded == 0
    assert decoded < 10_000
    assert time.process_time() - started < 5


USUAL: dict[str, tuple[str, Callable[[], bytes], bytes]] = {
    "a name and a comment": ("gzip", lambda: with_field(24, b"page.html\0hello\0"), PAGE),
    "the largest extra field": (
        "gzip",
        lambda: with_field(4, struct.pack("<H", 65_535) + bytes(65_535)),
        PAGE,
    ),
    "300 members": ("gzip", lambda: gzip.compress(PAGE[:1000]) * 300, PAGE[:1000] * 300),
    "members with an empty one between": (
        "gzip",
        lambda: gzip.compress(b"a") + gzip.compress(b"") + gzip.compress(b"b"),
        b"ab",
    ),
    "zeros after the end": ("gzip", lambda: gzip.compress(PAGE) + bytes(600_000), PAGE),
    "2 MB that do not compress": ("gzip", lambda: gzip.compress(RANDOM), b""),
    "brotli of 2 MB that do not compress": ("br", lambda: brotli.compress(RANDOM, quality=3), b""),
    "zstd of 2 MB that do not compress": (
        "zstd",
        lambda: zstandard.ZstdCompressor(9).compress(RANDOM),
        b"",
    ),
    "brotli of 8 MB of one letter": (
        "br",
        lambda: brotli.compress(b"x" * 8 * MIB, quality=3),
        b"x" * 8 * MIB,
    ),
    "zstd of 8 MB of one letter": (
        "zstd",
        lambda: zstandard.ZstdCompressor().compress(b"x" * 8 * MIB),
        b"x" * 8 * MIB,
    ),
}


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize("piece_bytes", [1000, 1 << 30])
def test_a_usual_body_is_decoded_whole_in_any_pieces(name: str, piece_bytes: int) -> None:
    label, make, content = USUAL[name]
    data, decoder, out = make(), made(label), bytearray()
    for start in range(0, len(data), piece_bytes):
        out += decoder.feed(data[start : start + piece_bytes], 10 * MIB + 1 - len(out))
    assert bytes(out) == (content or RANDOM)
    assert decoder.finished
    assert not decoder.trailing


@pytest.mark.parametrize(
    "label", ["\udcff\udcfe", "gzip\udc80", "é", "x" * 10_000, "\udcff" * 10_000]
)
def test_the_drop_of_any_label_can_be_written(label: str) -> None:
    drop = decoder_for(label)
    assert isinstance(drop, Drop)
    drop.detail.encode()
