import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.builds.corpus_runs import COMMAND, build, content, photographs, sources_file, table
from wenlan_data.testing import CannedResponse, Site


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_ends_with_11_and_is_resumed(
    tmp_path: Path, site: Site, sent: signal.Signals
) -> None:
    table(tmp_path / "a.parquet", photographs(site, range(150)), row_group_size=25)
    sources = sources_file(tmp_path / "s.yaml", site, [{"kind": "table", "path": "a.parquet"}])
    words = ["--sources", str(sources), "--executor", "local", "--out"]
    with subprocess.Popen(
        [*COMMAND, "build", *words, str(tmp_path / "c")],
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what runs in its background, these tests too, with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while not (tmp_path / "c" / ".work" / "generations" / "000000" / "extract").is_dir():
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 11, errors
    assert "run the same command to resume" in errors.splitlines()[-1]
    build(*words, tmp_path / "c")
    build(*words, tmp_path / "undisturbed")
    assert content(tmp_path / "c") == content(tmp_path / "undisturbed")


SLOW = (pytest.mark.slow, pytest.mark.timeout(900))
PREFIX = "wenlan-data: interrupted"


def _interrupted(words: list[str], out: Path, sent: list[signal.Signals]) -> tuple[int, str]:
    """Starts a build and sends it signals once a part of its crawl is committed.

    Returns the exit code and stderr.
    """
    with subprocess.Popen(
        [*COMMAND, "build", *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while not any(out.glob(".work/crawls/*/*/crawl/*")):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.005)
        for one in sent:
            # A terminal sends Ctrl-C to the process group; `kill` sends a signal to one process.
            (os.killpg if one == signal.SIGINT else os.kill)(process.pid, one)
            # So that the second signal is not merged with a pending first one.
            time.sleep(0.02)
        _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.mark.parametrize(
    ("executor", "sent"),
    [
        ("local", [signal.SIGINT, signal.SIGINT]),
        pytest.param("ray", [signal.SIGINT], marks=SLOW),
        pytest.param("ray", [signal.SIGTERM], marks=SLOW),
        pytest.param("ray", [signal.SIGINT, signal.SIGINT], marks=SLOW),
    ],
)
def test_a_crawl_that_is_interrupted_ends_with_11_once_cleanly_and_twice_at_once(
    tmp_path: Path, executor: str, sent: list[signal.Signals]
) -> None:
    html = {"Content-Type": "text/html; charset=utf-8"}
    with Site() as site:
        [(_, alt)] = photographs(site, range(1))
        for page in range(40):
            link = f'<a href="/{page + 1}.html">下一页</a>' if page < 39 else ""
            site.responses[f"/{page}.html"] = CannedResponse(
                f'{link}<img src="/0.jpg" alt="{alt}">'.encode(), 200, html
            )
        pages = [{"kind": "pages", "seeds": [site.url("/0.html")], "max_depth": 50}]
        sources = sources_file(tmp_path / "s.yaml", site, pages)
        words = ["--sources", str(sources), "--workers", "2", "--out", str(tmp_path / "c")]
        # The pages share one image, which would else be furniture.
        words += ["--set", "dedupe.max_site_pages=0"]
        code, errors = _interrupted([*words, "--executor", executor], tmp_path / "c", sent)
        assert code == 11, errors
        # After two signals the process may exit before it prints anything.
        assert "Traceback" not in errors
        assert "(raylet)" not in errors
        assert PREFIX in errors or len(sent) > 1, errors
        assert build(*words, "--executor", "local")["samples"] == 1
        assert site.log.count("/39.html") == 1
