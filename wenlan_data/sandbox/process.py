"""The sandbox process as its client sees it: one request at a time to the current fork, and how a
fork ended that did not respond."""

import os
import signal
import socket
import subprocess
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.sandbox import limits
from wenlan_data.sandbox.environment import child_environment
from wenlan_data.sandbox.protocol import (
    FORKED,
    GARBLED_REQUEST,
    NOT_READY,
    READY,
    Frame,
    GarbledResponseError,
    Message,
    checksum,
    receive,
    send,
)

WORKER_COMMAND: tuple[str, ...] = ("-m", "wenlan_data.sandbox.worker")
"""Arguments of Python. Tests replace it by a script that changes `worker.HANDLERS`, then calls
`worker.main()`."""
_SOCKET_BUFFER_BYTES = 1 << 20
_SLEEPING = frozenset("STt")
"""States of a process in `/proc`: asleep, stopped, traced. One that runs or waits for a processor,
a page of memory or a disk is in another."""


class ProcessLostError(Exception):
    """The sandbox process ended, or did not start; the message, if any, says why."""


class _HungError(Exception):
    """The fork sleeps instead of working."""


class _OverTimeError(Exception):
    """The fork used much more processor time than it should have been able to."""


@dataclass(frozen=True, slots=True)
class ForkResponse:
    """A fork's response to a request."""

    frame: Frame
    cpu_s: float


@dataclass(frozen=True, slots=True)
class ForkDeath:
    """How a fork ended during a request."""

    status: int
    """Exit status, negative for a signal."""
    cpu_s: float
    """Since its last response."""
    hung: bool = False
    garbled: bool = False
    """Whether it received or sent other bytes than it should have."""
    idle: bool = False
    """Whether it was dead before the request reached it."""


@dataclass(slots=True)
class _Fork:
    link: socket.socket
    pid: int
    requests: int = 0
    cpu_s: float = 0.0
    """Of all its responses."""


