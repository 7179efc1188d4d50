import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.builds.corpus_runs import COMMAND, build, content, photographs, sources_file, table
from wenlan_data.testing import Site


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_ends_with_11_and_goes_on(tmp_path: Path, site: Site, sent: signal.Signals) -> None:
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
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 11, errors
    assert "run the same command to go on" in errors.splitlines()[-1]
    build(*words, tmp_path / "c")
    build(*words, tmp_path / "undisturbed")
    assert content(tmp_path / "c") == content(tmp_path / "undisturbed")
