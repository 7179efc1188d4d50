"""Crawls four real sites, three of Debian packages and one of recipes, served as four hosts, until
no page is left.

Compares the requested pages with those that a walk over the files finds reachable: each must be
requested once, and none may be missing.
"""

import argparse
import json
import subprocess
import threading
import time
from collections import Counter
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import yaml
from protego import Protego

from benchmarks.build.peers import COMMAND, environment
from benchmarks.lib.memory import descendants, status_of
from wenlan_data.crawl.scope import Scope

STARTS = {
    "/usr/share/doc/debian-handbook/html/zh-CN": "index.html",
    "/usr/share/gimp/3.0/help/zh_CN": "index.html",
    "/usr/share/libreoffice/help": "zh-CN/text/swriter/main0000.html",
}
LIMITS = {"max_links_a_page": 100_000, "tdmrep": False}
KINDS = ("driver", "worker", "decoder")
Seen = Counter[str]
"""Kind of process to its largest resident memory in MiB, at one moment."""


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder and logs the requested paths."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    log: list[str]

    def do_GET(self) -> None:
        self.log.append(unquote(self.path.partition("?")[0]).lstrip("/"))
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Links(HTMLParser):
    """Collects the URLs that a page links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Records the target of a link."""
        given = dict(attrs)
        if tag == "base" and not self.base:
            self.base = given.get("href") or ""
        follows = "nofollow" not in (given.get("rel") or "")
        name = "src" if tag in {"iframe", "frame"} else "href"
        is_next = tag == "link" and "next" in (given.get("rel") or "").split()
        if follows and (tag in {"a", "area", "iframe", "frame"} or is_next) and given.get(name):
            self.found.append(str(given[name]))


def reachable(folder: Path, start: str) -> set[str]:
    """Returns the files that are reachable by links from `start` and allowed by robots.txt."""
    scope, robots = Scope(hosts=("h:80",)), folder / "robots.txt"
    rules = Protego.parse(robots.read_text("utf-8") if robots.is_file() else "")
    seen, waiting = {start}, [start]
    while waiting:
        page = waiting.pop()
        parser = Links()
        parser.feed((folder / page).read_text("utf-8", "replace"))
        base = urljoin(f"http://h/{page}", parser.base)
        for link in parser.found:
            url = urljoin(base, link.strip()).partition("#")[0]
            path = unquote(urlsplit(url).path).lstrip("/")
            is_file = bool(path) and (folder / path).is_file()
            if (
                not (url.startswith("http://h/") and is_file)
                or path in seen
                or scope.reason_to_skip(url, "h:80")
            ):
                continue
            if rules.can_fetch(url, "wenlan-data"):
                seen.add(path)
                if path.endswith((".html", ".htm")):
                    waiting.append(path)
    return seen


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-out/manuals"))
    parser.add_argument("--recipes", type=Path, default=Path("../shared/data/howtocook-site"))
    given = parser.parse_args()
    starts = {Path(folder): start for folder, start in STARTS.items()} | {
        given.recipes: "index.html"
    }
    hosts, logs = [], []
    for folder in starts:
        log: list[str] = []
        handler = type("Logged", (Handler,), {"log": log})
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hosts.append(f"127.0.0.1:{server.server_address[1]}")
        logs.append(log)
    cost = _build(given.out, hosts, list(starts.values()))
    found = []
    for (folder, start), log in zip(starts.items(), logs, strict=True):
        known, requested = reachable(folder, start), Counter(log)
        pages = {
            path
            for path in requested
            if (folder / path).is_file() and path.endswith((".html", ".htm"))
        }
        expected = {path for path in known if path.endswith((".html", ".htm"))}
        found.append(
            {
                "site": folder.name,
                "reachable": len(expected),
                "fetched": len(pages),
                "not_fetched": sorted(expected - pages)[:5],
                "asked_twice": sorted(path for path in pages if requested[path] > 1)[:5],
            }
        )
    print(json.dumps({"sites": found, **cost}, ensure_ascii=False))


def _build(out: Path, hosts: list[str], starts: list[str]) -> dict[str, object]:
    out.mkdir(parents=True, exist_ok=True)
    value = {
        "network": {"allow": hosts},
        "hosts": {host: {"min_gap_s": 0} for host in hosts},
        "limits": LIMITS,
        "sources": [
            {
                "kind": "pages",
                "seeds": [
                    f"http://{host}/{start}" for host, start in zip(hosts, starts, strict=True)
                ],
                "max_depth": 1000,
            }
        ],
    }
    (out / "sources.yaml").write_text(yaml.safe_dump(value), "utf-8")
    words = [
        "build",
        "--sources",
        str(out / "sources.yaml"),
        "--out",
        str(out / "corpus"),
        "--workers",
        "2",
        "--json",
    ]
    started = time.monotonic()
    with subprocess.Popen([*COMMAND, *words], env=environment(), stdout=subprocess.PIPE) as process:
        seen: dict[str, list[Seen]] = {"crawl": [], "build": []}
        reading = threading.Thread(
            target=_watch,
            args=(process.pid, out / "corpus/.work/generations/000000/plan.json", seen),
        )
        reading.start()
        stdout, _ = process.communicate()
        reading.join()
    if process.returncode:
        raise SystemExit(f"the build ended with {process.returncode}")
    seconds = {step: round(spent, 1) for step, spent in json.loads(stdout)["seconds"].items()}
    return {
        "seconds": round(time.monotonic() - started, 1),
        "seconds_of_steps": seconds,
        "largest_mib": {phase: _by_quarter(one) for phase, one in seen.items()},
    }


def _watch(pid: int, plan: Path, seen: dict[str, list[Seen]]) -> None:
    """Samples the largest process of each kind. The crawl is over when a generation is planned."""
    while "VmRSS" in status_of(pid):
        now = Counter({"driver": _mib(pid)})
        for child in descendants(pid)[1:]:
            kind = _kind(child)
            now[kind] = max(now[kind], _mib(child))
        seen["build" if plan.is_file() else "crawl"].append(now)
        time.sleep(0.25)


def _by_quarter(seen: list[Seen]) -> dict[str, list[int]]:
    """Returns the largest resident memory of each kind of process in each quarter of the time, in
    MiB."""
    quarters = [seen[len(seen) * n // 4 : len(seen) * (n + 1) // 4] for n in range(4)]
    return {
        kind: [max((one[kind] for one in part), default=0) for part in quarters] for kind in KINDS
    }


def _kind(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "gone"
    return (
        "worker"
        if command.startswith(b"ray::")
        else "decoder"
        if b"wenlan_data.sandbox.worker" in command
        else "ray"
    )


def _mib(pid: int) -> int:
    return int(status_of(pid).get("VmRSS", "0 kB").split()[0]) >> 10


if __name__ == "__main__":
    main()
