"""What a decoder that was taken over can do: the same attempts as root and as another user."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wenlan_data.sandbox import client as sandbox
from wenlan_data.sandbox import confinement, process
from wenlan_data.sandbox.protocol import CHECK

# A worker whose check of an image makes one attempt of each kind and states the outcome.
ATTEMPTS = """
import ctypes, json, os, resource, signal, socket, subprocess, sys, threading
from wenlan_data.sandbox import worker

libc = ctypes.CDLL(None, use_errno=True)
PARENT = os.getpid()

def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *(
        ctypes.c_long(one) if isinstance(one, int) else one for one in arguments))
    if result == -1: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def thread():
    thread = threading.Thread(target=print); thread.start(); thread.join()

def inet():
    socket.create_connection(("127.0.0.1", 9), 1)

ATTEMPTS = {
    "read a file": lambda: open("/etc/passwd").read(),
    "write a file": lambda: open("/tmp/taken-over", "w"),
    "list a folder": lambda: os.listdir("/"),
    "state of a file": lambda: os.stat("/etc/passwd"),
    "unlink": lambda: os.unlink("/tmp/no-such-file-of-the-test"),
    "rename": lambda: os.rename("/tmp/no-such-file-of-the-test", "/tmp/other"),
    "chmod": lambda: os.chmod("/tmp", 0o777),
    "TCP": inet,
    "UDP": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "Unix socket": lambda: socket.socket(socket.AF_UNIX),
    "netlink": lambda: socket.socket(socket.AF_NETLINK),
    "socket pair": socket.socketpair,
    "pipe": os.pipe,
    "duplicate": lambda: os.dup(0),
    "fork": lambda: os.fork() or os._exit(0),
    "thread": thread,
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "signal to the parent": lambda: os.kill(PARENT, 0),
    "signal to init": lambda: os.kill(1, 0),
    "signal to all": lambda: os.kill(-1, 0),
    "signal to the group": lambda: os.killpg(0, 0),
    "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99)),
    "lower a limit": lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 1 << 20)),
    "ptrace": lambda: call(CALLS["ptrace"], 16, PARENT, 0, 0),
    "read the parent": lambda: call(CALLS["process_vm_readv"], PARENT, 0, 0, 0, 0, 0),
    "write the parent": lambda: call(CALLS["process_vm_writev"], PARENT, 0, 0, 0, 0, 0),
    "mount": lambda: call(CALLS["mount"], b"none", b"/mnt", b"tmpfs", 0, 0),
    "unshare": lambda: call(CALLS["unshare"], 0x10000000),
    "keyring": lambda: call(CALLS["keyctl"], 0, -3, 0, 0, 0),
    "bpf": lambda: call(CALLS["bpf"], 0, 0, 0),
    "io_uring": lambda: call(425, 1, bytes(120)),
    "userfaultfd": lambda: call(CALLS["userfaultfd"], 0),
    "memfd": lambda: call(CALLS["memfd_create"], b"x", 0),
    "perf": lambda: call(CALLS["perf_event_open"], bytes(120), 0, -1, -1, 0),
    "pidfd": lambda: call(434, PARENT, 0),
    "clone3": lambda: call(435, bytes(88), 88),
    "become root": lambda: os.setuid(0) if os.getuid() else call(CALLS["setuid"], 1),
    "set the name": lambda: libc.prctl(15, b"innocent") and call(-1),
    "code in memory": lambda: __import__("mmap").mmap(-1, 4096, prot=7, flags=0x22),
    "shared memory": lambda: __import__("mmap").mmap(-1, 4096),
    "system log": lambda: call(CALLS["syslog"], 10, 0, 0),
    "host name": lambda: socket.sethostname("taken-over"),
    "reboot": lambda: call(CALLS["reboot"], 0, 0, 0, 0),
    "module": lambda: call(CALLS["init_module"], 0, 0, 0),
    "terminal": lambda: __import__("fcntl").ioctl(0, 0x5412, b"x"),
}
COLUMN = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
CALLS = {name: both[COLUMN] for name, both in {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "mount": (165, 40), "unshare": (272, 97), "keyctl": (250, 219), "bpf": (321, 280),
    "userfaultfd": (323, 282), "memfd_create": (319, 279), "perf_event_open": (298, 241),
    "setuid": (105, 146), "syslog": (103, 116), "reboot": (169, 142), "init_module": (175, 105),
}.items()}

def attempt(options, data):
    outcomes = {}
    for name, work in ATTEMPTS.items():
        try: work(); outcomes[name] = "done"
        except BaseException as error: outcomes[name] = type(error).__name__
    state = open_files = None
    outcomes["files"] = [number for number in range(256) if is_open(number)]
    outcomes["environment"] = sorted(os.environ)
    outcomes["dumpable"] = DUMPABLE[0]
    return worker.RESULT, json.dumps(outcomes).encode(), b""

def is_open(number):
    try: os.fstat(number); return True
    except OSError: return False

