"""Ctrl-C while threads wait for the next request: the build does not wait for them."""

import signal
import subprocess
import time
from pathlib import Path

import yaml

from tests.builds.corpus_runs import COMMAND, photographs, table
from wenlan_data.testing import Site


def test_a_build_that_waits_for_a_slow_host_ends_soon(tmp_path: Path, site: Site) -> None:
    table(tmp_path / "a.parquet", photographs(site, range(40)))
    value = {
        "network": {"allow": [site.host]},
        "hosts": {site.host: {"min_gap_s": 5}},
        "sources": [{"kind": "table", "path": "a.parquet", "url": "url", "text": "text"}],
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(value), "utf-8")
    words = [
        "--sources",
        str(tmp_path / "s.yaml"),
        "--executor",
        "local",
        "--workers",
        "2",
        "--out",
        str(tmp_path / "c"),
    ]
    with subprocess.Popen(
        [*COMMAND, "build", *words],
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what runs in its background, these tests too, with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while not site.log:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        # All requests together take minutes: 60 s is far less, and far more than an exit takes.
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 11, errors
