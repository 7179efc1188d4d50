"""Takes the screenshots of docs/report.md with headless Chromium.

They show the report of the demo in light and dark mode, and at the width of a phone.

python -m benchmarks.build.report_screenshots                     # builds the demo first
python -m benchmarks.build.report_screenshots --corpus corpus/    # of an existing corpus
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
"""Narrowest window that Chromium opens; the phone is a frame inside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screenshot:
    """A screenshot: section, size in CSS pixels, and colour scheme."""

    name: str
    width: int = 1280
    height: int
    section: str = ""
    """Id of the section that is shown; empty for the page from its top."""
    dark: bool = False
    boxes: bool = False
    """Whether regions are drawn in the gallery."""
    scale: int = 1
    """Device pixels per CSS pixel."""


SCREENSHOTS = (
    Screenshot(name="light", height=1240),
    Screenshot(name="dark", height=1000, section="gallery", dark=True),
    Screenshot(name="boxes", height=720, section="gallery", boxes=True),
    Screenshot(name="duplicates", height=760, section="duplicates"),
    Screenshot(name="left-out", height=900, section="drops"),
    Screenshot(name="phone", width=PHONE_PX, height=844, scale=2),
    Screenshot(
        name="phone-gallery", width=PHONE_PX, height=844, scale=2, section="gallery", dark=True
    ),
)


def main() -> None:
    """Writes `docs/images/report-*.jpg`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpus",
        type=Path,
        help="a corpus with a report; default: the demo, built in a temporary folder",
    )
    parser.add_argument("--out", type=Path, default=IMAGES)
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("chromium is not installed: apt-get install chromium fonts-noto-cjk")
    with TemporaryDirectory() as folder:
        work = Path(folder)
        report = (arguments.corpus or _build_demo(work)) / "report" / "index.html"
        arguments.out.mkdir(parents=True, exist_ok=True)
        for screenshot in SCREENSHOTS:
            png = _take_screenshot(chromium, report, screenshot, work)
            target = arguments.out / f"report-{screenshot.name}.jpg"
            with Image.open(png) as image:
                right, bottom = (
                    screenshot.width * screenshot.scale,
                    screenshot.height * screenshot.scale,
                )
                image.convert("RGB").crop((0, 0, right, bottom)).save(
                    target, quality=82, optimize=True
                )
            print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


def _build_demo(folder: Path) -> Path:
    from wenlan_data.demo.run import run_demo

    run_demo(folder / "demo", 2, "local")
    return folder / "demo" / "corpus"


def _take_screenshot(chromium: str, report: Path, screenshot: Screenshot, work: Path) -> Path:
    page = report.with_name("index.html")
    text = page.read_text("utf-8")
    if screenshot.boxes:
        text = text.replace('id="boxes">', 'id="boxes" checked>')
    if screenshot.section:
        # Chromium takes no screenshot of a page scrolled to an anchor, so all else is hidden.
        text = text.replace(
            "</style>",
            f"header,nav,main>section:not(#{screenshot.section}){{display:none}}</style>",
            1,
        )
    copy = work / "page" / "index.html"
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(text, "utf-8")
    if (report.parent / "thumbs").is_dir():
        shutil.copytree(report.parent / "thumbs", copy.parent / "thumbs", dirs_exist_ok=True)
    target = copy.as_uri()
    if screenshot.width < MIN_WINDOW_PX:
        frame = f"border:0;display:block;width:{screenshot.width}px;height:{screenshot.height}px"
        (work / "frame.html").write_text(
            f'<body style="margin:0"><iframe src="{target}" style="{frame}"></iframe>'
        )
        target = (work / "frame.html").as_uri()
    png = work / f"{screenshot.name}.png"
    command = [
        chromium,
        "--headless",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "--disable-gpu",
        "--hide-scrollbars",
        # Otherwise, on a busy machine, the screenshot may lack tiles that are not painted yet.
        "--run-all-compositor-stages-before-draw",
        "--force-prefers-reduced-motion",
        f"--user-data-dir={work / 'profile'}",
        f"--force-device-scale-factor={screenshot.scale}",
        f"--window-size={max(screenshot.width, MIN_WINDOW_PX)},{screenshot.height}",
        f"--screenshot={png}",
        *(
            ["--blink-settings=preferredColorScheme=0"]
            if screenshot.dark
            else ["--blink-settings=preferredColorScheme=1"]
        ),
        target,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    errors = " ".join(done.stderr.split())[-300:]
    if done.returncode or not png.is_file():
        sys.exit(f"chromium took no screenshot of {target}: {errors}")
    return png


if __name__ == "__main__":
    main()
