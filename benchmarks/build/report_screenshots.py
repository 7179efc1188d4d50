"""Makes the screenshots of docs/report.md with headless Chromium: the demo's report in light, dark and phone width.

python benchmarks/build/report_screenshots.py                     # builds the demo in a temporary folder
python benchmarks/build/report_screenshots.py --corpus corpus/    # of a corpus that is there
"""

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
PHONE_PX = 390
MIN_WINDOW_PX = 500
"""Chromium opens no narrower window, so the phone is a frame in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A screenshot: which section of the page, how large, in which colours."""

    name: str
    width: int = 1280
    height: int
    only: str = ""
    """The section that is shown; empty for the page from its top."""
    dark: bool = False
    boxes: bool = False
    """Whether the regions are drawn in the gallery."""
    scale: int = 1


SHOTS = (
    Shot(name="light", height=1240),
    Shot(name="dark", height=1000, only="gallery", dark=True),
    Shot(name="boxes", height=720, only="gallery", boxes=True),
    Shot(name="duplicates", height=760, only="duplicates"),
    Shot(name="left-out", height=900, only="drops"),
    Shot(name="phone", width=PHONE_PX, height=844, scale=2),
    Shot(name="phone-gallery", width=PHONE_PX, height=844, scale=2, only="gallery", dark=True),
)


def main() -> None:
    """Write `docs/images/report-*.jpg`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpus", type=Path, help="a corpus with a report; default: the demo, built for this"
    )
    parser.add_argument("--out", type=Path, default=IMAGES)
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("chromium is not installed: apt-get install chromium fonts-noto-cjk")
    with TemporaryDirectory() as folder:
        work = Path(folder)
        report = (arguments.corpus or _demo(work)) / "report" / "index.html"
        arguments.out.mkdir(parents=True, exist_ok=True)
        for shot in SHOTS:
            picture = _take(chromium, report, shot, work)
            target = arguments.out / f"report-{shot.name}.jpg"
            with Image.open(picture) as image:
                right, bottom = shot.width * shot.scale, shot.height * shot.scale
                image.convert("RGB").crop((0, 0, right, bottom)).save(
                    target, quality=82, optimize=True
                )
            print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


def _demo(folder: Path) -> Path:
    from wenlan_data.demo.run import run_demo

    run_demo(folder / "demo", 2, "local")
    return folder / "demo" / "corpus"


def _take(chromium: str, report: Path, shot: Shot, work: Path) -> Path:
    page = report.with_name("index.html")
    text = page.read_text("utf-8")
    if shot.boxes:
        text = text.replace('id="boxes">', 'id="boxes" checked>')
    if shot.only:
        # Chromium takes no screenshot of a page that is scrolled to an anchor, so the rest is hidden.
        text = text.replace(
            "</style>", f"header,nav,main>section:not(#{shot.only}){{display:none}}</style>", 1
        )
    copy = work / "page" / "index.html"
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(text, "utf-8")
    if (report.parent / "thumbs").is_dir():
        shutil.copytree(report.parent / "thumbs", copy.parent / "thumbs", dirs_exist_ok=True)
    target = copy.as_uri()
    if shot.width < MIN_WINDOW_PX:
        frame = f"border:0;display:block;width:{shot.width}px;height:{shot.height}px"
        (work / "frame.html").write_text(
            f'<body style="margin:0"><iframe src="{target}" style="{frame}"></iframe>'
        )
        target = (work / "frame.html").as_uri()
    picture = work / f"{shot.name}.png"
    words = [
        chromium,
        "--headless",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "--disable-gpu",
        "--hide-scrollbars",
        # Otherwise a busy machine's picture may lack tiles that are not painted yet.
        "--run-all-compositor-stages-before-draw",
        "--force-prefers-reduced-motion",
        f"--user-data-dir={work / 'profile'}",
        f"--force-device-scale-factor={shot.scale}",
        f"--window-size={max(shot.width, MIN_WINDOW_PX)},{shot.height}",
        f"--screenshot={picture}",
        *(
            ["--blink-settings=preferredColorScheme=0"]
            if shot.dark
            else ["--blink-settings=preferredColorScheme=1"]
        ),
        target,
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    said = " ".join(done.stderr.split())[-300:]
    if done.returncode or not picture.is_file():
        sys.exit(f"chromium made no picture of {target}: {said}")
    return picture


if __name__ == "__main__":
    main()
