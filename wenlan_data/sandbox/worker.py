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

from wenlan_data.image.check import examine, examine_and_store
from wenlan_data.image.normalise import encoded_anew
from wenlan_data.image.rules import ImageRules
from wenlan_data.image.stored_pixels import pixels_as_they_stand
from wenlan_data.image.thumbnail import small_jpeg
from wenlan_data.records import Drop
from wenlan_data.sandbox import page_codec as pages
from wenlan_data.sandbox.limits import MAX_CPU_S, MAX_DATA_BYTES, MAX_WALL_S
from wenlan_data.sandbox.protocol import (
    DIED,
    DROP,
    EXAMINE,
    FACTS,
    FAULT,
    FOUND,
    INLINE_IMAGE,
    LINKS,
    NORMALISE,
    OUT_OF_MEMORY,
    PAIRS,
    PICTURE,
    PIXELS,
    SMALL,
    SOME,
    pack_facts,
    pack_some,
    receive,
    send,
    unpack_some,
)
from wenlan_data.sandbox.warm_up import warm_up

MAX_REQUESTS = 5_000
"""A fork is replaced after this many, so that what decoders leak never adds up. One may hold several pictures."""
_REPLACED = 7


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
            _limit()
            os._exit(_serve(link))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            os._exit(0)
        if status != _REPLACED:
            send(link, DIED, str(status).encode())


def _limit() -> None:
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
        _start_clocks()
        try:
            answer = _WORK[kind](options, data)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except Exception as error:  # noqa: BLE001 - the process boundary: the parent raises it
            answer = (FAULT, f"{type(error).__name__}: {error}".encode(), b"")
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        send(link, *answer)
    return _REPLACED


def _start_clocks() -> None:
    signal.setitimer(signal.ITIMER_REAL, MAX_WALL_S)
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)


def _some(options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    work, answers = _WORK[options[0]], []
    for one in unpack_some(data):
        _start_clocks()
        kind, text, made = work(options[1:], one)
        answers += [bytes([kind]) + text, made]
    return FOUND, b"", pack_some(answers)


def _examine(options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    rules, jpeg_quality = _rules(options)
    # Whoever asks has the digest; a quality of 0 asks for no JPEG.
    if not jpeg_quality:
        facts = examine(data, rules, sha256="")
        return _drop(facts) if isinstance(facts, Drop) else (FACTS, pack_facts(facts), b"")
    found = examine_and_store(data, rules, jpeg_quality=jpeg_quality, sha256="")
    return _drop(found) if isinstance(found, Drop) else (FACTS, pack_facts(found[0]), found[1])


def _drop(drop: Drop) -> tuple[int, bytes, bytes]:
    return DROP, json.dumps(asdict(drop)).encode(), b""


@cache
def _rules(options: bytes) -> tuple[ImageRules, int]:
    value = json.loads(options)
    jpeg_quality = int(value.pop("jpeg_quality"))
    return ImageRules(**{**value, "formats": tuple(value["formats"])}), jpeg_quality


def _normalise(options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    stored = encoded_anew(data, **json.loads(options))
    if isinstance(stored, Drop):
        return _drop(stored)
    return PICTURE, json.dumps([stored.width, stored.height]).encode(), stored.jpeg


def _pixels(_options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    found = pixels_as_they_stand(data)
    return (
        _drop(found)
        if isinstance(found, Drop)
        else (PICTURE, json.dumps(found.shape).encode(), found.tobytes())
    )


def _small(options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    made = small_jpeg(data, **json.loads(options))
    return (FOUND, b"", b"") if made is None else (PICTURE, b"", made)


def _inline(options: bytes, data: bytes) -> tuple[int, bytes, bytes]:
    found = pages.inline_frame(options, data)
    return (FOUND, b"", b"") if found is None else (PICTURE, b"", found)


_WORK: dict[int, Callable[[bytes, bytes], tuple[int, bytes, bytes]]] = {
    EXAMINE: _examine,
    SOME: _some,
    NORMALISE: _normalise,
    PIXELS: _pixels,
    PAIRS: lambda options, data: (FOUND, pages.pairs_frame(options, data), b""),
    LINKS: lambda options, data: (FOUND, pages.links_frame(options, data), b""),
    INLINE_IMAGE: _inline,
    SMALL: _small,
}

if __name__ == "__main__":
    main()
