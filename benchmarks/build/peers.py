"""Runs one program once, as a user would, and checks that it wrote every image."""

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lib.machine import busy_s

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-c", "from wenlan_data.cli.main import main; main()"]
PEER_SETTINGS = {"processes_count": 2, "thread_count": 64, "number_sample_per_shard": 10_000}
MODES = {
    # Both store images that fit unchanged: `skip_reencode` is img2dataset's fastest mode.
    "as_is": (
        ["--set", "image.max_side_px=1024"],
        ["--resize_mode", "no", "--skip_reencode", "True"],
    ),
    # img2dataset's default: without `skip_reencode` every image is encoded again, and grows.
    "as_is_reencoded": (["--set", "image.max_side_px=1024"], ["--resize_mode", "no"]),
    # `keep_ratio` brings the shorter side to 384, so both write 512x384, at the same quality.
    "resized": (
        ["--set", "image.max_side_px=512"],
        ["--resize_mode", "keep_ratio", "--image_size", "384", "--encode_quality", "92"],
    ),
}
"""Mode to the options of wenlan-data and of img2dataset."""

_SOURCES = """\
network: {{allow: ["{host}"]}}
hosts: {{"{host}": {{max_connections: 64, min_gap_s: 0}}}}
sources: [{{kind: table, path: "{table}", url: url, text: text}}]
"""


@dataclass(frozen=True, slots=True)
class OurRun:
    """One run of wenlan-data: total seconds, and seconds by phase as it reports them (`executor`
    is the start of Ray)."""

    seconds: float
    processor_seconds: float
    phase_seconds: Mapping[str, float]

    @property
    def seconds_without_start(self) -> float:
        """Total seconds without the start of Ray."""
        return self.seconds - self.phase_seconds.get("executor", 0.0)


def run_wenlan(work: Path, table: Path, host: str, mode: str, images: int, workers: int) -> OurRun:
    """Builds a corpus."""
    out = _fresh(work / "wenlan")
    sources = write_sources(work, host, table)
    command = [
        *COMMAND,
        "build",
        "--sources",
        str(sources),
        "--out",
        str(out),
        "--workers",
        str(workers),
        "--json",
    ]
    started, busy = time.monotonic(), busy_s()
    done = subprocess.run(
        [*command, *MODES[mode][0]], capture_output=True, text=True, check=False, env=environment()
    )
    seconds, busy = time.monotonic() - started, busy_s() - busy
    if done.returncode:
        raise SystemExit(f"wenlan-data failed:\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    _expect(images, result["samples"], "wenlan-data")
    return OurRun(seconds, busy, result["seconds"])


def run_img2dataset(
    peer: Path, work: Path, table: Path, mode: str, images: int
) -> tuple[float, float]:
    """Downloads the same table. Returns total seconds and processor seconds."""
    out = _fresh(work / "img2dataset-out")
    arguments = [
        "--url_list",
        str(table),
        "--input_format",
        "parquet",
        "--url_col",
        "url",
        "--caption_col",
        "text",
    ]
    arguments += [
        "--output_folder",
        str(out),
        "--output_format",
        "webdataset",
        "--enable_wandb",
        "False",
    ]
    arguments += [
        word for name, value in PEER_SETTINGS.items() for word in (f"--{name}", str(value))
    ]
    started, busy = time.monotonic(), busy_s()
    command = [str(peer), *arguments, *MODES[mode][1]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    seconds, busy = time.monotonic() - started, busy_s() - busy
    if done.returncode:
        raise SystemExit(f"img2dataset failed:\n{done.stderr[-2000:]}")
    written = sum(json.loads(path.read_text())["successes"] for path in out.glob("*_stats.json"))
    _expect(images, written, "img2dataset")
    return seconds, busy


def write_sources(work: Path, host: str, table: Path) -> Path:
    """Writes a sources file that permits requests to `host`."""
    path = work / "sources.yaml"
    path.write_text(_SOURCES.format(host=host, table=table.resolve()), encoding="utf-8")
    return path


def find_img2dataset(given: Path | None, work: Path) -> Path:
    """Returns the path of its command: `given`, or that of an environment created on demand."""
    folder = work / "img2dataset"
    command = given or folder / "bin" / "img2dataset"
    if not command.is_file() and given is None:
        venv.create(folder, with_pip=True)
        subprocess.run(
            [str(folder / "bin" / "pip"), "install", "--quiet", "img2dataset"], check=True
        )
    if not command.is_file():
        raise SystemExit(f"{command}: there is no such command")
    return command


def img2dataset_version(given: Path | None, work: Path) -> str:
    """Returns the version in its environment; empty if img2dataset was not needed."""
    python = (given or work / "img2dataset" / "bin" / "img2dataset").parent / "python"
    if not python.is_file():
        return ""
    code = "from importlib.metadata import version; print(version('img2dataset'))"
    return subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def environment() -> dict[str, str]:
    """Returns our environment, with the repository importable and the update checks of a peer
    off."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NO_ALBUMENTATIONS_UPDATE": "1"}


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _expect(images: int, written: int, program: str) -> None:
    if written != images:
        raise SystemExit(
            f"{program} wrote {written} of {images} images: the times cannot be compared"
        )
