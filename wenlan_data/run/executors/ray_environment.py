"""Environment variables and the temporary folder of Ray. Import it before Ray: it sets the
variables."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_SOCKET_PATH_BYTES = 107
_SESSION_PATH_BYTES = 66
"""Length of the longest name of a socket below Ray's temporary folder."""
VARIABLES = {
    # No usage reports leave the machine.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray's first attempt to reach its own raylet often comes a moment too early, and by default the
    # second follows a whole second later.
    "RAY_raylet_client_connect_timeout_milliseconds": "20",
    "RAY_raylet_client_num_connect_attempts": "500",
    # Workers of Ray Train import torch, which takes more than Ray's 60 s on a busy machine; all of
    # them would start again then.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    # An attempt that was given up is no unhandled error.
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    # Its handler in C ends the driver with another exit code than 11.
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
    # Without clusters Ray takes the loopback address as the node's: all that it starts listens
    # there alone. A driver that joins a cluster gets the addresses of the others from the head.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
"""Variables that Ray reads at import and start."""


for _name, _value in VARIABLES.items():
    os.environ.setdefault(_name, _value)


@contextmanager
def variables_set(**values: str | None) -> Iterator[None]:
    """Sets environment variables in the body; None removes one."""
    before = {name: os.environ.get(name) for name in values}
    try:
        _set(values)
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def temporary_folder() -> Path:
    """Returns a new folder that only this user may enter, for sockets and logs of one run."""
    folder = Path(tempfile.mkdtemp(prefix="wenlan-ray-"))
    if len(os.fsencode(folder)) + _SESSION_PATH_BYTES > _SOCKET_PATH_BYTES:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="wenlan-ray-", dir="/tmp"))
    return folder
