"""A hostile decoder: the client continues, and the image is dropped with its reason."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wenlan_data.errors import DamageError
from wenlan_data.image.check import check_and_encode, check_image
from wenlan_data.image.normalise import normalise
from wenlan_data.image.rules import ImageRules
from wenlan_data.image.thumbnail import thumbnail_jpeg
from wenlan_data.records import Drop
from wenlan_data.sandbox import client as sandbox
from wenlan_data.sandbox import limits, process, protocol
from wenlan_data.sandbox.client import ExaminedImage
from wenlan_data.testing import make_image

RULES = ImageRules()

# The real worker, except for images whose last bytes name what the decoder does.
HOSTILE = """
import os, signal, time, socket
from wenlan_data.sandbox import worker

real = worker.HANDLERS[worker.CHECK]

def hostile_check(options, data):
    order = data[-8:].strip(b"_")
    if order == b"segv": os.kill(os.getpid(), signal.SIGSEGV)
    if order == b"abort": os.abort()
    if order == b"hang": time.sleep(1000)
    if order == b"spin":
        while True: pass
    if order == b"exit": os._exit(5)
    if order == b"leak":
        kept = [bytes(1 << 26) for _ in range(64)]
    if order == b"file": open("/tmp/never", "wb")
    if order == b"socket": socket.socket()
    return real(options, data)

worker.HANDLERS[worker.CHECK] = hostile_check
worker.main()
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    script = tmp_path / "hostile.py"
    script.write_text(HOSTILE)
    sandbox.close_all()
    monkeypatch.setattr(process, "WORKER_COMMAND", (str(script),))
    monkeypatch.setattr(limits, "MAX_CPU_S", 0.5)
    monkeypatch.setattr(limits, "POLL_S", 0.1)
    yield
    sandbox.close_all()


def image_with_order(seed: int, order: str) -> bytes:
    return make_image(seed) + order.encode().rjust(8, b"_")


def digests(several: list[bytes]) -> list[str]:
    return [hashlib.sha256(data).hexdigest() for data in several]


def test_results_equal_those_in_the_same_process() -> None:
    for data in (
        make_image(1),
        make_image(2, kind="PNG"),
        b"",
        b"<html>" * 999,
        make_image(3)[:5000],
        make_image(4, width=50),
    ):
        assert sandbox.check_image(data, RULES) == check_image(data, RULES)


def test_a_batch_gives_the_results_of_single_requests() -> None:
    several = [
        make_image(1),
        b"",
        make_image(2, kind="PNG"),
        make_image(3)[:5000],
        make_image(4, width=50),
    ]
    wanted = [
        ExaminedImage(one) if isinstance(one, Drop) else ExaminedImage(*one)
        for one in (check_and_encode(data, RULES, jpeg_quality=90) for data in several)
    ]
    assert sandbox.check_images(several, digests(several), RULES, 90) == wanted
    assert sandbox.check_images([], [], RULES, 90) == []


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(
    ("order", "reason"), [("segv", "decoder_crash"), ("spin", "decoder_timeout")]
)
def test_in_a_batch_only_the_image_that_kills_the_decoder_is_dropped(
    order: str, reason: str
) -> None:
    several = [make_image(1), image_with_order(2, order), make_image(3)]
    found = sandbox.check_images(several, digests(several), RULES, 90)
    assert [found[0], found[2]] == [
        ExaminedImage(check_image(several[0], RULES)),
        ExaminedImage(check_image(several[2], RULES)),
    ]
    assert isinstance(found[1].found, Drop)
    assert found[1].found.reason == reason


def test_an_image_is_normalised_as_in_the_same_process() -> None:
    data = make_image(5, width=700, height=500)
    made = sandbox.normalise(data, max_side_px=300, jpeg_quality=90)
    assert made == normalise(data, max_side_px=300, jpeg_quality=90)
    with pytest.raises(DamageError, match="cannot be decoded"):
        sandbox.normalise(data[:9000], max_side_px=300, jpeg_quality=90)


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(
    ("order", "drop"),
    [
        ("segv", Drop("decoder_crash", "SIGSEGV")),
        ("abort", Drop("decoder_crash", "SIGABRT")),
        ("exit", Drop("decoder_crash", "exit 5")),
        ("leak", Drop("decoder_crash", "out of memory")),
        ("hang", Drop("decoder_timeout", "asleep", retryable=True)),
        ("spin", Drop("decoder_timeout", "0.5 s of a processor", retryable=True)),
    ],
)
def test_an_image_that_kills_the_decoder_is_a_drop_and_the_next_one_is_accepted(
    order: str, drop: Drop
) -> None:
    good = sandbox.check_image(make_image(1), RULES)
    assert sandbox.check_image(image_with_order(1, order), RULES) == drop
    assert sandbox.check_image(make_image(1), RULES) == good


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("order", ["file", "socket"])
def test_files_and_sockets_cannot_be_opened(order: str) -> None:
    found = sandbox.check_image(image_with_order(1, order), RULES)
    assert isinstance(found, Drop)
    assert found.reason == "decoder_crash"
    assert found.detail.startswith(("PermissionError", "OSError"))


