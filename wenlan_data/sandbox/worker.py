"""The sandbox process, which `sandbox.client` starts; its forks decode images and parse pages that
come by a socket.

It imports everything once, then makes one fork at a time, whenever the client sends it a socket for
one. The fork does the work, confined and under limits of memory, time and files, and has that
socket for itself: whatever dies, no response reaches a request that is not its own. If an image
kills the fork, the client requests another one, which takes a few milliseconds instead of the third
of a second of a new interpreter, and learns how the last one ended.
"""

import gc
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import NoReturn

from wenlan_data.image.check import check_and_encode, check_image
from wenlan_data.image.normalise import reencode
from wenlan_data.image.rules import ImageRules
from wenlan_data.image.stored_pixels import decode_stored
from wenlan_data.image.thumbnail import thumbnail_jpeg
from wenlan_data.records import Drop
from wenlan_data.sandbox import confinement, page_codec, warm_up
from wenlan_data.sandbox.limits import MAX_DATA_BYTES
from wenlan_data.sandbox.protocol import (
    BATCH,
    CHECK,
    DROP,
    EXPLAIN,
    FACTS,
    FAULT,
    FORKED,
    GARBLED_REQUEST,
    IMAGE,
    INLINE_IMAGES,
    LINKS,
    LISTING,
    NORMALISE,
    NOT_READY,
    OUT_OF_MEMORY,
    PAIRS,
    PIXELS,
    READY,
    RESULT,
    THUMBNAIL,
    Frame,
    Message,
    checksum,
    pack_batch,
    pack_drop,
    pack_facts,
    pack_part,
    receive,
    send,
    unpack_batch,
)

COLLECTION_THRESHOLD = 50_000
"""Objects that are made between two runs of the garbage collector."""


def main() -> NoReturn:
    """Makes forks for the socket whose file descriptor is the first argument, until the client
    closes it."""
    # Ctrl-C may reach the whole process group; the client decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    confinement.hide_from_debuggers()
    control = socket.socket(fileno=int(sys.argv[1]))
    warm_up.warm_up_images()
    warm_up.warm_up_pages()
    # Loaded objects stay for good: out of the collector, they cost no time to walk over, and the
    # forks keep sharing their memory pages.
    gc.collect()
    gc.freeze()
    # The tree of a page is some thousand objects that refer to each other: with the default of 700,
    # the collector walks over it while it is built, which takes a tenth of the time of a page.
    gc.set_threshold(COLLECTION_THRESHOLD)
    own_pid, child = os.getpid(), 0
    while True:
        try:
            order, links, _, _ = socket.recv_fds(control, 1, 1)
        except OSError:
            order, links = b"", []
        if not order or not links:
            # The kernel ends the fork with this process.
            os._exit(0)
        status, cpu_us = _end(child) if child else (0, 0)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                confinement.end_with_parent(own_pid)
                status = _serve(_confined(links[0]))
            finally:
                os._exit(status)
        os.close(links[0])
        # Where the client has gone, the next read ends this process.
        with suppress(OSError):
            control.sendall(FORKED.pack(status, cpu_us, child))


def _end(child: int) -> tuple[int, int]:
    """Ends a fork; returns its exit status and its processor time in microseconds."""
    # A signal to a process that is ending already does not change its exit status.
    os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), int((usage.ru_utime + usage.ru_stime) * 1e6)


def _confined(descriptor: int) -> socket.socket:
    """Gives up all that the fork does not need; returns its socket, on which it has said so."""
    link = socket.socket(fileno=descriptor)
    try:
        # Output of a decoder goes nowhere, as that of the first process.
        os.dup2(1, 2)
        _close_others(descriptor)
        landlock = confinement.restrict_files()
        _set_limits()
        in_force = confinement.statement(seccomp=confinement.filter_calls(), landlock=landlock)
    except (OSError, ValueError) as error:
        send(link, Message((NOT_READY, str(error).encode(), b""), 0, 0, 0))
        raise
    send(link, Message((READY, in_force.encode(), b""), 0, 0, 0))
    return link


