"""Downloads of a file that is known by its digest: bounded, resumed, and without credentials."""

import errno
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from wenlan_data.errors import UsageError, WenlanError
from wenlan_data.files import PARTIAL, open_lock, sync

if TYPE_CHECKING:
    import requests

CA_VARIABLE = "REQUESTS_CA_BUNDLE"
"""The one variable that is read: a file of certificates to trust in place of the bundled ones."""
SILENT_S = 30.0
"""Longest silence of a server."""
HEADERS_S = 60.0
"""Time for a connection and the headers of a response."""
SLOW_AFTER_S = 60.0
MIN_BYTES_PER_S = 1 << 12
"""A slower mean, after `SLOW_AFTER_S`, ends the download. It can be resumed."""
MAX_REDIRECTS = 5
_PIECE_BYTES = 1 << 18
_REDIRECTS = (301, 302, 303, 307, 308)
_RESUME = "run the same command to resume, or download it elsewhere and give its path"


def download(
    url: str, target: Path, sha256: str, max_bytes: int, progress: Callable[[int], None]
) -> None:
    """Fetches `url` to `target`, which appears by one rename once its digest is right.

    What an interrupted download left beside `target` is continued. Processes that download the
    same file take turns. Neither `.netrc` nor proxies of the environment are used. `progress` gets
    the number of bytes so far. Raises `WenlanError`; the message states what to do.
    """
    # A fixed name, so that the next download finds it.
    partial = target.with_name(f".{target.name}{PARTIAL}")
    with _locked(partial) as file:
        try:
            if target.is_file():
                return
            _fetch(url, file, max_bytes, progress)
            file.seek(0)
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sha256:
                file.truncate(0)
                raise WenlanError(
                    f"{url}: the downloaded file has the SHA-256 {found[:16]}..., not "
                    f"{sha256[:16]}..., and was deleted: try again, or give a path"
                )
            os.fsync(file.fileno())
            partial.replace(target)
            sync(target.parent)
        finally:
            if not os.fstat(file.fileno()).st_size:
                partial.unlink(missing_ok=True)


@contextmanager
def _locked(partial: Path) -> Iterator[BufferedRandom]:
    """Yields the partial file, open for appending, once no other process writes it."""
    while True:
        with _open_own(partial) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever held the lock may have renamed or removed the file that was opened.
            if partial.exists() and partial.stat().st_ino == os.fstat(file.fileno()).st_ino:
                yield file
                return


def _open_own(partial: Path) -> BufferedRandom:
    """Opens the partial file for appending. Raises `UsageError` for a link, and for anything else
    that is not a regular file: the name can be foreseen, and what is written must stay in the
    folder."""
    try:
        descriptor = open_lock(partial, os.O_APPEND)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EINVAL):
            raise
        raise UsageError(f"{partial}: a link, or no file: remove it") from error
    # A second name of the file may be outside of the folder.
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise UsageError(f"{partial}: a link, or no file: remove it")
    return os.fdopen(descriptor, "ab+")


def _fetch(url: str, file: BufferedRandom, max_bytes: int, progress: Callable[[int], None]) -> None:
    """Appends what is missing, or writes the whole file where the server sends it whole."""
    import requests
    import urllib3

    try:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = os.environ.get(CA_VARIABLE) or True
            with _respond(session, url, file) as response:
                if response.status_code == 200:
                    file.truncate(0)
                _copy(url, response, file, max_bytes, progress)
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        TimeoutError,
        ValueError,  # of URLs in redirects
    ) as error:
        raise WenlanError(
            f"{url} cannot be downloaded ({type(error).__name__}): {_RESUME}"
        ) from error


def _respond(session: "requests.Session", url: str, file: BufferedRandom) -> "requests.Response":
    """The response with the rest of the file (206) or all of it (200), after redirects."""
    done = file.seek(0, os.SEEK_END)
    headers = {"Accept-Encoding": "identity", "User-Agent": "wenlan-data"}
    place = url
    for _ in range(MAX_REDIRECTS + 1):
        parts = urlsplit(place)
        if parts.scheme not in ("https", urlsplit(url).scheme) or "@" in parts.netloc:
            raise WenlanError(
                f"{url}: redirects to a URL that is not plain https: "
                "download it elsewhere and give its path"
            )
        ranged = {**headers, "Range": f"bytes={done}-"} if done else headers
        response = _headers_in_time(session, place, ranged)
        if response.status_code in _REDIRECTS and "Location" in response.headers:
            # Its connection is not used again, also where it went back to the pool, as after an empty
            # body: the server may be about to close it.
            response.close()
            session.close()
            place = urljoin(place, response.headers["Location"])
        elif response.status_code == 200 or _continues(response, done):
            return response
        elif response.status_code in (206, 416) and done:
            # What is there is not the beginning of the file that the server has.
            file.truncate(0)
            done = 0
        else:
            raise WenlanError(
                f"{url} cannot be downloaded (HTTP status {response.status_code}): "
                "download it elsewhere and give its path"
            )
        response.close()
    raise WenlanError(
        f"{url} cannot be downloaded (more than {MAX_REDIRECTS} redirects): "
        "download it elsewhere and give its path"
    )


def _continues(response: "requests.Response", done: int) -> bool:
    sent = response.headers.get("Content-Range", "")
    return response.status_code == 206 and sent.startswith(f"bytes {done}-")


def _headers_in_time(
    session: "requests.Session", url: str, headers: dict[str, str]
) -> "requests.Response":
    """A GET whose headers may take `HEADERS_S`. The timeout of a socket begins again at each byte,
    so that a server could send headers without end."""
    found: list[requests.Response | BaseException] = []

    def get() -> None:
        try:
            found.append(
                session.get(
                    url, headers=headers, stream=True, timeout=SILENT_S, allow_redirects=False
                )
            )
        except BaseException as error:  # noqa: BLE001 # raised below, in the thread that waits
            found.append(error)

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    thread.join(HEADERS_S)
    result = found[0] if found else TimeoutError("no headers")
    if isinstance(result, BaseException):
        raise result
    return result


def _copy(
    url: str,
    response: "requests.Response",
    file: BufferedRandom,
    max_bytes: int,
    progress: Callable[[int], None],
) -> None:
    size = file.seek(0, os.SEEK_END)
    start_s, received = time.monotonic(), 0
    # `read1` returns what has arrived; `read` would wait for a whole piece of a slow server.
    while piece := response.raw.read1(_PIECE_BYTES):
        size += len(piece)
        received += len(piece)
        if size > max_bytes:
            file.truncate(0)
            raise WenlanError(
                f"{url}: sends more than {max_bytes} bytes, and was deleted: "
                "download it elsewhere and give its path"
            )
        file.write(piece)
        progress(size)
        elapsed_s = time.monotonic() - start_s
        if elapsed_s > SLOW_AFTER_S and received < elapsed_s * MIN_BYTES_PER_S:
            raise WenlanError(f"{url}: slower than {MIN_BYTES_PER_S} bytes a second: {_RESUME}")
    file.flush()
