"""The Ray executor, and the only file that imports Ray.

Parts run as core tasks without Ray's own retries: the runner retries explicitly, a bounded number of times.
Image bytes never enter the object store; a task's value is a receipt of some hundred bytes.
"""

import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Ray reads these at import and start: no usage reports leave the machine, and a lost dashboard agent is not waited for.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Its first attempt to reach its own object store comes a moment too early; the second is made a whole second later.
os.environ.setdefault("RAY_raylet_client_connect_timeout_milliseconds", "20")
os.environ.setdefault("RAY_raylet_client_num_connect_attempts", "500")

import ray
import ray._private.services
import ray._private.state
import ray.exceptions
from ray._private.node import Node

import wenlan_data
from wenlan_data.errors import UsageError, WorkerLostError
from wenlan_data.protocols import Part, Receipt
from wenlan_data.run.executors.local import run_part
from wenlan_data.run.signals import keeping_handlers
from wenlan_data.run.versions import library_versions

OBJECT_STORE_BYTES = 128 << 20
CONNECT_TIMEOUT_S = 10.0
_HELPERS = ("start_monitor", "start_log_monitor", "start_api_server")
"""The autoscaler's monitor, the log monitor and the rest of the dashboard: each takes a second to load."""
_REGISTRATION_LOOK_S = 0.02
_MAX_REGISTRATION_S = 5.0
_LOST = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.LocalRayletDiedError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.RaySystemError,
)


class RayExecutor:
    """Runs parts as Ray tasks: on this machine by default, or on the cluster at `address`.

    Raises `UsageError` when the cluster cannot be reached or a node has other library versions.
    """

    def __init__(self, workers: int, address: str | None) -> None:
        self.workers = workers
        self._stop = threading.Thread(target=self._shut_down, name="ray shutdown")
        self._ended_well = False
        self._tokens: dict[ray.ObjectRef[Receipt], str] = {}
        with keeping_handlers():
            self._session = _start(workers, address)
        self._run = ray.remote(num_cpus=1, max_retries=0)(run_part)
        if address:
            _check_nodes()

    def submit(self, token: str, part: Part, out: Path) -> None:
        """Start `part` as a task."""
        self._tokens[self._run.remote(part, out)] = token

    def next_done(self, timeout_s: float) -> tuple[str, Receipt | BaseException] | None:
        """The next outcome; None after `timeout_s` seconds."""
        done, _ = ray.wait(list(self._tokens), num_returns=1, timeout=timeout_s)
        if not done:
            return None
        token = self._tokens.pop(done[0])
        try:
            return token, ray.get(done[0])
        except _LOST as error:
            return token, WorkerLostError(str(error).splitlines()[0])
        except ray.exceptions.RayTaskError as error:
            return token, error.cause

    def finish(self) -> None:
        """Begin to stop Ray, or to leave the cluster: its processes take a moment to end."""
        self._ended_well = True
        self._stop.start()

    def close(self) -> None:
        """Stop Ray, or leave the cluster."""
        if self._stop.ident is None:
            self._stop.start()
        self._stop.join()

    def _shut_down(self) -> None:
        ray.shutdown()
        # After a failure Ray's logs stay for a look.
        if self._session and self._ended_well:
            shutil.rmtree(self._session, ignore_errors=True)


def _start(workers: int, address: str | None) -> str | None:
    """Start Ray, or join the cluster; the folder of logs and sockets that Ray made for this process alone."""
    if address is None:
        with _only_what_runs_tasks():
            ray.init(
                address="local",
                num_cpus=workers,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        node: Any = ray._private.worker._global_node
        return str(node.get_session_dir_path())
    package = str(Path(wenlan_data.__file__).parent)
    _check_address(address)
    try:
        ray.init(address=address, runtime_env={"py_modules": [package]}, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"--ray {address}: no cluster answers there ({reason}): check the address"
        ) from error
    return None


@contextmanager
def _only_what_runs_tasks() -> Iterator[None]:
    """Inside, `ray.init` starts no helpers, and sees at once that the machine's node is there.

    It has no options for either. Measured: a start of 1.0 s instead of 2.2, an end of 0.3 instead of 1.3.
    """
    services: Any = ray._private.services
    state = ray._private.state.GlobalState
    if not (
        all(hasattr(Node, name) for name in _HELPERS)
        and all(hasattr(services, name) for name in ("get_node", "_get_gcs_client_options"))
        and all(hasattr(state, name) for name in ("_initialize_global_state", "node_table"))
    ):
        # Not its public interface: another version of Ray starts as it does by itself, which takes longer.
        yield
        return
    kept = {name: getattr(Node, name) for name in _HELPERS}
    get_node = services.get_node
    for name in _HELPERS:
        setattr(Node, name, _nothing)
    services.get_node = _after_registration(get_node)
    try:
        yield
    finally:
        services.get_node = get_node
        for name, method in kept.items():
            setattr(Node, name, method)


def _nothing(_node: Node, *_given: object, **_named: object) -> None:
    """What a helper does that is not started."""


def _after_registration(get_node: Callable[[str, str], Any]) -> Callable[[str, str], Any]:
    """Ray's own asks a moment too early, and again after a whole second."""

    def wait_and_get(gcs_address: str, node_id: str) -> Any:
        state: Any = ray._private.state.GlobalState()  # type: ignore[no-untyped-call]
        state._initialize_global_state(ray._private.services._get_gcs_client_options(gcs_address))  # type: ignore[no-untyped-call]
        end = time.monotonic() + _MAX_REGISTRATION_S
        while time.monotonic() < end and all(
            node["NodeID"] != node_id for node in state.node_table()
        ):
            time.sleep(_REGISTRATION_LOOK_S)
        return get_node(gcs_address, node_id)

    return wait_and_get


def _check_address(address: str) -> None:
    """Ray itself tries for minutes; a port that nobody listens on is found out in seconds."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise UsageError(
            f"--ray {address}: write it as host:port of the cluster's head, such as 10.0.0.1:6379"
        )
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"--ray {address}: no cluster answers there ({error}): check the address"
        ) from error


def _check_nodes() -> None:
    mine = library_versions()
    ask = ray.remote(num_cpus=0)(library_versions)
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    nodes = [node["NodeID"] for node in alive]
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    refs = {
        node: ask.options(scheduling_strategy=strategy(node, soft=False)).remote() for node in nodes
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
                f"node {node} has other libraries: {', '.join(other)}: equal bytes need equal versions"
            )
