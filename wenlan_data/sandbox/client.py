"""Decodes images in a process of their own, the sandbox: a crash of a decoder affects no other
process.

An image that kills the process (a crash, too much memory, too long) is a `Drop`; the next one gets
a new process. The functions are those of `wenlan_data.image` with the same results. Measured for
800x600 JPEGs of 80 kB that are stored unchanged: `check_image` takes 0.1 ms longer here than in
this process, `check_images` 0.06 an image; a re-encoded image sends its JPEG back, for another
0.04.
"""

import atexit
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache

import numpy as np

from wenlan_data.errors import DamageError, WorkerLostError
from wenlan_data.image.decode import Pixels
from wenlan_data.image.normalise import StoredJpeg, pass_through
from wenlan_data.image.rules import ImageRules
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.sandbox.limits import MAX_CPU_S, MAX_WALL_S
from wenlan_data.sandbox.protocol import (
    BATCH,
    CHECK,
    DIED,
    DROP,
    FACTS,
    FAULT,
    IMAGE,
    NORMALISE,
    OUT_OF_MEMORY,
    PIXELS,
    THUMBNAIL,
    Frame,
    pack_batch,
    pack_drop,
    receive,
    send,
    unpack_batch,
    unpack_drop,
    unpack_facts,
)

WORKER_COMMAND: tuple[str, ...] = ("-m", "wenlan_data.sandbox.worker")
"""Arguments of Python. Tests replace it by a script that changes `worker.HANDLERS`, then calls
`worker.main()`."""
FACTS_ONLY = 0
"""As a JPEG quality: the check returns facts and encodes nothing."""
_SOCKET_BUFFER_BYTES = 1 << 20
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_TIME_LIMITS = {
    -signal.SIGALRM: f"{MAX_WALL_S:g} s",
    -signal.SIGPROF: f"{MAX_CPU_S:g} s of a processor",
}
_MAX_ATTEMPTS = 3


def check_image(data: bytes, rules: ImageRules) -> ImageFacts | Drop:
    """`image.check.check_image`; also drops `decoder_crash` and, retryable, `decoder_timeout`."""
    kind, text, _ = _request_with_retry(CHECK, _check_options(rules, FACTS_ONLY), data)
    if kind == DROP:
        return unpack_drop(text)
    return unpack_facts(text, hashlib.sha256(data).hexdigest())


def check_images(
    images: Sequence[bytes], digests: Sequence[str], rules: ImageRules, jpeg_quality: int
) -> list[tuple[ImageFacts, bytes] | Drop]:
    """`image.check.check_and_encode` of each image, in order; `digests` are their SHA-256 as hex
    digits."""
    responses = _request_each(CHECK, _check_options(rules, jpeg_quality), images)
    return [
        (unpack_facts(text, digest), jpeg) if kind == FACTS else unpack_drop(text)
        for (kind, text, jpeg), digest in zip(responses, digests, strict=True)
    ]


def normalise(data: bytes, *, max_side_px: int, jpeg_quality: int) -> StoredJpeg:
    """`image.normalise.normalise`; raises `DamageError` also if the decoder died of the image."""
    if unchanged := pass_through(data, max_side_px=max_side_px):
        return unchanged
    options = json.dumps({"max_side_px": max_side_px, "jpeg_quality": jpeg_quality}).encode()
    kind, text, jpeg = _request_with_retry(NORMALISE, options, data)
    if kind == DROP:
        drop = unpack_drop(text)
        raise DamageError(
            f"an accepted image cannot be decoded any more ({drop.reason}: {drop.detail})"
        )
    width, height = json.loads(text)
    return StoredJpeg(jpeg=jpeg, width=width, height=height)


def decode_stored(jpeg: bytes) -> Pixels | Drop:
    """`image.stored_pixels.decode_stored`: uint8 (H, W, 3), or the reason why there are no
    pixels."""
    kind, text, data = _request_with_retry(PIXELS, b"", jpeg)
    if kind == DROP:
        return unpack_drop(text)
    # A copy, because an array on received bytes cannot be written to.
    return np.frombuffer(data, np.uint8).reshape(json.loads(text)).copy()


def thumbnail_jpeg(data: bytes, *, side_px: int, quality: int) -> bytes | None:
    """`image.thumbnail.thumbnail_jpeg`; None also if the decoder died of the image."""
    options = json.dumps({"side_px": side_px, "quality": quality}).encode()
    kind, _, jpeg = request(THUMBNAIL, options, data)
    return jpeg if kind == IMAGE else None


