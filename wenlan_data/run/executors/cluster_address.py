"""Checks the address of a Ray cluster before Ray connects: Ray itself tries for minutes, and hides
the reason."""

import socket
import subprocess
import sys

from wenlan_data.errors import UsageError, in_short

CONNECT_TIMEOUT_S = 10.0
HEALTH_TIMEOUT_S = 30.0
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a gRPC client sends first: the preface of HTTP/2 and an empty SETTINGS frame."""
_SETTINGS_FRAME = 4


def check_cluster(address: str) -> None:
    """Raises `UsageError` if no Ray cluster responds at `address`, or if it refuses this client."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(
            f"--ray {address}: write it as host:port of the cluster's head, such as 10.0.0.1:6379"
        )
    try:
        with socket.create_connection(
            (host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT_S
        ) as connection:
            connection.sendall(_HTTP2_PREFACE)
            response = connection.recv(9)
    except TimeoutError:
        raise UsageError(
            f"--ray {address}: nothing responded there for {CONNECT_TIMEOUT_S:g} s: check address "
            "and port, such as 10.0.0.1:6379"
        ) from None
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--ray {address}: no cluster responds there ({error}): check the address"
        ) from error
    if response[3:4] != bytes([_SETTINGS_FRAME]):
        raise UsageError(
            f"--ray {address}: what listens there is not the head of a Ray cluster: "
            "check the port (6379 by default, not 8265 or 10001)"
        )
    _check_health(address)


def _check_health(address: str) -> None:
    # In a process of its own: with a wrong token Ray retries here for 20 s and then raises an error
    # without the reason; without a token it aborts. Costs about a second.
    command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "health-check"]
    try:
        done = subprocess.run(
            [*command, "--address", address],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=HEALTH_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"--ray {address}: the cluster did not respond within {HEALTH_TIMEOUT_S:g} s: "
            "check the address, and `ray status` on the head"
        ) from None
    if done.returncode == 0:
        return
    if "authentication token" in done.stderr.lower():
        raise UsageError(
            f"--ray {address}: the cluster refused the token, or none is set: "
            "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH (or RAY_AUTH_TOKEN) as on its nodes"
        )
    reason = next(
        (line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason"
    )
    raise UsageError(
        f"--ray {address}: the cluster is not healthy ({in_short(reason)}): "
        "check `ray status` on the head, and that its Ray and Python are the same as here"
    )
