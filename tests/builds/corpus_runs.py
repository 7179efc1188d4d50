"""Runs the real command line on small sources, and reads the resulting corpora."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from click.testing import CliRunner, Result

from wenlan_data.cli.main import cli
from wenlan_data.errors import WenlanError
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image

COMMAND = [sys.executable, "-m", "wenlan_data"]


def command(*words: object) -> subprocess.CompletedProcess[str]:
    """Runs `wenlan-data WORDS` to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, timeout=240
    )


def build(*words: object) -> dict[str, object]:
    """Runs `wenlan-data build WORDS --json`, which must succeed; returns its result."""
    done = command("build", *words, "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def run_here(*words: object) -> Result:
    """Runs `wenlan-data WORDS` in this process, which saves the second of its start. The result
    holds the error of a command that failed."""
    return CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)


def build_here(*words: object) -> dict[str, object]:
    """As `build`, in this process and with local threads."""
    done = run_here("build", *words, "--executor", "local", "--json")
    if done.exception:
        raise done.exception
    result: dict[str, object] = json.loads(done.stdout)
    return result


def refused_here(code: int, *words: object) -> str:
    """Runs a command in this process that must fail with this exit code; returns its message."""
    error = run_here(*words).exception
    assert isinstance(error, WenlanError), repr(error)
    assert error.exit_code == code, error
    return str(error)


def sources_file(path: Path, site: Site, sources: Sequence[Mapping[str, object]]) -> Path:
    """Writes a sources file that allows the site's host."""
    value = {
        "network": {"allow": [site.host]},
        "hosts": {site.host: {"max_connections": 8, "min_gap_s": 0}},
        "sources": [dict(one) for one in sources],
    }
    path.write_text(yaml.safe_dump(value), "utf-8")
    return path


def table(path: Path, rows: Sequence[tuple[str, str]], row_group_size: int = 1000) -> Path:
    """Writes a Parquet table of (url, text)."""
    columns = {"url": [url for url, _ in rows], "text": [text for _, text in rows]}
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def photographs(site: Site, numbers: Sequence[int]) -> list[tuple[str, str]]:
    """Puts one image for each number on the site; returns their rows of a table."""
    rows = []
    for number in numbers:
        site.responses[f"/{number}.jpg"] = CannedResponse(make_image(number))
        rows.append((site.url(f"/{number}.jpg"), make_caption(number)))
    return rows


def manifest(corpus: Path) -> dict[str, object]:
    """Returns the manifest without the values that differ between equal builds."""
    value: dict[str, object] = json.loads((corpus / "manifest.json").read_text("utf-8"))
    value.pop("times")
    return value


def content(corpus: Path) -> dict[str, object]:
    """Returns what equal builds share: files by name, metadata rows without fetch times."""
    files: dict[str, object] = {
        path.name: path.read_bytes() for path in sorted((corpus / "shards").iterdir())
    }
    for path in sorted((corpus / "drops").iterdir()):
        files[f"drops/{path.name}"] = path.read_bytes()
    for path in sorted((corpus / "metadata").iterdir()):
        files[f"metadata/{path.name}"] = (
            pq.read_table(path).drop_columns(["fetched_at", "ip"]).to_pylist()
        )
    files["manifest"] = manifest(corpus)
    return files


def captions(corpus: Path) -> dict[str, str]:
    """Returns caption to URL of all published samples."""
    rows = [
        row
        for path in sorted((corpus / "metadata").iterdir())
        for row in pq.read_table(path).to_pylist()
    ]
    return {row["caption"]: row["image_url"] for row in rows}


def drops(corpus: Path) -> list[dict[str, object]]:
    """Returns all drops, in order."""
    return [
        row
        for path in sorted((corpus / "drops").iterdir())
        for row in pq.read_table(path).to_pylist()
    ]
