"""The process that decodes: started by `sandbox.client`, reads pictures and pages from a socket, answers with
what it found.

It imports everything once, then forks; the fork does the work under limits of memory, time and files. When a
picture kills the fork, the parent is told how, and another is forked in a few milliseconds.
"""

import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import NoReturn

from wenlan_data.image.check import check_and_encode, check_image
from wenlan_data.image.normalise import reencode
from wenlan_data.image.rules import ImageRules
from wenlan_data.image.stored_pixels import decode_stored
from wenlan_data.image.thumbnail import thumbnail_jpeg
from wenlan_data.records import Drop
from wenlan_data.sandbox import page_codec as pages
from wenlan_data.sandbox.limits import MAX_CPU_S, MAX_DATA_BYTES, MAX_WALL_S
from wenlan_data.sandbox.protocol import (
    BATCH,
    CHECK,
    DIED,
    DROP,
    FACTS,
    FAULT,
    FOUND,
    IMAGE,
    INLINE_IMAGE,
    LINKS,
    NORMALISE,
    OUT_OF_MEMORY,
    PAIRS,
    PIXELS,
    THUMBNAIL,
    pack_batch,
    pack_facts,
    receive,
    send,
    unpack_batch,
)
from wenlan_data.sandbox.warm_up import warm_up

MAX_REQUESTS = 5_000
"""A fork is replaced after this many, so that what decoders leak never adds up. One may hold several pictures."""
_EXIT_REPLACE = 7


def main() -> NoReturn:
    """Serve the socket whose file descriptor is the first argument, until it is closed at the other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = socket.socket(fileno=int(sys.argv[1]))
    warm_up()
    pages.warm_up()
    # What is loaded stays: the collector need not walk over it, nor touch pages that the forks share.
    gc.collect()
    gc.freeze()
    while True:
        child = os.fork()
        if child == 0:
            _set_limits()
            os._exit(_serve(link))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            os._exit(0)
        if status != _EXIT_REPLACE:
            send(link, DIED, str(status).encode())


def _set_limits() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # The link is open; no other file or socket can be: a decoder that is taken over reaches neither disk nor network.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def _serve(link: socket.socket) -> int:
    for _ in range(MAX_REQUESTS):
        request = receive(link)
        if request is None:
            return 0
        kind, options, data = request
        _start_timers()
        try:
            answer = HANDLERS[kind](options, data)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except Exception as error:  # noqa: BLE001 - the process boundary: the parent raises it
            answer = (FAULT, f"{type(error).__name__}: {error}".encode(), b"")
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        send(link, *answer)
    return _EXIT_REPLACE


def _start_timers() -> None:
    signal.setitimer(signal.ITIMER_REAL, MAX_WALL_S)
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)


def _batch(options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    work, answers = HANDLERS[options[0]], []
    for one in unpack_batch(data):
        _start_timers()
        kind, text, made = work(options[1:], one)
        answers += [bytes([kind]) + text, made]
    return FOUND, b"", pack_batch(answers)


def _check(options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    rules, jpeg_quality = _parse_rules(options)
    # Whoever asks has the digest; a quality of 0 asks for no JPEG.
    if not jpeg_quality:
        facts = check_image(data, rules, sha256="")
        return _drop(facts) if isinstance(facts, Drop) else (FACTS, pack_facts(facts), b"")
    found = check_and_encode(data, rules, jpeg_quality=jpeg_quality, sha256="")
    return _drop(found) if isinstance(found, Drop) else (FACTS, pack_facts(found[0]), found[1])


def _drop(drop: Drop) -> tuple[int, bytes, bytes]:
    return DROP, json.dumps(asdict(drop)).encode(), b""


@cache
def _parse_rules(options: bytes) -> tuple[ImageRules, int]:
    value = json.loads(options)
    jpeg_quality = int(value.pop("jpeg_quality"))
    return ImageRules(**{**value, "formats": tuple(value["formats"])}), jpeg_quality


def _normalise(options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    stored = reencode(data, **json.loads(options))
    if isinstance(stored, Drop):
        return _drop(stored)
    return IMAGE, json.dumps([stored.width, stored.height]).encode(), stored.jpeg


def _pixels(_options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    found = decode_stored(data)
    return (
        _drop(found)
        if isinstance(found, Drop)
        else (IMAGE, json.dumps(found.shape).encode(), found.tobytes())
    )


def _thumbnail(options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    made = thumbnail_jpeg(data, **json.loads(options))
    return (FOUND, b"", b"") if made is None else (IMAGE, b"", made)


def _inline_image(options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    found = pages.extract_inline_image(options, data)
    return (FOUND, b"", b"") if found is None else (IMAGE, b"", found)


HANDLERS: dict[int, Callable[[bytes, bytes], tuple[int, bytes, bytes]]] = {
    CHECK: _check,
    BATCH: _batch,
    NORMALISE: _normalise,
    PIXELS: _pixels,
    PAIRS: lambda options, data: (FOUND, pages.extract_pairs(options, data), b""),
    LINKS: lambda options, data: (FOUND, pages.extract_links(options, data), b""),
    INLINE_IMAGE: _inline_image,
    THUMBNAIL: _thumbnail,
}

if __name__ == "__main__":
    main()