class SandboxProcess:
    """A sandbox process and its current fork.

    A fork has a socket for itself, so that a response cannot reach the request of another fork;
    and it states number and checksum of the request that it responds to.
    """

    def __init__(self) -> None:
        self.statement = ""
        """What confines its forks."""
        self.distrusted = 0
        """For the client: up to which incident its fork was replaced."""
        self._control, theirs = socket.socketpair()
        self._control.settimeout(limits.MAX_START_S)
        self._fork: _Fork | None = None
        self._number = 0
        # A new interpreter and not a fork: a fork of this process would hold its open files, its
        # memory and locks of its threads. -P keeps the working folder out of the import path, and
        # no file but the socket is passed on. The session is its own: Ctrl-Z and Ctrl-C are for
        # the client.
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", *WORKER_COMMAND, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=child_environment(os.environ),
                start_new_session=True,
            )
        _processes.add(self)

    @property
    def pid(self) -> int:
        """Of the process that makes the forks."""
        return self._process.pid

    @property
    def fork_pid(self) -> int:
        """Of the current fork; 0 without one."""
        return self._fork.pid if self._fork else 0

    def start_fork(self) -> None:
        """Makes the first fork. Raises `ProcessLostError`."""
        if self._fork is None:
            self._replace_fork()

    def drop_fork(self) -> None:
        """Gives up the current fork; the next request gets another one."""
        if self._fork:
            self._fork.link.close()
            self._fork = None

    def request(self, frame: Frame, cpu_s: float, parts: int = 1) -> ForkResponse | ForkDeath:
        """Sends a request to the fork; it may take `cpu_s` of processor time for each of its
        `parts`.

        Raises `ProcessLostError` if the process does not exist any more.
        """
        if self._fork is None or self._fork.requests >= limits.MAX_REQUESTS:
            self._replace_fork()
        fork = self._fork
        assert fork is not None
        self._number += 1
        number, crc32c = self._number & 0xFFFFFFFF, checksum(frame[1], frame[2])
        watch = _Watch(fork.pid, 2 * cpu_s * parts + 1)
        sent = hung = over_time = garbled = False
        response = None
        try:
            send(fork.link, Message(frame, number, crc32c, int(cpu_s * 1e6)), watch)
            sent = True
            response = receive(fork.link, watch)
        except _HungError:
            hung = True
        except _OverTimeError:
            over_time = True
        except GarbledResponseError:
            garbled = True
        except OSError:
            pass
        if response and (response.number, response.crc32c) == (number, crc32c):
            fork.requests += 1
            fork.cpu_s += response.time_us / 1e6
            return ForkResponse(response.frame, response.time_us / 1e6)
        status, total_cpu_s = self._replace_fork()
        return ForkDeath(
            -signal.SIGPROF if over_time else status,
            max(0.0, total_cpu_s - fork.cpu_s),
            hung=hung,
            garbled=garbled or response is not None or status == GARBLED_REQUEST,
            idle=not sent,
        )

    def close(self) -> None:
        """Ends the process, which stops when its socket is closed."""
        self.disconnect()
        try:
            self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def disconnect(self) -> None:
        """Closes the sockets."""
        self._control.close()
        if self._fork:
            self._fork.link.close()

    def _replace_fork(self) -> tuple[int, float]:
        """Ends the fork and makes another one; returns how the old one ended: its exit status and
        its processor time. Raises `ProcessLostError`."""
        ended = self._make_fork()
        # A fork that was killed while it started is replaced like any other.
        for _ in range(limits.MAX_KILLS):
            if self._fork is not None:
                return ended
            self._make_fork()
        raise ProcessLostError("its forks end before they are ready")

    def _make_fork(self) -> tuple[int, float]:
        """As `_replace_fork`; without a fork where the new one ended before it was ready."""
        self.drop_fork()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                for end in (ours, theirs):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
                socket.send_fds(self._control, [b"F"], [theirs.fileno()])
                reported = self._control.recv(FORKED.size, socket.MSG_WAITALL)
            if len(reported) < FORKED.size:
                raise ProcessLostError
            status, cpu_us, pid = FORKED.unpack(reported)
            ours.settimeout(limits.POLL_S)
            ready = _first_message(ours, pid)
        except (OSError, GarbledResponseError, _HungError, _OverTimeError) as error:
            ours.close()
            raise ProcessLostError from error
        if ready is None:
            ours.close()
        elif ready.frame[0] == READY:
            self.statement = ready.frame[1].decode("ascii", "replace")
            self._fork = _Fork(ours, pid)
        else:
            ours.close()
            reason = ready.frame[1] if ready.frame[0] == NOT_READY else b"it is not confined"
            raise ProcessLostError(reason.decode("utf-8", "replace"))
        return status, cpu_us / 1e6


def _first_message(link: socket.socket, pid: int) -> Message | None:
    try:
        return receive(link, _Watch(pid, limits.MAX_START_S))
    except ConnectionError:
        return None  # it was killed


class _Watch:
    """Looks after a fork whose response is waited for; called every `limits.POLL_S`.

    Not by the clock: on a busy machine a process waits for a processor for minutes. Raises
    `_HungError` for one that sleeps or is stopped, `_OverTimeError` for one that has used
    `max_cpu_s` more than at the first call.
    """

    def __init__(self, pid: int, max_cpu_s: float) -> None:
        self._path = Path(f"/proc/{pid}/stat")
        self._max_cpu_s = max_cpu_s
        self._first_cpu_s = -1.0
        self._sleeps = 0
        self._polls = 0

    def __call__(self) -> None:
        self._polls += 1
        try:
            # The name before the state may hold spaces and parentheses.
            words = self._path.read_text("ascii", "replace").rpartition(")")[2].split()
            state, cpu_s = words[0], (int(words[11]) + int(words[12])) / _TICKS_A_SECOND
        except (OSError, IndexError, ValueError):
            if self._polls >= limits.MAX_UNSEEN_POLLS:
                raise _HungError from None
            return
        self._sleeps += state in _SLEEPING
        if self._sleeps >= limits.MAX_SLEEPS:
            raise _HungError
        if self._first_cpu_s < 0:
            self._first_cpu_s = cpu_s
        if cpu_s - self._first_cpu_s > self._max_cpu_s:
            raise _OverTimeError


def _disconnect_all() -> None:
    for process in list(_processes):
        process.disconnect()


_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_processes: "weakref.WeakSet[SandboxProcess]" = weakref.WeakSet()
# A fork shares the sockets: two processes would read each other's responses.
os.register_at_fork(after_in_child=_disconnect_all)
