"""Decoders that are killed at any moment: every response belongs to its request."""

import hashlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from wenlan_data.image.check import check_and_encode
from wenlan_data.image.rules import ImageRules
from wenlan_data.image.stored_pixels import decode_stored
from wenlan_data.records import Drop
from wenlan_data.sandbox import client as sandbox
from wenlan_data.sandbox import limits, process
from wenlan_data.sandbox.client import ExaminedImage
from wenlan_data.testing import make_image

RULES = ImageRules(min_bytes=0, min_side_px=1, max_side_px=64)
IMAGES = [make_image(seed, width=90 + seed, height=80) for seed in range(40)]
DIGESTS = [hashlib.sha256(data).hexdigest() for data in IMAGES]


@pytest.fixture(autouse=True)
def _new_processes() -> Iterator[None]:
    sandbox.close_all()
    yield
    sandbox.close_all()


@pytest.fixture(scope="module")
def wanted() -> list[ExaminedImage]:
    checked = [check_and_encode(data, RULES, jpeg_quality=90) for data in IMAGES]
    assert not any(isinstance(one, Drop) for one in checked)
    return [ExaminedImage(*one) for one in checked if not isinstance(one, Drop)]


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def live_processes() -> list[process.SandboxProcess]:
    return [one for one in list(process._processes) if one._process.returncode is None]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_fork_that_dies_while_idle_costs_no_image(
    number: int, wanted: list[ExaminedImage]
) -> None:
    for index, data in enumerate(IMAGES):
        [found] = sandbox.check_images([data], [DIGESTS[index]], RULES, 90)
        assert found == wanted[index]
        kill(sandbox._idle[-1].fork_pid, number)
        if index % 2:
            time.sleep(0.01)  # dead before the next request, and while it is sent


def test_every_fork_may_die_between_two_batches(wanted: list[ExaminedImage]) -> None:
    for start in range(0, len(IMAGES), 4):
        part = slice(start, start + 4)
        assert sandbox.check_images(IMAGES[part], DIGESTS[part], RULES, 90) == wanted[part]
        kill(sandbox._idle[-1].fork_pid)


