"""Decodes images in a process of their own, the sandbox: a crash of a decoder affects no other
process.

An image that ends the process (a crash, too much memory, too much processor time) is a `Drop`; the
next one gets a new process. The functions are those of `wenlan_data.image` with the same results.
Measured for 800x600 JPEGs of 80 kB that are stored unchanged: `check_image` takes 0.1 ms longer
here than in this process, `check_images` 0.06 an image; a re-encoded image sends its JPEG back, for
another 0.04.
"""

import atexit
import hashlib
import json
import os
import signal
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Annotated, Literal, ParamSpec, TypeVar

import numpy as np
from pydantic import Field, TypeAdapter

from wenlan_data.errors import DamageError, WorkerLostError
from wenlan_data.image.decode import Pixels
from wenlan_data.image.normalise import StoredJpeg, pass_through
from wenlan_data.image.rules import ImageRules
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.sandbox import limits
from wenlan_data.sandbox.process import (
    ForkDeath,
    ForkResponse,
    ProcessLostError,
    SandboxProcess,
)
from wenlan_data.sandbox.protocol import (
    BATCH,
    CHECK,
    DROP,
    FACTS,
    FAULT,
    IMAGE,
    MAX_SIDE_PX,
    NORMALISE,
    OUT_OF_MEMORY,
    PIXELS,
    THUMBNAIL,
    Frame,
    GarbledResponseError,
    checksum,
    pack_batch,
    pack_drop,
    unpack_batch,
    unpack_drop,
    unpack_facts,
    unpack_part,
)

Side = Annotated[int, Field(gt=0, le=MAX_SIDE_PX, strict=True)]
_SIZE = TypeAdapter(tuple[Side, Side])
_SHAPE = TypeAdapter(tuple[Side, Side, Literal[3]])
P = ParamSpec("P")
T = TypeVar("T")
FACTS_ONLY = 0
"""As a JPEG quality: the check returns facts and encodes nothing."""
_ACCEPTED_CPU_S = limits.MAX_CPU_S * limits.ACCEPTED_CPU_FACTOR
_OWN_FAULTS = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    }
)
"""Signals that a process gets for what it does; any other comes from outside."""


@dataclass(frozen=True, slots=True)
class ExaminedImage:
    """What `check_images` found out about one image."""

    found: ImageFacts | Drop
    jpeg: bytes = b""
    """The JPEG that a shard stores; empty if the image is stored unchanged, or dropped."""
    cpu_s: float = field(default=0.0, compare=False)
    """Processor time that it took, all attempts together."""


def check_image(data: bytes, rules: ImageRules) -> ImageFacts | Drop:
    """`image.check.check_image`; also drops `decoder_crash` and, retryable, `decoder_timeout`."""
    frame = request(CHECK, _check_options(rules, FACTS_ONLY), data)
    return parsed(frame, FACTS, unpack_facts, frame[1], hashlib.sha256(data).hexdigest())


def check_images(
    images: Sequence[bytes],
    digests: Sequence[str],
    rules: ImageRules,
    jpeg_quality: int,
    *,
    accepted: bool = False,
) -> list[ExaminedImage]:
    """`image.check.check_and_encode` of each image, in order; `digests` are their SHA-256 as hex
    digits.

    Images that were `accepted` before may take longer: processor time differs from run to run.
    """
    cpu_s = _ACCEPTED_CPU_S if accepted else limits.MAX_CPU_S
    responses = _request_each(CHECK, _check_options(rules, jpeg_quality), images, cpu_s)
    return [
        _examined(response, digest) for response, digest in zip(responses, digests, strict=True)
    ]


def _examined(response: ForkResponse, digest: str) -> ExaminedImage:
    _, text, jpeg = response.frame
    found = parsed(response.frame, FACTS, unpack_facts, text, digest)
    return ExaminedImage(found, b"" if isinstance(found, Drop) else jpeg, response.cpu_s)


def normalise(data: bytes, *, max_side_px: int, jpeg_quality: int) -> StoredJpeg:
    """`image.normalise.normalise`; raises `DamageError` also if the decoder died of the image."""
    if unchanged := pass_through(data, max_side_px=max_side_px):
        return unchanged
    options = json.dumps({"max_side_px": max_side_px, "jpeg_quality": jpeg_quality}).encode()
    frame = request(NORMALISE, options, data, cpu_s=_ACCEPTED_CPU_S)
    stored = parsed(frame, IMAGE, _unpack_stored, *frame[1:])
    if isinstance(stored, Drop):
        raise DamageError(
            f"an accepted image cannot be decoded any more ({stored.reason}: {stored.detail})"
        )
    return stored


