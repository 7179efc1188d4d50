"""The Ray executor, and the only file that imports Ray.

Parts run as core tasks without Ray's own retries: the scheduler retries explicitly, a bounded
number of times. Image bytes never enter the object store; a task returns a receipt of some hundred
bytes.
"""

import logging
import os
import shutil
import socket
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Ray reads these at import and start: no usage reports leave the machine.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Ray's first attempt to reach its own raylet often comes a moment too early, and by default the
# second follows a whole second later.
os.environ.setdefault("RAY_raylet_client_connect_timeout_milliseconds", "20")
os.environ.setdefault("RAY_raylet_client_num_connect_attempts", "500")

import ray
import ray.exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import wenlan_data
from wenlan_data import plugins
from wenlan_data.errors import (
    UnexpectedError,
    UsageError,
    WenlanError,
    WorkerLostError,
    in_short,
)
from wenlan_data.protocols import Part, Receipt
from wenlan_data.run.executors.local import run_part
from wenlan_data.run.signals import keeping_handlers
from wenlan_data.run.versions import library_versions

OBJECT_STORE_BYTES = 128 << 20
CONNECT_TIMEOUT_S = 10.0
MAX_TRACEBACK = 20_000
"""Characters of a traceback, and of a message, that a worker sends to the driver."""
_LOST = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.LocalRayletDiedError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.RaySystemError,
)


@dataclass(frozen=True, slots=True)
class _Failure:
    """What a part raised. It is returned: an exception that a task raises is written as UTF-8 by
    Ray, and one with a lone surrogate (of a file name, of a page) would kill the worker."""

    error: Exception
    """Its class decides about retries and the exit code."""
    traceback: str


def _run_in_worker(part: Part[object], out: Path) -> Receipt[object] | _Failure:
    try:
        return run_part(part, out)
    except Exception as error:  # noqa: BLE001 - the scheduler re-raises it
        text = "".join(traceback.format_exception(error))
        if not isinstance(error, WenlanError | OSError):
            # The driver may lack the class, or be unable to copy an exception of it.
            error = UnexpectedError(f"{type(error).__name__}: {in_short(error, MAX_TRACEBACK)}")
        return _Failure(error, text[-MAX_TRACEBACK:])


class RayExecutor:
    """Runs parts as Ray tasks, on this machine or on the cluster at `address`.

    Raises `UsageError` where the cluster cannot be reached or a node has other library versions.
    """

    def __init__(self, workers: int, address: str | None) -> None:
        self.workers = workers
        self._stop = threading.Thread(target=self._shut_down, name="ray shutdown")
        self._ended_well = False
        self._tokens: dict[ray.ObjectRef[Receipt[object]], str] = {}
        # Ray's own handlers would end the driver with another exit code than 11.
        with keeping_handlers():
            self._session = _start(workers, address)
        # Ray's own retry would call `run_part` with the folder of the dead attempt, which it
        # refuses.
        self._run: Any = ray.remote(num_cpus=1, max_retries=0)(_run_in_worker)
        if address:
            _check_nodes()

    def submit(self, token: str, part: Part[object], out: Path) -> None:
        """Starts `part` as a task."""
        # A part holds paths and settings alone, and writes its images to `out`: this is why a small
        # object store is enough.
        self._tokens[self._run.remote(part, out)] = token

    def next_done(self, timeout_s: float) -> tuple[str, Receipt[object] | BaseException] | None:
        """Returns the next outcome; None after `timeout_s` seconds."""
        done, _ = ray.wait(list(self._tokens), num_returns=1, timeout=timeout_s)
        if not done:
            return None
        token = self._tokens.pop(done[0])
        try:
            outcome: Receipt[object] | _Failure = ray.get(done[0])
        except _LOST as error:
            return token, WorkerLostError(str(error).splitlines()[0])
        except ray.exceptions.RayTaskError as error:
            return token, error.cause
        if isinstance(outcome, _Failure):
            # Its traceback stayed in the worker: this one is for the log.
            outcome.error.add_note(outcome.traceback)
            return token, outcome.error
        return token, outcome

    def finish(self) -> None:
        """Begins to stop Ray, or to leave the cluster, in a thread: its processes take a moment to
        end."""
        self._ended_well = True
        self._stop.start()

    def close(self) -> None:
        """Stops Ray, or leaves the cluster."""
        if self._stop.ident is None:
            self._stop.start()
        self._stop.join()

    def _shut_down(self) -> None:
        ray.shutdown()
        # After a failure Ray's logs are kept: the reason may be there.
        if self._session and self._ended_well:
            shutil.rmtree(self._session, ignore_errors=True)


def _start(workers: int, address: str | None) -> str | None:
    """Starts Ray on this machine, or joins the cluster at `address`.

    Returns the folder of logs and sockets that Ray made for this process alone; None for a cluster.
    """
    if address is None:
        context: Any = ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        return str(context.address_info["session_dir"])
    package = str(Path(wenlan_data.__file__).parent)
    _check_address(address)
    try:
        # Ships this version of the package and the modules of `--plugins`: nodes need only the
        # libraries, which `_check_nodes` compares, and the packages whose entry points are used.
        shipped = [package, *plugins.module_paths()]
        ray.init(address=address, runtime_env={"py_modules": shipped}, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"--ray {address}: no cluster responds there ({reason}): check the address"
        ) from error
    return None


def _check_address(address: str) -> None:
    """Raises `UsageError` for a port without a listener. Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise UsageError(
            f"--ray {address}: write it as host:port of the cluster's head, such as 10.0.0.1:6379"
        )
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"--ray {address}: no cluster responds there ({error}): check the address"
        ) from error


def _check_nodes() -> None:
    mine = library_versions()
    # Without a processor: a busy node must answer too. Bound to the node, since another one could
    # answer for it.
    versions_of = ray.remote(num_cpus=0)(library_versions)
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    nodes = [node["NodeID"] for node in alive]
    refs = {
        node: versions_of.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
        ).remote()
        for node in nodes
    }
    for node, ref in refs.items():
        theirs = ray.get(ref)
        other = [
            f"{name} {theirs.get(name)} (here {mine[name]})"
            for name in mine
            if theirs.get(name) != mine[name]
        ]
        if other:
            raise UsageError(
                f"node {node} has other libraries: {', '.join(other)}: "
                "equal bytes need equal versions"
            )