# prctl itself is denied later.
DUMPABLE = []
real = worker._confined
def confined(descriptor):
    DUMPABLE.append(libc.prctl(3, 0, 0, 0, 0))
    return real(descriptor)
worker._confined = confined
worker.HANDLERS[worker.CHECK] = attempt
worker.main()
"""
DRIVER = """
import json, os, sys
from wenlan_data.sandbox import client, process
from wenlan_data.sandbox.protocol import CHECK

process.WORKER_COMMAND = (sys.argv[1],)
statement = client.confinement()
kind, text, _ = client.request(CHECK, b"", b"")
fork_pid, pid = client._idle[-1].fork_pid, client._idle[-1].pid
def readable(one):
    try: open(f"/proc/{one}/mem", "rb").close(); return True
    except OSError: return False

print(json.dumps({
    "statement": statement, "outcomes": json.loads(text), "user": os.getuid(),
    "readable": [readable(fork_pid), readable(pid)],
    "sessions": [os.getsid(fork_pid), os.getsid(0)],
}))
"""
HARMLESS = {"set the name"}
"""Attempts whose outcome says nothing about confinement."""


def _report(tmp_path: Path, user: int) -> dict[str, object]:
    if user and shutil.which("setpriv") is None:
        pytest.skip("no setpriv to become another user")
    script, driver = tmp_path / "attempts.py", tmp_path / "driver.py"
    script.write_text(ATTEMPTS)
    driver.write_text(DRIVER)
    # The interpreter and the package may lie where another user cannot read: that is the one right
    # which it keeps.
    right = "+dac_read_search"
    other = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
             f"--inh-caps={right}", f"--ambient-caps={right}"] if user else []  # fmt: skip
    done = subprocess.run(
        [*other, sys.executable, str(driver), str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AWS_SECRET_ACCESS_KEY": "x", "HF_TOKEN": "x", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


USERS = [0] if os.getuid() else [0, 65534]
"""0: the user that runs the tests."""


@pytest.mark.parametrize("user", USERS)
def test_a_decoder_that_was_taken_over_reaches_nothing(tmp_path: Path, user: int) -> None:
    report = _report(tmp_path, user)
    assert report["user"] == (user or os.getuid())
    outcomes = report["outcomes"]
    assert isinstance(outcomes, dict)
    files, environment = outcomes.pop("files"), outcomes.pop("environment")
    assert outcomes.pop("dumpable") == 0
    if report["statement"] == "resource limits only":
        pytest.skip("this kernel has neither seccomp nor Landlock")
    done = {name for name, outcome in outcomes.items() if outcome == "done"}
    assert done <= HARMLESS
    # Three that lead nowhere, and the socket to the client.
    assert len(files) == 4
    assert {"AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "HOME"}.isdisjoint(environment)
    sessions = report["sessions"]
    assert isinstance(sessions, list)
    assert len(set(sessions)) == 2
    if user:
        assert report["readable"] == [False, False]
    assert not Path("/tmp/taken-over").exists()


def test_what_is_in_force_is_what_the_kernel_has() -> None:
    statement = sandbox.confinement()
    actions = Path("/proc/sys/kernel/seccomp/actions_avail")
    if actions.exists() and os.uname().machine in {"x86_64", "aarch64"}:
        assert "seccomp" in statement
    assert statement == sandbox.confinement()
    status = Path(f"/proc/{sandbox._idle[-1].fork_pid}/status").read_text()
    filters = next(line for line in status.splitlines() if line.startswith("Seccomp:"))
    assert (filters.split()[1] == "2") == ("seccomp" in statement)


WITHOUT = """
from wenlan_data.sandbox import confinement, worker
confinement._system_call = lambda *_: -1
worker.main()
"""


def test_without_both_the_limits_hold_and_are_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a kernel that has neither: every one of their system calls fails."""
    script = tmp_path / "without.py"
    script.write_text(WITHOUT)
    sandbox.close_all()
    monkeypatch.setattr(process, "WORKER_COMMAND", (str(script),))
    assert sandbox.confinement() == "resource limits only"
    kind, _, _ = sandbox.request(CHECK, b"{}", b"")
    assert kind
    sandbox.close_all()


@pytest.mark.parametrize("machine", confinement._MACHINES)
def test_the_filter_of_every_machine_is_a_program_that_ends(machine: str) -> None:
    """Each jump stays inside, no number is listed twice, and the last step denies."""
    column, architecture = confinement._MACHINES[machine]
    code = confinement._program(column, architecture, 4711)
    for place, step in enumerate(code):
        operation, if_true, if_false = int.from_bytes(step[:2], "little"), step[2], step[3]
        assert operation == confinement._RETURN or place + 1 + max(if_true, if_false) < len(code)
    assert code[-1] == confinement._step(confinement._RETURN, 0x00050001)
    tables = (confinement._CALLS, confinement._SIGNALS)
    numbers = [both[column] for table in tables for both in table.values()]
    numbers += [confinement._MMAP[column], confinement._MPROTECT[column]]
    listed = [number for number in numbers if number is not None]
    assert len(listed) == len(set(listed))
    assert len(code) < 4096