def _close_others(descriptor: int) -> None:
    """Closes all files but the standard ones and this one."""
    try:
        opened = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    except OSError:
        opened = list(range(max(1024, os.sysconf("SC_OPEN_MAX"))))
    for other in opened:
        if other > 2 and other != descriptor:
            with suppress(OSError):
                os.close(other)


def _set_limits() -> None:
    # RLIMIT_DATA and not RLIMIT_AS, which counts mapped libraries: a fresh fork has 0.5 GB of
    # address space, and 0.2 GB of data.
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if most != resource.RLIM_INFINITY and most < MAX_DATA_BYTES:
        # With less, images would be dropped that another machine decodes.
        raise ValueError(
            f"the limit of data segments (ulimit -d) is {most >> 20} MiB, and decoders need "
            f"{MAX_DATA_BYTES >> 20}: raise it"
        )
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    # The socket is open, and no other file or socket can be opened: a decoder that is taken over
    # reaches neither disk nor network. Hence the warm-up: nothing can be imported from here on.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def _serve(link: socket.socket) -> int:
    """Responds to requests; returns the exit status of the fork."""
    while (request := receive(link)) is not None:
        kind, options, data = request.frame
        if checksum(options, data) != request.crc32c:
            return GARBLED_REQUEST
        start_ns = time.process_time_ns()
        _limit_cpu(request.time_us)
        try:
            response = _respond(kind, options, data, request.time_us)
        except MemoryError:
            # Little works in a process without memory: it ends, and the client learns of it by the
            # status.
            os._exit(OUT_OF_MEMORY)
        except Exception as error:  # noqa: BLE001 - the client makes it a drop
            response = (FAULT, f"{type(error).__name__}: {error}".encode(), b"")
        _limit_cpu(0)
        send(link, Message(response, request.number, request.crc32c, _us_since(start_ns)))
    return 0


def _limit_cpu(time_us: int) -> None:
    # The signal has no handler: it kills the process at once, also inside a decoder's C code, where
    # a Python handler would wait for the decoder to return. By processor time, which other
    # processes of the machine hardly change; the client looks after one that sleeps.
    signal.setitimer(signal.ITIMER_PROF, time_us / 1e6)


def _us_since(start_ns: int) -> int:
    return min((time.process_time_ns() - start_ns) // 1000, 0xFFFFFFFF)


def _respond(kind: int, options: bytes, data: bytes, time_us: int) -> Frame:
    if kind != BATCH:
        return HANDLERS[kind](options, data)
    handler = HANDLERS[options[0]]
    parts: list[bytes] = []
    for payload in unpack_batch(data):
        start_ns = time.process_time_ns()
        _limit_cpu(time_us)
        response = handler(options[1:], payload)
        parts += pack_part(response, checksum(options[1:], payload), _us_since(start_ns))
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


def _inline_images(options: bytes, data: bytes) -> Frame:
    return RESULT, b"", pack_batch(page_codec.extract_inline_images(options, data))


HANDLERS: dict[int, Callable[[bytes, bytes], Frame]] = {
    CHECK: _check,
    NORMALISE: _normalise,
    PIXELS: _pixels,
    PAIRS: lambda options, data: (RESULT, page_codec.extract_pairs(options, data), b""),
    LINKS: lambda options, data: (RESULT, page_codec.extract_links(options, data), b""),
    EXPLAIN: lambda options, data: (RESULT, page_codec.extract_explanation(options, data), b""),
    LISTING: lambda options, data: (RESULT, page_codec.extract_listing(options, data), b""),
    INLINE_IMAGES: _inline_images,
    THUMBNAIL: _thumbnail,
}
"""What each kind of request runs: options and payload to a response."""

if __name__ == "__main__":
    main()
