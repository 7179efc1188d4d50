"""The Ray executor, and what `train.ray_launch` shares with it; no other file imports Ray.

Parts run as core tasks without Ray's own retries: the scheduler retries explicitly, a bounded
number of times. Image bytes never enter the object store; a task returns a receipt of some hundred
bytes.
"""

import io
import logging
import secrets
import shutil
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before Ray: it sets environment variables that Ray reads when it is imported.
from wenlan_data.run.executors.ray_environment import temporary_folder, variables_set

# isort: split

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
    print_line,
)
from wenlan_data.processes import (
    adopt_orphans,
    children,
    command_line,
    end_processes,
    start_time,
)
from wenlan_data.protocols import Part, Receipt
from wenlan_data.run.executors.cluster_address import check_cluster
from wenlan_data.run.executors.heartbeat import Heartbeats, Worker
from wenlan_data.run.executors.worker import check_environment, run_on_node
from wenlan_data.run.versions import environment

OBJECT_STORE_BYTES = 128 << 20
MAX_TRACEBACK = 20_000
"""Characters of a traceback, and of a message, that a worker sends to the driver."""
WORKER_TIMEOUT_S = 300.0
START_TIMEOUT_S = 120.0
"""Longest wait for Ray to start, or to join a cluster."""
END_TIMEOUT_S = 10.0
NODE_TIMEOUT_S = 30.0
"""Longest wait for a node to run a function that needs no processor."""
WAIT_NOTICE_S = 10.0
"""Time without a free core until a line states that the build waits, and until the next one is
due, which doubles."""
RESOURCES_S = 10.0
_LOST = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.LocalRayletDiedError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.RaySystemError,
)
_TOKEN = secrets.token_hex(32)
"""Of the Ray that this process starts; nobody else knows it. Ray reads it once in a process."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """What a part raised. It is returned: an exception that a task raises is written as UTF-8 by
    Ray, and one with a lone surrogate (of a file name, of a page) would kill the worker."""

    error: Exception
    """Its class decides about retries and the exit code."""
    traceback: str


class RayExecutor:
    """Runs parts as Ray tasks, on this machine or on the cluster at `address`.

    `workers` is None for the cores of the cluster. A worker that gives no sign of life for
    `timeout_s` seconds is killed, and its part starts elsewhere.

    Raises `UsageError` where the cluster cannot be reached or a node has another environment.
    """

    def __init__(
        self,
        workers: int | None,
        address: str | None,
        *,
        timeout_s: float = WORKER_TIMEOUT_S,
        log: Callable[[str], None] = print_line,
    ) -> None:
        self._address, self._log = address, log
        self._given_workers = workers
        self._cores = 1
        self._cores_read = -RESOURCES_S
        self._tokens: dict[ray.ObjectRef[Receipt[object]], str] = {}
        self._heartbeats = Heartbeats(timeout_s)
        self._notice = WaitNotice()
        if address:
            check_cluster(address)
        self._session = RaySession(workers, address)
        try:
            self._session.begin()
            # Ray's own retry would call `run_part` with the folder of the dead attempt, which it
            # refuses.
            self._run: Any = ray.remote(num_cpus=1, max_retries=0)(_run_part)
            if address:
                self._check_nodes()
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """Number of parallel parts; of a cluster, by default, as many as it has cores now."""
        if self._given_workers is not None:
            return self._given_workers
        if time.monotonic() - self._cores_read > RESOURCES_S:
            with _ray_errors():
                self._cores = max(int(_cpus(ray.cluster_resources)), 1)
            self._cores_read = time.monotonic()
        return self._cores

    def submit(self, token: str, part: Part[object], out: Path) -> None:
        """Starts `part` as a task."""
        self._heartbeats.add(token, out)
        # A part holds paths and settings alone, and writes its images to `out`: this is why a small
        # object store is enough.
        with _ray_errors():
            ref = self._run.remote(environment(), bool(self._address), part, out)
        self._tokens[ref] = token

    def next_done(self, timeout_s: float) -> tuple[str, Receipt[object] | BaseException] | None:
        """Returns the next outcome; None after `timeout_s` seconds."""
        with _ray_errors():
            done, _ = ray.wait(list(self._tokens), num_returns=1, timeout=timeout_s)
        if not done:
            self._report_waiting()
            return self._silent()
        self._notice = WaitNotice()
        token = self._tokens.pop(done[0])
        worker = self._heartbeats.remove(token)
        try:
            outcome: Receipt[object] | _Failure = ray.get(done[0])
        except _LOST as error:
            return token, self._lost(error, worker)
        except ray.exceptions.RayTaskError as error:
            # Of Ray, or of what it loads before the part.
            return token, self._cause(error)
        except ray.exceptions.RayError as error:
            return token, WenlanError(f"Ray could not run a part ({in_short(error)})")
        if isinstance(outcome, _Failure):
            # Its traceback stayed in the worker: this one is for the log.
            outcome.error.add_note(outcome.traceback)
            return token, outcome.error
        return token, outcome

    def finish(self) -> None:
        """Begins to stop Ray, or to leave the cluster: its processes take a moment to end."""
        self._session.finish()

    def close(self) -> None:
        """Stops Ray, or leaves the cluster. Parts that still run are ended first."""
        # Ray prints on stdout that the workers which are ended here have died.
        with redirect_stdout(io.StringIO()):
            self._close()

    def _close(self) -> None:
        if self._session.is_connected():
            for ref in self._tokens:
                with suppress(ray.exceptions.RayError, ValueError):
                    ray.cancel(ref, force=True)
        workers = [self._heartbeats.remove(token) for token in self._tokens.values()]
        end_processes([one.pid for one in workers if one and _is_here(one)])
        self._tokens.clear()
        self._session.close()

    def _silent(self) -> tuple[str, WorkerLostError] | None:
        """Gives up the first part whose worker gives no sign of life."""
        for token in self._heartbeats.check():
            ref = next(ref for ref, one in self._tokens.items() if one == token)
            # Without its reference a late result reaches nobody, and only the driver commits.
            del self._tokens[ref]
            worker = self._heartbeats.remove(token)
            assert worker is not None
            self._log(f"{worker} gives no sign of life: its part is started again")
            if _is_here(worker):
                end_processes([worker.pid])
            else:
                # Not waited for: the node may be as silent as its worker.
                with suppress(ray.exceptions.RayError):
                    _on_node(worker.node, _end_worker).remote(worker)
            return token, WorkerLostError(f"{worker} gave no sign of life")
        return None

    def _lost(self, error: Exception, worker: Worker | None) -> WorkerLostError:
        reason = in_short(error)
        if worker is None:
            # The part had not begun.
            return WorkerLostError(reason, with_node=True)
        with_node = bool(self._address) and not self._node_lives(worker.node)
        self._session.keep_logs()
        return WorkerLostError(f"{worker}: {reason}", with_node=with_node)

    def _node_lives(self, node: str) -> bool:
        # Ray takes up to half a minute to learn of a dead node.
        try:
            ref = _on_node(node, start_time).remote(1)
            return bool(ray.wait([ref], timeout=NODE_TIMEOUT_S)[0]) and ray.get(ref) is not None
        except ray.exceptions.RayError:
            return False

    def _cause(self, error: "ray.exceptions.RayTaskError") -> BaseException:
        cause: BaseException = error.cause
        # A node with other libraries may fail before the part can check them.
        if self._address and isinstance(cause, ImportError | AttributeError | TypeError):
            self._check_nodes()
        return cause

    def _report_waiting(self) -> None:
        if not self._address or not self._tokens or self._heartbeats.anything_began():
            self._notice = WaitNotice()
        elif self._notice.is_due():
            with _ray_errors():
                free, cores = _cpus(ray.available_resources), _cpus(ray.cluster_resources)
            self._log(
                f"waiting for a free core of the cluster at {self._address}: "
                f"{free:g} of {cores:g} are free"
            )

    def _check_nodes(self) -> None:
        """Raises `UsageError` for a node with another environment."""
        with _ray_errors():
            for where, theirs in call_on_nodes(_environment, log=self._log):
                check_environment(where, theirs, environment())


def call_on_nodes(
    function: Callable[..., object],
    *arguments: object,
    resource: str = "",
    log: Callable[[str], None] = print_line,
) -> Iterator[tuple[str, Any]]:
    """Calls a function on every node, or on those with one of `resource`; yields the name of each
    and the result.

    A node that does not respond within `NODE_TIMEOUT_S` is reported and left out.
    """
    names = {
        node["NodeID"]: f"node {node['NodeID'][:8]} ({node['NodeManagerHostname']})"
        for node in _nodes()
        if node["Alive"] and (not resource or node["Resources"].get(resource, 0) >= 1)
    }
    refs = {_on_node(node, function).remote(*arguments): name for node, name in names.items()}
    done, silent = ray.wait(list(refs), num_returns=len(refs), timeout=NODE_TIMEOUT_S)
    for ref in silent:
        log(f"{refs[ref]} does not respond")
    for ref in done:
        # A node that has just died is listed for a while.
        with suppress(ray.exceptions.RayError):
            yield refs[ref], ray.get(ref)


def _on_node(node: str, function: Callable[..., object]) -> Any:
    # Without a processor: a busy node must answer too. Bound to the node, since another one could
    # answer for it.
    task: Any = ray.remote(num_cpus=0, max_retries=0)(function)
    return task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))


def _run_part(
    driver: Mapping[str, str], in_cluster: bool, part: Part[object], out: Path
) -> Receipt[object] | _Failure:
    """Runs in a worker."""
    node = ray.get_runtime_context().get_node_id()
    try:
        return run_on_node(node, driver, part, out, in_cluster=in_cluster)
    except Exception as error:  # noqa: BLE001 - the scheduler re-raises it
        text = "".join(traceback.format_exception(error))
        if not isinstance(error, WenlanError | OSError):
            # The driver may lack the class, or be unable to copy an exception of it.
            error = UnexpectedError(f"{type(error).__name__}: {in_short(error, MAX_TRACEBACK)}")
        return _Failure(error, text[-MAX_TRACEBACK:])


def _environment() -> Mapping[str, str]:
    """Runs on a node. A function of its own: Ray takes no cached one."""
    return environment()


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes


def _cpus(resources: Callable[[], dict[str, float]]) -> float:
    return resources().get("CPU", 0.0)


def _is_here(worker: Worker) -> bool:
    """Returns whether a worker is a process of this machine that still runs."""
    return worker.host == socket.gethostname() and worker.start == start_time(worker.pid)


def _end_worker(worker: Worker) -> None:
    """Kills a worker; runs on its node."""
    if _is_here(worker):
        end_processes([worker.pid])


@contextmanager
def _ray_errors() -> Iterator[None]:
    """Converts Ray's own errors to one line."""
    try:
        yield
    except ray.exceptions.RayError as error:
        raise WenlanError(
            f"the connection to Ray was lost ({in_short(error)}): run the same command to resume"
        ) from error


