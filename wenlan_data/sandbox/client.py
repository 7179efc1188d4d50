"""Judges and normalises pictures in a process of their own: what a decoder does there reaches nobody else.

A picture that kills the process (a crash, too much memory, too long) is a `Drop`; the next one finds a new process.
Measured for 800x600 JPEGs of 80 kB that are stored as they came: `examine` here takes 0.1 ms more than in this process,
`examine_some` 0.06; where a picture is encoded anew, its JPEG travels back as well, for another 0.04.
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
    pack_batch,
    receive,
    send,
    unpack_batch,
    unpack_facts,
)

WORKER_COMMAND: tuple[str, ...] = ("-m", "wenlan_data.sandbox.worker")
"""What Python runs; a file of other people may stand here that changes what it imports and calls `child.main()`."""
_BUFFER_BYTES = 1 << 20
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_TIME_LIMITS = {
    -signal.SIGALRM: f"{MAX_WALL_S:g} s",
    -signal.SIGPROF: f"{MAX_CPU_S:g} s of a processor",
}
_MAX_ATTEMPTS = 3
NO_JPEG = 0
"""As a JPEG quality: nothing is encoded."""

Answer = tuple[int, bytes, bytes]
"""Its kind, a text and bytes, see `sandbox.protocol`."""


def check_image(data: bytes, rules: ImageRules) -> ImageFacts | Drop:
    """As `image.examine.examine`; also `decoder_crash` and, retryable, `decoder_timeout`."""
    kind, text, _ = _request_with_retry(CHECK, _options(rules, NO_JPEG), data)
    return unpack_facts(text, hashlib.sha256(data).hexdigest()) if kind == FACTS else _to_drop(text)


def check_images(
    pictures: Sequence[bytes], digests: Sequence[str], rules: ImageRules, jpeg_quality: int
) -> list[tuple[ImageFacts, bytes] | Drop]:
    """As `image.examine.examine_and_store` of each, in order; `digests` are their SHA-256 in hexadecimal."""
    answers = zip(
        _request_each(CHECK, _options(rules, jpeg_quality), pictures), digests, strict=True
    )
    return [
        (unpack_facts(text, digest), stored) if kind == FACTS else _to_drop(text)
        for (kind, text, stored), digest in answers
    ]


@lru_cache(maxsize=16)
def _options(rules: ImageRules, jpeg_quality: int) -> bytes:
    return json.dumps({**asdict(rules), "jpeg_quality": jpeg_quality}).encode()


def normalise(data: bytes, *, max_side_px: int, jpeg_quality: int) -> StoredJpeg:
    """As `image.normalise.normalise`; `DamageError` also where the decoder died of the picture."""
    if ready := pass_through(data, max_side_px=max_side_px):
        return ready
    options = json.dumps({"max_side_px": max_side_px, "jpeg_quality": jpeg_quality}).encode()
    kind, text, jpeg = _request_with_retry(NORMALISE, options, data)
    if kind == DROP:
        drop = _to_drop(text)
        raise DamageError(
            f"a picture that was taken cannot be decoded ({drop.reason}: {drop.detail})"
        )
    width, height = json.loads(text)
    return StoredJpeg(jpeg=jpeg, width=width, height=height)


def decode_stored(jpeg: bytes) -> Pixels | Drop:
    """As `detect.stored.stored_pixels`, or why there are none."""
    kind, shape, data = _request_with_retry(PIXELS, b"", jpeg)
    return (
        _to_drop(shape)
        if kind == DROP
        else np.frombuffer(data, np.uint8).reshape(json.loads(shape)).copy()
    )


def thumbnail_jpeg(data: bytes, *, side_px: int, quality: int) -> bytes | None:
    """As `image.small.small_jpeg`; None also where the decoder died of the picture."""
    kind, _, jpeg = request(
        THUMBNAIL, json.dumps({"side_px": side_px, "quality": quality}).encode(), data
    )
    return jpeg if kind == IMAGE else None


def _request_each(work: int, options: bytes, pictures: Sequence[bytes]) -> list[Answer]:
    """The answer to each, in order, asked for at once: waking both processes costs as much as a tenth of a picture.

    Where one of them kills the decoding process, each is looked at alone: it alone is dropped.
    """
    if len(pictures) < 2:
        return [_request_with_retry(work, options, data) for data in pictures]
    whole = request(BATCH, bytes([work]) + options, pack_batch(pictures))
    if whole[0] != DROP:
        answers = unpack_batch(whole[2])
        return [
            (one[0], one[1:], made) for one, made in zip(answers[::2], answers[1::2], strict=True)
        ]
    # The one that ran out of time has had its first try.
    alone = request if _timed_out(whole) else _request_with_retry
    return [alone(work, options, data) for data in pictures]


def _request_with_retry(work: int, options: bytes, data: bytes) -> Answer:
    answer = request(work, options, data)
    # A build that was held (Ctrl-Z, a machine asleep) runs out of time without fault of the picture.
    return request(work, options, data) if _timed_out(answer) else answer


def _timed_out(answer: Answer) -> bool:
    return answer[0] == DROP and json.loads(answer[1])["reason"] == "decoder_timeout"


def _to_drop(text: bytes) -> Drop:
    return Drop(**json.loads(text))


def start_worker() -> None:
    """Start a decoding process that will be wanted soon; it takes a third of a second to be ready."""
    with _lock:
        if not _idle_workers:
            _idle_workers.append(_WorkerProcess())


class _WorkerProcess:
    """One decoding process and the socket to it."""

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair()
        for one in (self._link, theirs):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", *WORKER_COMMAND, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(os.environ),
            )

    def ask(self, kind: int, options: bytes, data: bytes) -> tuple[int, bytes, bytes] | None:
        """The answer; None where the process is gone altogether."""
        try:
            send(self._link, kind, options, data)
            return receive(self._link)
        except OSError:
            return None

    def close(self) -> None:
        """End the process: it sees that the socket is closed."""
        self._link.close()
        try:
            self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_idle_workers: list[_WorkerProcess] = []
_lock = threading.Lock()


def request(kind: int, options: bytes, data: bytes) -> Answer:
    """The answer of a decoding process to one frame. Raises what the process could not cope with."""
    for _ in range(_MAX_ATTEMPTS):
        with _lock:
            child = _idle_workers.pop() if _idle_workers else None
        child = child or _WorkerProcess()
        answer = child.ask(kind, options, data)
        if answer is None:
            child.close()
            continue
        with _lock:
            _idle_workers.append(child)
        if answer[0] == FAULT:
            # What no code of ours foresaw costs this picture or page, not the build of a week.
            return (DROP, _drop_json("decoder_crash", answer[1].decode()[:200]), b"")
        return (DROP, _drop_of_status(int(answer[1])), b"") if answer[0] == DIED else answer
    raise WorkerLostError(
        "the process that decodes pictures cannot be started: see its message above"
    )


def _drop_of_status(status: int) -> bytes:
    if status in _TIME_LIMITS:
        return _drop_json("decoder_timeout", _TIME_LIMITS[status], retryable=True)
    if status == OUT_OF_MEMORY:
        return _drop_json("decoder_crash", "out of memory")
    return _drop_json(
        "decoder_crash", signal.Signals(-status).name if status < 0 else f"exit {status}"
    )


def _drop_json(reason: str, detail: str, *, retryable: bool = False) -> bytes:
    return json.dumps({"reason": reason, "detail": detail, "retryable": retryable}).encode()


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    # The code may have come by Ray's runtime environment, which only sys.path knows.
    return {**own, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def close_all() -> None:
    """End every decoding process that is idle; the next picture starts a new one."""
    while _idle_workers:
        _idle_workers.pop().close()


atexit.register(close_all)
# A fork shares the sockets: two processes would read each other's answers.
os.register_at_fork(after_in_child=_idle_workers.clear)
