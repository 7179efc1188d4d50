"""What the kernel denies to a fork of the sandbox beyond its resource limits: seccomp and Landlock,
where it has them.

Landlock takes away every file, TCP, and signals to other processes; seccomp leaves the few dozen
system calls that a decoder needs, so that most of the kernel is out of reach. Both are measured by
using them: what a fork states is in force. A kernel with neither (before 3.17 and 5.13, or with
them switched off) leaves the limits of `worker`.
"""

import ctypes
import errno
import os
import platform
import signal
import struct

# include/uapi/linux/prctl.h and friends.
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SECCOMP_SET_MODE_FILTER = 1
_SPEC_ALLOW = 1 << 2
"""Without it, kernels before 5.16 switch speculation off, which costs a decoder up to a third."""
_CAPABILITY_VERSION_3 = 0x20080522
_LANDLOCK_VERSION = 1 << 0

_KILL_PROCESS, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT = 0x40000000
_PROT_EXEC, _MAP_SHARED = 4, 1

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of `_CALLS`, and the kernel's name of the architecture."""
_CALLS = {
    "recvfrom": (45, 207), "recvmsg": (47, 212), "sendmsg": (46, 211), "sendto": (44, 206),
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "close": (3, 57),
    "fstat": (5, 80), "lseek": (8, 62), "munmap": (11, 215), "mremap": (25, 216), "brk": (12, 214),
    "madvise": (28, 233), "futex": (202, 98), "set_robust_list": (273, 99), "rseq": (334, 293),
    "membarrier": (324, 283), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "restart_syscall": (219, 128),
    "getitimer": (36, 102), "setitimer": (38, 103), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "getrusage": (98, 165), "sysinfo": (99, 179),
    "getrandom": (318, 278), "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "getcpu": (309, 168), "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
"""System calls that are allowed with any arguments; by machine."""
_SIGNALS = {"kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131)}
"""Allowed to the process itself: `abort` uses them."""
_MMAP, _MPROTECT, _PRLIMIT64 = (9, 222), (10, 226), (302, 261)
_SECCOMP, _CAPSET = (317, 277), (126, 91)
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_LIBC = ctypes.CDLL(None, use_errno=True)


def statement(*, seccomp: bool, landlock: int) -> str:
    """What is in force, as one line.

    >>> statement(seccomp=True, landlock=7)
    'seccomp, landlock 7'
    """
    parts = ["seccomp"] * seccomp + [f"landlock {landlock}"] * (landlock > 0)
    return ", ".join(parts) or "resource limits only"


def hide_from_debuggers() -> None:
    """Makes the calling process unreadable to other processes of its user: no ptrace, no core."""
    _prctl(_PR_SET_DUMPABLE, 0)


def end_with_parent(parent_pid: int) -> None:
    """Makes the kernel kill the calling process when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(0)


def restrict_files() -> int:
    """Denies the calling process, for good, all that Landlock knows: rules without an exception.

    Returns the version of Landlock's interface; 0 where it is not in force. Needs a free file
    descriptor.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    version = _system_call(_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION)
    if version < 1:
        return 0
    files = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):
        files |= (1 << bit) * (version >= since)
    network = 3 if version >= 4 else 0
    # Abstract Unix sockets and signals.
    scopes = 3 if version >= 6 else 0
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = struct.pack("=QQQ", files, network, scopes)[:size]
    ruleset = _system_call(_LANDLOCK_CREATE, rules, size, 0)
    if ruleset < 0:
        return 0
    failed = _system_call(_LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return 0 if failed else version


def filter_calls() -> bool:
    """Takes away the calling process's capabilities and, for good, all system calls but those of
    this file; returns whether the kernel filters them."""
    machine = _MACHINES.get(platform.machine())
    if machine is None or struct.calcsize("P") != 8:
        return False
    column, architecture = machine
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # Root could otherwise raise the resource limits again.
    _system_call(_CAPSET[column], struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24))
    code = b"".join(_program(column, architecture, os.getpid()))
    instructions = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(instructions))
    return any(
        _system_call(_SECCOMP[column], _SECCOMP_SET_MODE_FILTER, flags, program) == 0
        for flags in (_SPEC_ALLOW, 0)
    )


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_long(0)
    _LIBC.prctl(ctypes.c_int(option), ctypes.c_long(value), zero, zero, zero)


def _system_call(number: int, *arguments: int | bytes | None) -> int:
    """The result of a system call; -1 for a failure."""
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return int(_LIBC.syscall(ctypes.c_long(number), *given))


def _program(column: int, architecture: int, pid: int) -> list[bytes]:
    """The filter: allowed calls pass, all others fail with EPERM, and those of another
    architecture kill."""
    deny = _ERRNO | errno.EPERM
    first, third, fourth = (_ARGUMENTS_AT + 8 * index for index in (0, 2, 3))
    code = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NUMBER_AT),
        _step(_AT_LEAST, _X32_BIT, 0, 1),
        _step(_RETURN, deny),
    ]
    for numbers in _CALLS.values():
        if (number := numbers[column]) is not None:
            code += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ALLOW)]
    for numbers in _SIGNALS.values():
        code += _unless(numbers[column], [(_EQUAL, first, pid, True)], deny)
    no_code = (_HAS_BITS, third, _PROT_EXEC, False)
    code += _unless(_MMAP[column], [no_code, (_HAS_BITS, fourth, _MAP_SHARED, False)], deny)
    code += _unless(_MPROTECT[column], [no_code], deny)
    # Only to read limits.
    unset = [(_EQUAL, third, 0, True), (_EQUAL, third + 4, 0, True)]
    code += _unless(_PRLIMIT64[column], unset, deny)
    return [*code, _step(_RETURN, deny)]


def _unless(number: int, tests: list[tuple[int, int, int, bool]], deny: int) -> list[bytes]:
    """Allows a call whose arguments pass all tests: operation, offset, value, expected outcome."""
    body: list[bytes] = []
    for operation, offset, value, expected in tests:
        body += [
            _step(_LOAD, offset),
            _step(operation, value, int(expected), int(not expected)),
            _step(_RETURN, deny),
        ]
    body.append(_step(_RETURN, _ALLOW))
    return [_step(_EQUAL, number, 0, len(body)), *body]


def _step(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, if_true, if_false, value)
