"""Errors that nobody foresaw: one line, a log with the traceback, no secret in either."""

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.in_process import Ran, run
from tests.other_packages import COMMAND, environment, write_module
from wenlan_data.__main__ import INTERRUPTED
from wenlan_data.cli.failures import DEBUG_VARIABLE, without_secrets
from wenlan_data.errors import InterruptedBuildError
from wenlan_data.testing import make_caption, make_image

FAILING = """\
import logging
import sys
import threading
import time
import warnings
from dataclasses import dataclass

CONTROLS = "\\x1b]0;owned\\x07\\x9b31m\\u202e\\ud800"


class Unreadable(Exception):
    def __str__(self):
        raise ValueError("no message")


def recurse(depth):
    return recurse(depth + 1)


def fail(kind):
    match kind:
        case "value": raise ValueError(f"a\\n\\nb{CONTROLS}")
        case "recursion": recurse(0)
        case "memory": raise MemoryError
        case "huge": raise RuntimeError("x" * 10_000_000)
        case "unreadable": raise Unreadable
        case "os": raise OSError("a library's own")
        case "group": raise ExceptionGroup("several", [ValueError(CONTROLS), KeyError("b")])
        case "cause":
            try:
                raise KeyError("inner" + CONTROLS)
            except KeyError as error:
                raise LookupError("outer") from error
        case "secret":
            raise RuntimeError(
                "https://me:hunter22@host.example/a?token=abcdef123&x=1 Authorization: Bearer qqqq "
                "and s3cr3t-of-env"
            )
        case "interrupt": raise KeyboardInterrupt
        case "end": raise EOFError("Compressed file ended before the end-of-stream marker")
        case "pipe": raise BrokenPipeError(32, "Broken pipe")
        case "exit": raise SystemExit(7)
        case "thread":
            one = threading.Thread(target=fail, args=("value",))
            one.start()
            one.join()
        case "warning": warnings.warn(CONTROLS.replace("\\ud800", ""), stacklevel=1)
        case "logging": logging.getLogger("some.library").error(CONTROLS.replace("\\ud800", ""))
        case "print": print(CONTROLS.replace("\\ud800", ""), file=sys.stderr)
        case "unraisable":
            class Bad:
                def __del__(self):
                    raise ValueError(CONTROLS.replace("\\ud800", ""))
            Bad()


@dataclass(frozen=True, slots=True)
class Failing:
    kind: str = "value"

    def __call__(self, text):
        fail(self.kind)
        return text
"""
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files; the module `failing_rules` can be imported."""
    write_module(tmp_path / "code", "failing_rules", FAILING)
    monkeypatch.syspath_prepend(tmp_path / "code")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("SOME_ACCESS_TOKEN", "s3cr3t-of-env")
    return tmp_path / "tmp"


def _fail(kind: str, *, terminal: bool = False) -> Ran:
    words = ["text", "try", "wenlan", "--plugins", "failing_rules"]
    rule = f"text.rules=[{{rule: failing, kind: {kind}}}]"
    return run(*words, "--set", rule, stdin="猫\n".encode(), terminal=terminal)


UNFORESEEN = {
    "value": "ValueError: a b\\x1b]0;owned\\x07\\x9b31m\\u202e\\ud800",
    "recursion": "RecursionError: maximum recursion depth exceeded",
    "memory": "MemoryError",
    "huge": "RuntimeError: xxx",
    "unreadable": "Unreadable: (its message cannot be read)",
    "os": "OSError: a library's own",
    "group": "ExceptionGroup: several (2 sub-exceptions)",
    "cause": "LookupError: outer",
    "secret": "RuntimeError: https://***@host.example/a?token=***&x=1 Authorization: ***",
}


@pytest.mark.parametrize(("kind", "line"), UNFORESEEN.items())
def test_an_unforeseen_error_is_one_line_and_a_log(kind: str, line: str, failing: Path) -> None:
    ran = _fail(kind)
    assert ran.code == 1
    [shown] = ran.err.splitlines()
    assert shown.startswith(f"wenlan-data: unexpected error: {line}")
    assert len(shown) < 1000
    [log] = failing.iterdir()
    assert str(log) in shown
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_text("utf-8")
    assert CONTROL.search(text) is None
    assert "in fail\n" in text or kind == "recursion"
    assert "Traceback" in text
    assert len(text) < 2_000_000
    assert not re.search("hunter22|abcdef123|qqqq|s3cr3t", text + ran.err + ran.out)


OTHER_ENDS = {
    "interrupt": 11,
    "pipe": 0,
    "thread": 0,
    "warning": 0,
    "logging": 0,
    "print": 0,
    "unraisable": 0,
}


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(("kind", "code"), OTHER_ENDS.items())
@pytest.mark.filterwarnings("default", "ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_libraries_and_threads_print_is_escaped(
    kind: str, code: int, terminal: bool, failing: Path
) -> None:
    ran = _fail(kind, terminal=terminal)
    assert ran.code == code
    assert CONTROL.search(ran.err.replace("\r\n", "\n")) is None
    logs = list(failing.iterdir())
    assert len(logs) == (kind == "thread")
    if kind in ("pipe", "interrupt"):
        assert "Traceback" not in ran.err


def test_a_log_that_cannot_be_written_is_reported(
    failing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(failing / "missing"))
    ran = _fail("value")
    assert ran.code == 1
    [shown] = ran.err.splitlines()
    assert "no log could be written (No such file or directory)" in shown
    assert DEBUG_VARIABLE in shown


def test_tracebacks_are_printed_for_debugging(
    failing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    for ran in (_fail("cause"), _fail("secret"), run("recipes", "show", "missing\x1b.yaml")):
        assert "Traceback (most recent call last)" in ran.err
        assert CONTROL.search(ran.err) is None
        assert not re.search("hunter22|abcdef123|qqqq|s3cr3t", ran.err)


def test_secrets_are_removed() -> None:
    assert without_secrets("ftp://u:p@h/ http://user@h/x") == "ftp://***@h/ http://***@h/x"
    assert without_secrets("?api_key=abc&sig=def&page=3") == "?api_key=***&sig=***&page=3"
    assert without_secrets("{'Cookie': 'a=b'}\nnext") == "{'Cookie': ***\nnext"
    plain = "猫: https://example.org/a?x=1, C:/b@c, 3 tokens"
    assert without_secrets(plain) == plain


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_the_error_of_a_worker_names_step_and_part(executor: str, failing: Path) -> None:
    folder = failing.parent
    # The sockets of Ray lie below it, and the path of a socket has at most 107 bytes.
    short = Path(tempfile.mkdtemp(dir="/tmp"))
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(make_image(number))
        (folder / f"{number}.txt").write_text(make_caption(number), "utf-8")
    done = subprocess.run(
        [*COMMAND, "build", f"folder:{folder}", "--out", "out", "--executor", executor,
         "--workers", "2", "--plugins", "failing_rules", "--set", "text.rules=[{rule: failing}]"],
        env={**environment(folder / "code"), "TMPDIR": str(short)},
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert "unexpected error: extract part 0 of generation 0: ValueError: a b\\x1b]0;owned" in line
    assert "Traceback" not in done.stderr
    assert CONTROL.search(done.stderr) is None
    [log] = short.glob("wenlan-data-*.log")
    assert "failing_rules.py" in log.read_text("utf-8")
    assert CONTROL.search(log.read_text("utf-8")) is None
    shutil.rmtree(short)


def test_ctrl_c_is_one_line(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "text", "try", "wenlan", "--json"], env=environment(), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        process.stdin.write("猫\n" * 5000)
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 11
        assert err.splitlines()[-1:] == ["wenlan-data: interrupted"]


def _full_pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(1 << 12))
    os.set_blocking(writer, True)
    return reader, writer


@pytest.mark.parametrize("full", ["stdout", "stderr"])
def test_an_interruption_waits_for_no_reader(full: str) -> None:
    reader, writer = _full_pipe()
    with subprocess.Popen(
        [*COMMAND, "text", "try", "wenlan", "--jsonl", "--json"], env=environment(),
        stdin=subprocess.PIPE,
        stdout=writer if full == "stdout" else subprocess.DEVNULL,
        stderr=writer if full == "stderr" else subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdin
        # Results fill stdout; on stderr an error waits for its reader.
        lines = b'"a"\n' * 5000 if full == "stdout" else b"[\n"
        with suppress(BrokenPipeError):
            process.stdin.write(lines)
            process.stdin.close()
        status = Path(f"/proc/{process.pid}/wchan")
        while process.poll() is None and "pipe" not in status.read_text():
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 11
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", "0<&- 1>&- 2>&-"])
def test_a_build_needs_no_open_streams(streams: str, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(make_image(number))
        (tmp_path / f"{number}.txt").write_text(make_caption(number), "utf-8")
    words = [*COMMAND, "build", f"folder:{tmp_path}", "--executor", "local", "--out"]
    command = f"{shlex.join([*words, str(tmp_path / 'out')])} {streams}"
    done = subprocess.run(["bash", "-c", command], env=environment(), check=False)
    assert done.returncode == 0
    assert (tmp_path / "out" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("words", "code"),
    [("recipes list >&-", 0), ("shards stat nothing 2>/dev/full", 2), ("recipes list 2>&-", 0)],
)
def test_a_stream_that_is_closed_or_full_leaves_the_exit_code(words: str, code: int) -> None:
    command = ["bash", "-c", f"{shlex.join(COMMAND)} {words}"]
    done = subprocess.run(command, env=environment(), stderr=subprocess.PIPE, check=False)
    assert done.returncode == code
    assert not done.stderr


def test_signals_are_handled_before_anything_slow_is_imported() -> None:
    code = (
        "import json, sys; before = set(sys.modules); import wenlan_data.__main__; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"typing", "pathlib", "re", "contextlib", "threading"} & set(json.loads(done.stdout))
    assert InterruptedBuildError.exit_code == INTERRUPTED


def test_a_file_that_ends_too_early_is_no_interruption(failing: Path) -> None:
    # click makes the same exception of both.
    ran = _fail("end")
    assert ran.code == 1
    assert "unexpected error: EOFError: Compressed file ended before the end" in ran.err
    assert "interrupted" not in ran.err
    assert len(list(failing.iterdir())) == 1


@pytest.mark.parametrize("module", ["cli/main", "cli/recipes", "recipe"])
def test_a_compiled_module_that_a_full_disk_cut_is_one_line(tmp_path: Path, module: str) -> None:
    # Set to nothing, the first one has no effect.
    changes = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    values = {**environment(), **changes}
    command = [*COMMAND, "recipes", "show", "wenlan"]
    subprocess.run(command, env=values, check=True, capture_output=True)
    [compiled] = tmp_path.glob(f"**/wenlan_data/{module}.*.pyc")
    os.truncate(compiled, compiled.stat().st_size // 2)
    done = subprocess.run(command, env=values, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("wenlan-data: a file that Python compiled (.pyc) is cut short")
    assert "delete the __pycache__ folders" in line