def decode_stored(jpeg: bytes) -> Pixels | Drop:
    """`image.stored_pixels.decode_stored`: uint8 (H, W, 3), or the reason why there are no
    pixels."""
    frame = request(PIXELS, b"", jpeg, cpu_s=_ACCEPTED_CPU_S)
    return parsed(frame, IMAGE, _unpack_pixels, *frame[1:])


def _unpack_stored(text: bytes, jpeg: bytes) -> StoredJpeg:
    width, height = _SIZE.validate_json(text)
    return StoredJpeg(jpeg=jpeg, width=width, height=height)


def _unpack_pixels(text: bytes, data: bytes) -> Pixels:
    # A copy, because an array on received bytes cannot be written to.
    return np.frombuffer(data, np.uint8).reshape(_SHAPE.validate_json(text)).copy()


def parsed(
    frame: Frame, kind: int, parse: Callable[P, T], *given: P.args, **named: P.kwargs
) -> T | Drop:
    """What `parse` makes of a response of that kind; a drop if it is one, or nothing of the sort.

    A decoder that was taken over may respond with anything: every fork is replaced before its next
    request.
    """
    global _incidents
    try:
        if frame[0] == DROP:
            return unpack_drop(frame[1])
        if frame[0] != kind:
            raise GarbledResponseError(f"kind {frame[0]}")
        return parse(*given, **named)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, struct.error,
            GarbledResponseError):  # fmt: skip
        with _lock:
            _incidents += 1
        return Drop(Reason.DECODER_CRASH, "garbled response", retryable=True)


def thumbnail_jpeg(data: bytes, *, side_px: int, quality: int) -> bytes | None:
    """`image.thumbnail.thumbnail_jpeg`; None also if the decoder died of the image."""
    options = json.dumps({"side_px": side_px, "quality": quality}).encode()
    kind, _, jpeg = request(THUMBNAIL, options, data)
    return jpeg if kind == IMAGE else None


@lru_cache(maxsize=16)
def _check_options(rules: ImageRules, jpeg_quality: int) -> bytes:
    return json.dumps({**asdict(rules), "jpeg_quality": jpeg_quality}).encode()


def _request_each(
    kind: int, options: bytes, images: Sequence[bytes], cpu_s: float
) -> list[ForkResponse]:
    """The response to each image, in order, by one message: waking both processes costs a tenth of
    an image.

    If one image kills the process, each is requested alone, so that it alone is dropped.
    """
    if len(images) > 1:
        frame = (BATCH, bytes([kind]) + options, pack_batch(images))
        batch = _perform(frame, cpu_s, parts=len(images), attempts=1)
        if batch.frame[0] != DROP:
            try:
                return _unpack_responses(batch, options, images)
            except GarbledResponseError:
                close_all()
    return [_perform((kind, options, data), cpu_s) for data in images]


def _unpack_responses(
    batch: ForkResponse, options: bytes, images: Sequence[bytes]
) -> list[ForkResponse]:
    """Raises `GarbledResponseError` unless they are the responses to these images, in order."""
    parts = unpack_batch(batch.frame[2])
    if len(parts) != 2 * len(images):
        raise GarbledResponseError(f"{len(parts)} parts for {len(images)} images")
    responses = []
    for image, head, data in zip(images, parts[::2], parts[1::2], strict=True):
        frame, crc32c, time_us = unpack_part(head, data)
        if crc32c != checksum(options, image):
            raise GarbledResponseError("the response to another image")
        responses.append(ForkResponse(frame, time_us / 1e6))
    return responses


_used = threading.local()
_idle: list[SandboxProcess] = []
_incidents = 0
"""Responses that no decoder gives."""
_lock = threading.Lock()


def start_worker() -> None:
    """Starts a process ahead of its first request; it takes a third of a second to be ready."""
    with _lock:
        if not _idle:
            _idle.append(SandboxProcess())


def confinement() -> str:
    """What confines the sandbox on this machine beyond its resource limits, measured by using it:
    `seccomp, landlock 7`."""
    process = _take()
    try:
        process.start_fork()
    except ProcessLostError as error:
        process.close()
        raise _not_started(str(error)) from error
    with _lock:
        _idle.append(process)
    return process.statement


def confinement_in_use() -> str:
    """`confinement` of the processes that have responded to requests of this process; empty if
    there were none."""
    with _lock:
        return next((process.statement for process in _idle if process.statement), "")