@contextmanager
def killer(rest_s: float, every: int) -> Iterator[Callable[[], int]]:
    """Kills forks of all sandbox processes at random moments, and each `every`th time a process
    itself; yields the number of kills so far."""
    stop = threading.Event()
    kills = [0]

    def run() -> None:
        chance = random.Random(1)
        while not stop.wait(chance.uniform(0, 2 * rest_s)):
            if some := live_processes():
                one = chance.choice(some)
                pid = one.pid if kills[0] % every == every - 1 else one.fork_pid
                if pid:
                    kill(pid)
                    kills[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lambda: kills[0]
    finally:
        stop.set()
        thread.join()


def test_threads_beside_a_killer_get_their_own_responses(wanted: list[ExaminedImage]) -> None:
    """Single requests, batches and pixels, thousands in all."""
    wrong: list[object] = []
    jpegs = [one.jpeg for one in wanted]
    pixels = [decode_stored(jpeg) for jpeg in jpegs]
    counts = [0] * 3

    def check(thread: int) -> None:
        chance = random.Random(thread)
        end_s = time.monotonic() + 12
        while time.monotonic() < end_s:
            indexes = chance.sample(range(len(IMAGES)), chance.choice((1, 1, 3, 8)))
            some = [IMAGES[index] for index in indexes]
            found = sandbox.check_images(some, [DIGESTS[index] for index in indexes], RULES, 90)
            counts[thread] += len(some)
            if found != [wanted[index] for index in indexes]:
                wrong.append((indexes, found))
            decoded = sandbox.decode_stored(jpegs[indexes[0]])
            expected = pixels[indexes[0]]
            if isinstance(decoded, Drop) or isinstance(expected, Drop):
                wrong.append(decoded)
            elif decoded.tobytes() != expected.tobytes():
                wrong.append(indexes[0])

    with killer(rest_s=0.05, every=60) as kills:
        threads = [threading.Thread(target=check, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        killed = kills()
    assert wrong == []
    assert killed > 20, "a killer that kills nothing proves nothing"
    assert sum(counts) > 200


LYING = """
import os
from wenlan_data.sandbox import protocol, worker

real, pack = worker.send, worker.pack_part
mark = os.environ["TMPDIR"] + "/lied"

def lie(link, message, *rest):
    if ARMED and message.number: message = protocol.Message(
        message.frame, message.number + NUMBER, message.crc32c ^ CHECKSUM, message.time_us)
    real(link, message, *rest)

def lie_in_part(frame, crc32c, time_us):
    return pack(frame, crc32c ^ (PART if ARMED else 0), time_us)

# The first process lies, the one after it does not.
ARMED = not os.path.exists(mark)
open(mark, "w").close()
NUMBER, CHECKSUM, PART = LIE
worker.send, worker.pack_part = lie, lie_in_part
worker.main()
"""


@pytest.mark.parametrize("lie", ["(1, 0, 0)", "(0, 1, 0)", "(0, 0, 1)"])
def test_a_process_whose_responses_do_not_match_is_replaced(
    lie: str, wanted: list[ExaminedImage], tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"{tmp_path}/lying.py"
    with open(script, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(LYING.replace("= LIE", f"= {lie}"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(process, "WORKER_COMMAND", (script,))
    sandbox.start_worker()
    lying_pid = sandbox._idle[-1].pid
    assert sandbox.check_images(IMAGES[:8], DIGESTS[:8], RULES, 90) == wanted[:8]
    assert lying_pid not in {one.pid for one in sandbox._idle}


def test_a_decoder_that_is_always_killed_drops_its_image_as_transient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that it ends, and `--retry-failed` fetches the image again."""
    real = process.SandboxProcess.request

    def killed(self: process.SandboxProcess, *given: object) -> object:
        self.start_fork()
        os.kill(self.fork_pid, signal.SIGKILL)
        return real(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(process.SandboxProcess, "request", killed)
    found = sandbox.check_image(IMAGES[0], RULES)
    assert found == Drop("decoder_crash", "SIGKILL", retryable=True)


def test_a_stopped_fork_is_replaced(
    wanted: list[ExaminedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "POLL_S", 0.05)
    sandbox.check_images(IMAGES[:1], DIGESTS[:1], RULES, 90)
    kill(sandbox._idle[-1].fork_pid, signal.SIGSTOP)
    assert sandbox.check_images(IMAGES[:1], DIGESTS[:1], RULES, 90) == wanted[:1]


def test_a_fork_ends_with_its_process() -> None:
    sandbox.check_image(IMAGES[0], RULES)
    fork_pid = sandbox._idle[-1].fork_pid
    kill(sandbox._idle[-1].pid)
    for _ in range(200):
        try:
            os.kill(fork_pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the fork still runs")


def test_an_interrupted_request_leaves_no_response_behind(
    wanted: list[ExaminedImage],
) -> None:
    """A signal of the operator ends a request in the middle."""

    class InterruptedError(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for turn in range(6):
            index = turn % len(IMAGES)
            # Not where the client takes or returns a process, but anywhere in the exchange.
            signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.001 * turn)
            found: list[ExaminedImage] | None = None
            try:
                found = sandbox.check_images(
                    IMAGES[index : index + 8], DIGESTS[index : index + 8], RULES, 90
                )
                signal.setitimer(signal.ITIMER_REAL, 0)
            except InterruptedError:
                interrupted += 1
            else:
                assert found == wanted[index : index + 8]
            assert sandbox.check_images([IMAGES[index]], [DIGESTS[index]], RULES, 90) == [
                wanted[index]
            ]
    finally:
        signal.signal(signal.SIGALRM, before)
    assert interrupted
