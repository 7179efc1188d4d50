"""Runs a part in a worker of Ray, after checks of its environment."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from wenlan_data.errors import UsageError, WenlanError, from_os_error
from wenlan_data.protocols import Part, Receipt
from wenlan_data.run.executors.heartbeat import beating, heartbeat_file
from wenlan_data.run.executors.local import run_part
from wenlan_data.run.versions import differences, environment

DetailsT = TypeVar("DetailsT")


def run_on_node(
    node: str, driver: Mapping[str, str], part: Part[DetailsT], attempt: Path, *, in_cluster: bool
) -> Receipt[DetailsT]:
    """Runs a part on a node; in a cluster, errors name the node.

    Raises `UsageError` if the environment is not that of the driver, or if the node does not reach
    the driver's work folder.
    """
    where = f"node {node[:8]} ({socket.gethostname()})"
    # In every part: a node may join, or be upgraded, while a build runs.
    check_environment(where, environment(), driver)
    if not heartbeat_file(attempt).exists():
        raise UsageError(
            f"{where}: does not see the work folder {attempt.parent.parent}: "
            "give a --work that all nodes of the cluster reach under the same path"
        )
    with beating(attempt, node):
        if not in_cluster:
            return run_part(part, attempt)
        try:
            return run_part(part, attempt)
        except FileNotFoundError as error:
            raise UsageError(
                f"{where}: {error.filename or error}: no such file: "
                "all nodes of the cluster must reach it under the same path"
            ) from error
        except OSError as error:
            raise _on(where, from_os_error(error)) from error
        except WenlanError as error:
            raise _on(where, error) from error


def check_environment(where: str, theirs: Mapping[str, str], driver: Mapping[str, str]) -> None:
    """Raises `UsageError` that names the node and what differs from the driver's environment."""
    if other := differences(theirs, driver):
        raise UsageError(
            f"{where}: {', '.join(other)}: equal bytes need equal versions: "
            "install the driver's versions there, or take the node out of the cluster"
        )


def _on(where: str, error: WenlanError) -> WenlanError:
    error.args = (f"{error} (on {where})",)
    return error
