"""The sandbox process: `sandbox.client` starts it; it decodes images and parses pages that come by
a socket.

It imports everything once, then forks. The fork does the work, under limits of memory, time and
files. If an image kills the fork, the first process reports how to the client, and forks again in a
few milliseconds instead of the third of a second that a new interpreter takes.
"""

import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from functools import cache
from typing import NoReturn

from wenlan_data.image.check import check_and_encode, check_image
from wenlan_data.image.normalise import reencode
from wenlan_data.image.rules import ImageRules
from wenlan_data.image.stored_pixels import decode_stored
from wenlan_data.image.thumbnail import thumbnail_jpeg
from wenlan_data.records import Drop
from wenlan_data.sandbox import page_codec, warm_up
from wenlan_data.sandbox.limits import MAX_CPU_S, MAX_DATA_BYTES, MAX_WALL_S
from wenlan_data.sandbox.protocol import (
    BATCH,
    CHECK,
    DIED,
    DROP,
    EXPLAIN,
    FACTS,
    FAULT,
    IMAGE,
    INLINE_IMAGE,
    LINKS,
    NORMALISE,
    OUT_OF_MEMORY,
    PAIRS,
    PIXELS,
    RESULT,
    THUMBNAIL,
    Frame,
    pack_batch,
    pack_drop,
    pack_facts,
    receive,
    send,
    unpack_batch,
)

MAX_REQUESTS = 5_000
"""Requests to one fork, each of one image or a batch; then it is replaced, so that leaks of
decoders do not add up."""
COLLECTION_THRESHOLD = 50_000
"""Objects that are made between two runs of the garbage collector."""
_EXIT_REPLACE = 7
"""Exit status of a fork that reached `MAX_REQUESTS`."""


def main() -> NoReturn:
    """Serves the socket whose file descriptor is the first argument, until the client closes it."""
    # Ctrl-C reaches the whole process group; the client decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = socket.socket(fileno=int(sys.argv[1]))
    warm_up.warm_up_images()
    warm_up.warm_up_pages()
    # Loaded objects stay for good: out of the collector, they cost no time to walk over, and the
    # forks keep sharing their memory pages.
    gc.collect()
    gc.freeze()
    # The tree of a page is some thousand objects that refer to each other: with the default of 700,
    # the collector walks over it while it is built, which takes a tenth of the time of a page.
    gc.set_threshold(COLLECTION_THRESHOLD)
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
    # RLIMIT_DATA and not RLIMIT_AS, which counts mapped libraries: a fresh fork has 0.5 GB of
    # address space, and 0.2 GB of data.
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # The socket is open, and no other file or socket can be opened: a decoder that is taken over
    # reaches neither disk nor network. Hence the warm-up: nothing can be imported from here on.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def _serve(link: socket.socket) -> int:
    """Answers requests; returns the exit status of the fork."""
    for _ in range(MAX_REQUESTS):
        request = receive(link)
        if request is None:
            return 0
        kind, options, data = request
        _start_timers()
        try:
            response = HANDLERS[kind](options, data)
        except MemoryError:
            # Little works in a process without memory: it ends, and the client learns of it by the
            # status.
            os._exit(OUT_OF_MEMORY)
        except Exception as error:  # noqa: BLE001 - the client makes it a drop
            response = (FAULT, f"{type(error).__name__}: {error}".encode(), b"")
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        send(link, *response)
    return _EXIT_REPLACE


def _start_timers() -> None:
    # Their signals have no handler: they kill the process at once, also inside a decoder's C code,
    # where a Python handler would wait for the decoder to return.
    signal.setitimer(signal.ITIMER_REAL, MAX_WALL_S)
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)


def _batch(options: bytes, data: bytes) -> Frame:
    handler = HANDLERS[options[0]]
    parts: list[bytes] = []
    for payload in unpack_batch(data):
        _start_timers()
        kind, text, result = handler(options[1:], payload)
        parts += [bytes([kind]) + text, result]
    return RESULT, b"", pack_batch(parts)


def _check(options: bytes, data: bytes) -> Frame:
    rules, jpeg_quality = _parse_rules(options)
    # The digest is left empty: the client has it.
    if not jpeg_quality:
        facts = check_image(data, rules, sha256="")
        return _drop(facts) if isinstance(facts, Drop) else (FACTS, pack_facts(facts), b"")
    checked = check_and_encode(data, rules, jpeg_quality=jpeg_quality, sha256="")
    return (
        _drop(checked) if isinstance(checked, Drop) else (FACTS, pack_facts(checked[0]), checked[1])
    )


def _drop(drop: Drop) -> Frame:
    return DROP, pack_drop(drop), b""


@cache
def _parse_rules(options: bytes) -> tuple[ImageRules, int]:
    value = json.loads(options)
    jpeg_quality = int(value.pop("jpeg_quality"))
    return ImageRules(**{**value, "formats": tuple(value["formats"])}), jpeg_quality


def _normalise(options: bytes, data: bytes) -> Frame:
    stored = reencode(data, **json.loads(options))
    if isinstance(stored, Drop):
        return _drop(stored)
    return IMAGE, json.dumps([stored.width, stored.height]).encode(), stored.jpeg


def _pixels(_options: bytes, data: bytes) -> Frame:
    pixels = decode_stored(data)
    if isinstance(pixels, Drop):
        return _drop(pixels)
    return IMAGE, json.dumps(pixels.shape).encode(), pixels.tobytes()


def _thumbnail(options: bytes, data: bytes) -> Frame:
    jpeg = thumbnail_jpeg(data, **json.loads(options))
    return (RESULT, b"", b"") if jpeg is None else (IMAGE, b"", jpeg)


def _inline_image(options: bytes, data: bytes) -> Frame:
    image = page_codec.extract_inline_image(options, data)
    return (RESULT, b"", b"") if image is None else (IMAGE, b"", image)


HANDLERS: dict[int, Callable[[bytes, bytes], Frame]] = {
    CHECK: _check,
    BATCH: _batch,
    NORMALISE: _normalise,
    PIXELS: _pixels,
    PAIRS: lambda options, data: (RESULT, page_codec.extract_pairs(options, data), b""),
    LINKS: lambda options, data: (RESULT, page_codec.extract_links(options, data), b""),
    EXPLAIN: lambda options, data: (RESULT, page_codec.extract_explanation(options, data), b""),
    INLINE_IMAGE: _inline_image,
    THUMBNAIL: _thumbnail,
}
"""What each kind of request runs: options and payload to a response."""

if __name__ == "__main__":
    main()