@pytest.mark.usefixtures("hostile")
def test_of_a_thousand_images_only_the_five_hostile_ones_are_dropped() -> None:
    orders = {100: "segv", 300: "abort", 500: "exit", 700: "segv", 999: "spin"}
    small = make_image(1, width=100, height=100)
    found = [
        sandbox.check_image(small + orders.get(number, "fine").encode().rjust(8, b"_"), RULES)
        for number in range(1000)
    ]
    assert sorted(n for n, one in enumerate(found) if isinstance(one, Drop)) == sorted(orders)


def test_threads_send_requests_in_parallel() -> None:
    wanted = [check_image(make_image(seed), RULES) for seed in range(6)]
    found: dict[int, object] = {}

    def check(seed: int) -> None:
        found[seed] = [sandbox.check_image(make_image(seed), RULES) for _ in range(5)]

    threads = [threading.Thread(target=check, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {seed: [wanted[seed]] * 5 for seed in range(6)}


def test_the_worker_ends_with_its_client() -> None:
    script = (
        "import os, signal\n"
        "from wenlan_data.image.rules import ImageRules\n"
        "from wenlan_data.sandbox import client as sandbox\n"
        "from wenlan_data.testing import make_image\n"
        "sandbox.check_image(make_image(1), ImageRules())\n"
        "print(sandbox._idle[0].pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    worker_pid = int(done.stdout)
    for _ in range(200):
        if (
            not Path(f"/proc/{worker_pid}/stat").exists()
            or Path(f"/proc/{worker_pid}/stat").read_text().split()[2] == "Z"
        ):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the sandbox process still runs")


def test_a_worker_that_was_killed_from_outside_is_replaced() -> None:
    sandbox.check_image(make_image(1), RULES)
    os.kill(sandbox._idle[-1].pid, signal.SIGKILL)
    assert sandbox.check_image(make_image(1), RULES) == check_image(make_image(1), RULES)


@pytest.mark.parametrize(
    "data",
    [
        make_image(1),
        make_image(2, kind="PNG"),
        make_image(3, width=50),
        make_image(4)[:5000],
        b"<html>",
    ],
)
def test_a_thumbnail_is_as_in_the_same_process(data: bytes) -> None:
    assert sandbox.thumbnail_jpeg(data, side_px=60, quality=70) == thumbnail_jpeg(
        data, side_px=60, quality=70
    )


def test_an_image_that_kills_the_decoder_has_no_thumbnail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "hostile.py"
    script.write_text("import os\nfrom wenlan_data.sandbox import worker\n"
                      "worker.HANDLERS[worker.THUMBNAIL] = lambda *_: os.abort()\nworker.main()")  # fmt: skip
    sandbox.close_all()
    monkeypatch.setattr(process, "WORKER_COMMAND", (str(script),))
    assert sandbox.thumbnail_jpeg(make_image(1), side_px=60, quality=70) is None
    sandbox.close_all()


def test_a_response_that_comes_byte_by_byte_is_watched() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    looks: list[float] = []

    def look() -> None:
        looks.append(time.monotonic())
        if len(looks) == 2:
            raise TimeoutError

    def drip() -> None:
        theirs.sendall(protocol.pack_batch([]).ljust(17, b"\0") + (99).to_bytes(4, "little"))
        for _ in range(99):
            time.sleep(0.1)
            try:
                theirs.sendall(b"x")
            except OSError:
                return

    dripping = threading.Thread(target=drip)
    with theirs, ours:
        dripping.start()
        with pytest.raises(TimeoutError):
            protocol.receive(ours, look)
        # No byte came later than the socket's timeout.
        assert limits.POLL_S <= looks[1] - looks[0] < 5
        ours.close()
        dripping.join()


LOW_LIMIT = """
import resource
from wenlan_data.errors import WorkerLostError
from wenlan_data.image.rules import ImageRules
from wenlan_data.sandbox import client
from wenlan_data.testing import make_image

resource.setrlimit(resource.RLIMIT_DATA, (700 << 20, 700 << 20))
for ask in (client.confinement, lambda: client.check_image(make_image(1), ImageRules())):
    try:
        print("found", ask())
    except WorkerLostError as error:
        print(error)
"""


def test_with_less_memory_than_decoders_need_nothing_is_dropped() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOW_LIMIT], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.endswith("(ulimit -d) is 700 MiB, and decoders need 1024: raise it")
    assert not done.stderr