def request(kind: int, options: bytes, data: bytes, *, cpu_s: float | None = None) -> Frame:
    """Sends one request to an idle sandbox process, or to a new one, and returns its response.

    It may take `cpu_s` of processor time, by default `limits.MAX_CPU_S`. A request that kills the
    process, or raises in it, gives a drop. Raises `WorkerLostError` if no process can be started.
    """
    return _perform((kind, options, data), cpu_s or limits.MAX_CPU_S).frame


def _perform(
    frame: Frame, cpu_s: float, *, parts: int = 1, attempts: int = limits.MAX_KILLS
) -> ForkResponse:
    """The response to a request, or the drop of what it does to one process after another.

    A death is held against an image only if a new fork dies of it too: the first may have been
    damaged by an earlier image, or killed from outside.
    """
    deaths: list[ForkDeath] = []
    used_s = 0.0
    lost = 0
    reason = ""
    while lost < limits.MAX_STARTS:
        process = _take()
        try:
            outcome = process.request(frame, cpu_s, parts)
        except ProcessLostError as error:
            process.close()
            lost += 1
            reason = str(error)
            continue
        except BaseException:
            # An interrupted build: what the fork still sends is no response to a later request.
            process.close()
            raise
        if isinstance(outcome, ForkDeath) and outcome.garbled:
            process.close()
        else:
            with _lock:
                _idle.append(process)
        used_s += outcome.cpu_s
        _used.cpu_s = cpu_time_s() + outcome.cpu_s
        if isinstance(outcome, ForkResponse):
            return ForkResponse(_without_fault(outcome.frame), used_s)
        deaths.append(outcome)
        if len(deaths) >= attempts or _is_final(deaths):
            drop = _drop_of_death(outcome, cpu_s)
            return ForkResponse((DROP, pack_drop(drop), b""), used_s)
    raise _not_started(reason)


def cpu_time_s() -> float:
    """Processor time that sandbox processes took for the requests of this thread so far."""
    return float(getattr(_used, "cpu_s", 0.0))


def _take() -> SandboxProcess:
    with _lock:
        process = _idle.pop() if _idle else None
        incidents = _incidents
    if process is None:
        process = SandboxProcess()
    elif process.distrusted < incidents:
        process.drop_fork()
    process.distrusted = incidents
    return process


def _not_started(reason: str) -> WorkerLostError:
    return WorkerLostError(
        "the sandbox process that decodes images cannot be started: "
        f"{reason or 'see its message above'}"
    )


def _without_fault(frame: Frame) -> Frame:
    kind, text, _ = frame
    if kind != FAULT:
        return frame
    # An exception that nobody foresaw drops this image or page; it must not end a build of days.
    message = text.decode("utf-8", "replace")[:200]
    return DROP, pack_drop(Drop(Reason.DECODER_CRASH, message)), b""


def _is_final(deaths: Sequence[ForkDeath]) -> bool:
    """Whether a request that ended forks so is not sent again."""
    if deaths[-1].status == -signal.SIGPROF:
        # Processor time hardly depends on other work: another attempt would take as long.
        return True
    crashes = sum(_is_crash(death) for death in deaths)
    hangs = sum(death.hung for death in deaths)
    return crashes >= limits.MAX_CRASHES or hangs >= limits.MAX_HANGS


def _is_crash(death: ForkDeath) -> bool:
    own = death.status >= 0 or -death.status in _OWN_FAULTS
    return own and not (death.idle or death.hung or death.garbled)


def _drop_of_death(death: ForkDeath, cpu_s: float) -> Drop:
    if death.status == -signal.SIGPROF:
        return Drop(Reason.DECODER_TIMEOUT, f"{cpu_s:g} s of a processor")
    if death.hung:
        return Drop(Reason.DECODER_TIMEOUT, "asleep")
    if death.garbled:
        return Drop(Reason.DECODER_CRASH, "garbled response", retryable=True)
    if death.status == OUT_OF_MEMORY:
        return Drop(Reason.DECODER_CRASH, "out of memory")
    # A signal from outside is no fault of the image.
    return Drop(Reason.DECODER_CRASH, _exit_name(death.status), retryable=not _is_crash(death))


def _exit_name(status: int) -> str:
    try:
        return signal.Signals(-status).name if status < 0 else f"exit {status}"
    except ValueError:
        return f"signal {-status}"


def close_all() -> None:
    """Ends every idle sandbox process; the next request starts a new one."""
    with _lock:
        ended = [*_idle]
        _idle.clear()
    for process in ended:
        process.close()


def _forget_all() -> None:
    global _lock
    _idle.clear()
    _lock = threading.Lock()


atexit.register(close_all)
# `process` closes the sockets in a fork of this process.
os.register_at_fork(after_in_child=_forget_all)
