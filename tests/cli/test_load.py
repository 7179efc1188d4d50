import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from tests.load.corpora import write_corpus
from wenlan_data.cli.main import cli


def test_bench_prints_the_roofline(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [80])
    words = [
        "load",
        "bench",
        str(corpus),
        "--batch-size",
        "8",
        "--size-px",
        "8",
        "--workers",
        "1",
        "--seconds",
        "0.1",
    ]
    shown = CliRunner().invoke(cli, [*words, "--augment"])
    assert shown.exit_code == 0, shown.output
    assert "of decode" in shown.output
    assert "is the ceiling" in shown.output
    found = json.loads(CliRunner().invoke(cli, [*words, "--json"]).output)
    assert found["narrowest"] in {"read", "decode"}
    assert found["device"] is None
    assert min(found["iterate"], found["read"], found["decode"], found["loader"]) > 0


def test_bench_of_a_corrupt_corpus_exits_1(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [8])
    (corpus / "shards" / "wenlan-000000.tar").unlink()
    command = [
        sys.executable,
        "-c",
        "from wenlan_data.cli.main import main; main()",
        "load",
        "bench",
        str(corpus),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "wenlan-000000.tar: this shard is missing" in done.stderr
    assert len(done.stderr.splitlines()) == 1
