"""A second Ctrl-C exits a process that is slow to end."""

import signal
import subprocess
import sys
import time

import pytest

from wenlan_data.stop_signals import SAME_REQUEST_S

SLOW_TO_END = """
import sys, time
from wenlan_data.run.signals import interruptible

with interruptible():
    try:
        print("begun", flush=True)
        time.sleep(600)
    finally:
        print("ending", flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_begins_the_end_and_the_second_is_the_end(
    first: signal.Signals, second: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_TO_END],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        process.send_signal(first)
        assert process.stdout.readline() == "ending\n"
        time.sleep(SAME_REQUEST_S + 0.1)
        process.send_signal(second)
        assert process.wait(60) == 11


def test_without_a_signal_everything_is_as_before() -> None:
    script = (
        "import signal; from wenlan_data.run.signals import interruptible\n"
        "before = [signal.getsignal(n) for n in (2, 15)]\n"
        "with interruptible(): pass\n"
        "assert before == [signal.getsignal(n) for n in (2, 15)]"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
