"""Ray clusters of several nodes on this machine, for tests."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_RAY = [sys.executable, "-m", "ray.scripts.scripts"]


class Cluster:
    """A head without cores, with a token; nodes are added one by one."""

    def __init__(self, cores: int = 0) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="wl-", dir="/tmp"))
        self.token = secrets.token_hex(32)
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            # A dead node is noticed within seconds. One that is only slow, on a busy machine, is not
            # dead.
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_timeout_ms": "5000",
            "RAY_health_check_failure_threshold": "4",
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.head = self._start(
            f"head{len(self._processes)}",
            ["--head", f"--port={self.port}", "--include-dashboard=false", f"--num-cpus={cores}"],
        )
        deadline = time.monotonic() + 90
        while not self._listens():
            assert time.monotonic() < deadline, "the Ray head did not start"
            time.sleep(0.2)

    def add_node(
        self, cores: int = 1, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Starts a node; its process leads a group of all of its processes."""
        number = len(self._processes)
        words = [f"--address={self.address}", f"--num-cpus={cores}"]
        return self._start(f"n{number}", words, environment)

    def wait_for_nodes(self, count: int) -> None:
        """Waits until so many nodes have joined; the head counts."""
        script = (
            "import ray, sys, time\n"
            "ray.init(address=sys.argv[1], log_to_driver=False, logging_level=50)\n"
            "while sum(one['Alive'] for one in ray.nodes()) < int(sys.argv[2]): time.sleep(0.2)"
        )
        subprocess.run(
            [sys.executable, "-c", script, self.address, str(count)],
            env=self.environment,
            check=True,
            timeout=240,
            capture_output=True,
        )

    def kill(self, node: "subprocess.Popen[bytes]") -> None:
        """Kills all processes of a node at once, as a power cut does."""
        for pid in self.processes(node):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for node in reversed(self._processes):
            self.kill(node)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(
        self, name: str, words: list[str], environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        command = [
            *_RAY,
            "start",
            "--block",
            "--node-ip-address=127.0.0.1",
            "--disable-usage-stats",
        ]
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--min-worker-port=0", "--max-worker-port=0", *words],
                env={**self.environment, **(environment or {})},
                start_new_session=True,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def _listens(self) -> bool:
        assert self.head.poll() is None, "the Ray head has ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @staticmethod
    def processes(node: "subprocess.Popen[bytes]") -> list[int]:
        """Returns the process ids of a node."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[3]) == node.pid:
                        found.append(int(entry.name))
        return found