class WaitNotice:
    """When to state that a build or a training waits."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._after_s = WAIT_NOTICE_S

    def is_due(self) -> bool:
        """Returns whether a line is due now."""
        if time.monotonic() - self._since < self._after_s:
            return False
        self._after_s *= 2
        return True


class RaySession(threading.Thread):
    """Ray from its start to its end, in a thread of its own.

    The main thread stays free for signals. Ray's processes are children of this thread, and are
    killed by the kernel when it ends.
    """

    def __init__(
        self, workers: int | None, address: str | None, remedy: str = "use --executor local"
    ) -> None:
        super().__init__(name="ray")
        self._remedy = remedy
        """What to do where Ray cannot be started on this machine."""
        self._workers, self._address = workers, address
        self._folder = None if address else temporary_folder()
        self._began, self._ending, self._connected = (threading.Event() for _ in range(3))
        self._error: Exception | None = None
        self._keeps_logs = False

    def begin(self) -> None:
        """Starts Ray on this machine, or joins the cluster; waits until this is done."""
        self.start()
        if not self._began.wait(START_TIMEOUT_S):
            raise UsageError(
                f"--ray {self._address}: joining the cluster took more than {START_TIMEOUT_S:g} s: "
                "check `ray status` on the head"
                if self._address
                else f"Ray did not start within {START_TIMEOUT_S:g} s: {self._remedy}"
            )
        if self._error:
            self._keeps_logs = True
            reason = in_short(self._error)
            raise UsageError(
                f"--ray {self._address}: cannot join the cluster ({reason}): the driver must "
                "run on one of its nodes, with the same Ray and Python"
                if self._address
                else f"Ray cannot be started ({reason}): see {self._folder}, or {self._remedy}"
            ) from self._error

    def run(self) -> None:
        """Starts Ray, waits for the end, and stops it."""
        # Ray's processes inherit the mask. A signal to the process group is for the driver, which
        # ends them; without them the driver would end with another exit code.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        adopt_orphans()
        try:
            if self._address:
                self._join_cluster(self._address)
            else:
                self._start_here()
            self._connected.set()
        except Exception as error:  # noqa: BLE001 - raised again in the main thread
            self._error = error
        self._began.set()
        self._ending.wait()
        # Ray stops its processes by SIGTERM, which they do not get, and waits a second for each.
        threading.Thread(target=self._end_when_left, name="ray processes", daemon=True).start()
        with suppress(Exception):
            ray.shutdown()

    def is_connected(self) -> bool:
        """Returns whether tasks can be sent and cancelled."""
        return self._connected.is_set() and not self._ending.is_set()

    def keep_logs(self) -> None:
        """Keeps Ray's logs: the reason of a failure may be there."""
        self._keeps_logs = True

    def finish(self) -> None:
        """Begins the end."""
        self._ending.set()

    def close(self) -> None:
        """Returns when Ray has stopped, or after some seconds."""
        self._ending.set()
        if self.ident is not None:
            self.join(END_TIMEOUT_S)
        if self._folder:
            end_processes(self._processes())
            if not self._keeps_logs:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _start_here(self) -> None:
        # Without RAY_AUTH_MODE a Ray that starts here demands the token.
        with variables_set(RAY_AUTH_MODE=None, RAY_AUTH_TOKEN=_TOKEN, RAY_ADDRESS=None):
            ray.init(
                address="local",
                num_cpus=self._workers,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
                # Ray opens this one to everybody, but not the folder around it.
                _temp_dir=f"{self._folder}/r",
            )
        own = _nodes()[0]["NodeManagerAddress"]
        if own != "127.0.0.1":
            raise RuntimeError(
                f"it would listen on {own}, because it was imported before wenlan_data"
            )

    @staticmethod
    def _join_cluster(address: str) -> None:
        # Ships this version of the package and the modules of `--plugins`: nodes need only the
        # libraries, which are compared, and the packages whose entry points are used.
        package = str(Path(wenlan_data.__file__).parent)
        ray.init(
            address=address,
            runtime_env={"py_modules": [package, *plugins.module_paths()]},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )

    def _end_when_left(self) -> None:
        while ray.is_initialized():
            time.sleep(0.01)
        end_processes(self._processes())

    def _processes(self) -> list[int]:
        """Returns the processes that Ray started here; their descendants are its workers."""
        folder = str(self._folder)
        return [pid for pid in children() if self._folder and folder in command_line(pid)]
