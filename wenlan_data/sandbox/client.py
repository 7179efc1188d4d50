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
from wenlan_data.image.normalise import Stored, passed_through
from wenlan_data.image.rules import ImageRules
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.sandbox.limits import MAX_CPU_S, MAX_WALL_S
from wenlan_data.sandbox.protocol import (
    DIED,
    DROP,
    EXAMINE,
    FACTS,
    FAULT,
    NORMALISE,
    OUT_OF_MEMORY,
    PICTURE,
    PIXELS,
    SMALL,
    SOME,
    pack_some,
    receive,
    send,
    unpack_facts,
    unpack_some,
)

CHILD: tuple[str, ...] = ("-m", "wenlan_data.sandbox.worker")
"""What Python runs; a file of other people may stand here that changes what it imports and calls `child.main()`."""
_BUFFER_BYTES = 1 << 20
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_TIMES_UP = {
    -signal.SIGALRM: f"{MAX_WALL_S:g} s",
    -signal.SIGPROF: f"{MAX_CPU_S:g} s of a processor",
}
_STARTED_IN_VAIN = 3
NOT_ENCODED = 0
"""As a JPEG quality: nothing is encoded."""

Answer = tuple[int, bytes, bytes]
"""Its kind, a text and bytes, see `sandbox.protocol`."""


def examine(data: bytes, rules: ImageRules) -> ImageFacts | Drop:
    """As `image.examine.examine`; also `decoder_crash` and, retryable, `decoder_timeout`."""
    kind, text, _ = _twice(EXAMINE, _options(rules, NOT_ENCODED), data)
    return unpack_facts(text, hashlib.sha256(data).hexdigest()) if kind == FACTS else _drop(text)


def examine_some(
    pictures: Sequence[bytes], digests: Sequence[str], rules: ImageRules, jpeg_quality: int
) -> list[tuple[ImageFacts, bytes] | Drop]:
    """As `image.examine.examine_and_store` of each, in order; `digests` are their SHA-256 in hexadecimal."""
    answers = zip(_each(EXAMINE, _options(rules, jpeg_quality), pictures), digests, strict=True)
    return [
        (unpack_facts(text, digest), stored) if kind == FACTS else _drop(text)
        for (kind, text, stored), digest in answers
    ]


@lru_cache(maxsize=16)
def _options(rules: ImageRules, jpeg_quality: int) -> bytes:
    return json.dumps({**asdict(rules), "jpeg_quality": jpeg_quality}).encode()


def normalise(data: bytes, *, max_side_px: int, jpeg_quality: int) -> Stored:
    """As `image.normalise.normalise`; `DamageError` also where the decoder died of the picture."""
    if ready := passed_through(data, max_side_px=max_side_px):
        return ready
    options = json.dumps({"max_side_px": max_side_px, "jpeg_quality": jpeg_quality}).encode()
    kind, text, jpeg = _twice(NORMALISE, options, data)
    if kind == DROP:
        drop = _drop(text)
        raise DamageError(
            f"a picture that was taken cannot be decoded ({drop.reason}: {drop.detail})"
        )
    width, height = json.loads(text)
    return Stored(jpeg=jpeg, width=width, height=height)


def pixels(jpeg: bytes) -> Pixels | Drop:
    """As `detect.stored.stored_pixels`, or why there are none."""
    kind, shape, data = _twice(PIXELS, b"", jpeg)
    return (
        _drop(shape)
        if kind == DROP
        else np.frombuffer(data, np.uint8).reshape(json.loads(shape)).copy()
    )


def small_jpeg(data: bytes, *, side_px: int, quality: int) -> bytes | None:
    """As `image.small.small_jpeg`; None also where the decoder died of the picture."""
    kind, _, jpeg = ask(SMALL, json.dumps({"side_px": side_px, "quality": quality}).encode(), data)
    return jpeg if kind == PICTURE else None


def _each(work: int, options: bytes, pictures: Sequence[bytes]) -> list[Answer]:
    """The answer to each, in order, asked for at once: waking both processes costs as much as a tenth of a picture.

    Where one of them kills the decoding process, each is looked at alone: it alone is dropped.
    """
    if len(pictures) < 2:
        return [_twice(work, options, data) for data in pictures]
    whole = ask(SOME, bytes([work]) + options, pack_some(pictures))
    if whole[0] != DROP:
        answers = unpack_some(whole[2])
        return [
            (one[0], one[1:], made) for one, made in zip(answers[::2], answers[1::2], strict=True)
        ]
    # The one that ran out of time has had its first try.
    alone = ask if _ran_out_of_time(whole) else _twice
    return [alone(work, options, data) for data in pictures]


def _twice(work: int, options: bytes, data: bytes) -> Answer:
    answer = ask(work, options, data)
    # A build that was held (Ctrl-Z, a machine asleep) runs out of time without fault of the picture.
    return ask(work, options, data) if _ran_out_of_time(answer) else answer


def _ran_out_of_time(answer: Answer) -> bool:
    return answer[0] == DROP and json.loads(answer[1])["reason"] == "decoder_timeout"


def _drop(text: bytes) -> Drop:
    return Drop(**json.loads(text))


def start() -> None:
    """Start a decoding process that will be wanted soon; it takes a third of a second to be ready."""
    with _lock:
        if not _idle:
            _idle.append(_Child())


class _Child:
    """One decoding process and the socket to it."""

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair()
        for one in (self._link, theirs):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", *CHILD, str(theirs.fileno())],
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


_idle: list[_Child] = []
_lock = threading.Lock()


def ask(kind: int, options: bytes, data: bytes) -> Answer:
    """The answer of a decoding process to one frame. Raises what the process could not cope with."""
    for _ in range(_STARTED_IN_VAIN):
        with _lock:
            child = _idle.pop() if _idle else None
        child = child or _Child()
        answer = child.ask(kind, options, data)
        if answer is None:
            child.close()
            continue
        with _lock:
            _idle.append(child)
        if answer[0] == FAULT:
            # What no code of ours foresaw costs this picture or page, not the build of a week.
            return (DROP, _as_json("decoder_crash", answer[1].decode()[:200]), b"")
        return (DROP, _died(int(answer[1])), b"") if answer[0] == DIED else answer
    raise WorkerLostError(
        "the process that decodes pictures cannot be started: see its message above"
    )


def _died(status: int) -> bytes:
    if status in _TIMES_UP:
        return _as_json("decoder_timeout", _TIMES_UP[status], retryable=True)
    if status == OUT_OF_MEMORY:
        return _as_json("decoder_crash", "out of memory")
    return _as_json(
        "decoder_crash", signal.Signals(-status).name if status < 0 else f"exit {status}"
    )


def _as_json(reason: str, detail: str, *, retryable: bool = False) -> bytes:
    return json.dumps({"reason": reason, "detail": detail, "retryable": retryable}).encode()


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    # The code may have come by Ray's runtime environment, which only sys.path knows.
    return {**own, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def close_all() -> None:
    """End every decoding process that is idle; the next picture starts a new one."""
    while _idle:
        _idle.pop().close()


atexit.register(close_all)
# A fork shares the sockets: two processes would read each other's answers.
os.register_at_fork(after_in_child=_idle.clear)