@lru_cache(maxsize=16)
def _check_options(rules: ImageRules, jpeg_quality: int) -> bytes:
    return json.dumps({**asdict(rules), "jpeg_quality": jpeg_quality}).encode()


def _request_each(kind: int, options: bytes, images: Sequence[bytes]) -> list[Frame]:
    """The response to each image, in order, by one frame: waking both processes costs a tenth of an
    image.

    If one image kills the process, each is requested alone, so that it alone is dropped.
    """
    if len(images) < 2:
        return [_request_with_retry(kind, options, data) for data in images]
    batch = request(BATCH, bytes([kind]) + options, pack_batch(images))
    if batch[0] != DROP:
        parts = unpack_batch(batch[2])
        return [
            (head[0], head[1:], data) for head, data in zip(parts[::2], parts[1::2], strict=True)
        ]
    # An image that exceeded a time limit has had its first attempt in the batch.
    attempt = request if _timed_out(batch) else _request_with_retry
    return [attempt(kind, options, data) for data in images]


def _request_with_retry(kind: int, options: bytes, data: bytes) -> Frame:
    response = request(kind, options, data)
    # A suspended build (Ctrl-Z, a sleeping machine) exceeds the time limit without a fault of the
    # image.
    return request(kind, options, data) if _timed_out(response) else response


def _timed_out(response: Frame) -> bool:
    return response[0] == DROP and unpack_drop(response[1]).reason == Reason.DECODER_TIMEOUT


def start_worker() -> None:
    """Starts a process ahead of its first request; it takes a third of a second to be ready."""
    with _lock:
        if not _idle_workers:
            _idle_workers.append(_WorkerProcess())


class _WorkerProcess:
    """A sandbox process and the socket to it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
        # A new interpreter and not a fork: a fork of this process would hold its open files, its
        # memory and locks of its threads. -P keeps the working folder out of the import path, and
        # no file but the socket is passed on.
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", *WORKER_COMMAND, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(os.environ),
            )

    def request(self, kind: int, options: bytes, data: bytes) -> Frame | None:
        """Returns the response; None if the process does not exist any more."""
        try:
            send(self._socket, kind, options, data)
            return receive(self._socket)
        except OSError:
            return None

    def close(self) -> None:
        """Ends the process, which stops when its socket is closed."""
        self._socket.close()
        try:
            self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_idle_workers: list[_WorkerProcess] = []
_lock = threading.Lock()


def request(kind: int, options: bytes, data: bytes) -> Frame:
    """Sends one request to an idle sandbox process, or to a new one, and returns its response.

    A request that kills the process, or raises in it, gives a drop. Raises `WorkerLostError` if no
    process can be started.
    """
    for _ in range(_MAX_ATTEMPTS):
        with _lock:
            worker = _idle_workers.pop() if _idle_workers else None
        worker = worker or _WorkerProcess()
        response = worker.request(kind, options, data)
        if response is None:
            worker.close()
            continue
        with _lock:
            _idle_workers.append(worker)
        if response[0] == FAULT:
            # An exception that nobody foresaw drops this image or page; it must not end a build of
            # days.
            return DROP, pack_drop(Drop(Reason.DECODER_CRASH, response[1].decode()[:200])), b""
        if response[0] == DIED:
            return DROP, pack_drop(_drop_of_status(int(response[1]))), b""
        return response
    raise WorkerLostError(
        "the sandbox process that decodes images cannot be started: see its message above"
    )


def _drop_of_status(status: int) -> Drop:
    if status in _TIME_LIMITS:
        return Drop(Reason.DECODER_TIMEOUT, _TIME_LIMITS[status])
    if status == OUT_OF_MEMORY:
        return Drop(Reason.DECODER_CRASH, "out of memory")
    return Drop(
        Reason.DECODER_CRASH, signal.Signals(-status).name if status < 0 else f"exit {status}"
    )


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    # The code may have come by Ray's runtime environment, which only sys.path knows.
    return {**own, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def close_all() -> None:
    """Ends every idle sandbox process; the next request starts a new one."""
    while _idle_workers:
        _idle_workers.pop().close()


atexit.register(close_all)
# A fork shares the sockets: two processes would read each other's responses.
os.register_at_fork(after_in_child=_idle_workers.clear)
