r"""Images per second that one core checks and hashes, beside plain Pillow, Daft and imagededup.

python -m benchmarks.build.image [--howtocook FOLDER] [--peers FOLDER] [--rounds 5]

`images_per_cpu_s` is by processor time of this process and of the sandbox, which hardly depends on
other work on the machine; `images_per_s` is by wall clock, the best round.

`--peers` is a folder made by
pip install --no-deps --target FOLDER daft imagededup matplotlib contourpy cycler fonttools \
    kiwisolver
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import imagehash
import numpy as np
import pdqhash
from PIL import Image

from benchmarks.lib.photos import make_photo
from benchmarks.lib.processor import cpu_s
from wenlan_data.fetch.background import MAX_AT_ONCE
from wenlan_data.image.check import check_image
from wenlan_data.image.decode import decode_jpeg
from wenlan_data.image.hash import MIN_DECODED_SIDE_PX
from wenlan_data.image.jpeg import JpegHeader, read_header
from wenlan_data.image.rules import ImageRules
from wenlan_data.sandbox import client as sandbox

RULES = ImageRules(min_bytes=0, min_side_px=1, max_aspect=100)
ROUND_IMAGES = 100
Work = Callable[[Sequence[bytes]], object]


def plain(images: Sequence[bytes]) -> None:
    """Decodes with Pillow, hashes the whole image with imagehash and pdqhash, and the bytes with
    hashlib. Checks nothing."""
    for data in images:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            hashlib.sha256(data).hexdigest()
            imagehash.phash(image)
            pdqhash.compute(np.asarray(image.convert("RGB")))


def ours(images: Sequence[bytes]) -> None:
    """Computes check, SHA-256, pHash and PDQ in the sandbox, as in a build."""
    for start in range(0, len(images), MAX_AT_ONCE):
        batch = images[start : start + MAX_AT_ONCE]
        sandbox.check_images(batch, [hashlib.sha256(data).hexdigest() for data in batch], RULES, 92)


def ours_in_process(images: Sequence[bytes]) -> None:
    """Does the same without the sandbox: the difference is the cost of isolation."""
    for data in images:
        check_image(data, RULES)


def decoding(images: Sequence[bytes]) -> None:
    """Only decodes the JPEG: the lower bound of a check."""
    for data in images:
        header = read_header(data)
        if isinstance(header, JpegHeader):
            decode_jpeg(data, header, min_side_px=MIN_DECODED_SIDE_PX)


def daft_work(folder: Path) -> Work | None:
    """Returns Daft's decoding and pHash, one column expression; no PDQ, no SHA-256, no check."""
    sys.path.append(str(folder))
    try:
        import daft
        from daft.functions import decode_image, image_hash
    except ImportError:
        return None

    def work(images: Sequence[bytes]) -> object:
        frame = daft.from_pydict({"data": list(images)})
        return frame.select(image_hash(decode_image(daft.col("data")), method="phash")).to_pydict()

    return work


def imagededup_work(folder: Path) -> Work | None:
    """Returns imagededup's pHash of decoded arrays, as it requires them; no PDQ, SHA-256 or
    check."""
    sys.path.append(str(folder))
    try:
        from imagededup.methods import PHash
    except ImportError:
        return None
    hasher = PHash(verbose=False)

    def work(images: Sequence[bytes]) -> None:
        for data in images:
            with Image.open(io.BytesIO(data)) as image:
                hasher.encode_image(image_array=np.asarray(image.convert("RGB")))

    return work


@dataclass(frozen=True)
class Rates:
    """Images per second of each method."""

    images_per_cpu_s: dict[str, float]
    images_per_s: dict[str, float]


def measured(works: dict[str, Work], images: Sequence[bytes], rounds: int) -> Rates:
    """Measures all methods in alternating rounds: the median round by processor time, and the best
    by wall clock, which other work can only slow down."""
    cpu: dict[str, list[float]] = {name: [] for name in works}
    wall: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work(images[:3])
    for _ in range(rounds):
        for name, work in works.items():
            start, start_cpu_s = time.perf_counter(), cpu_s()
            work(images)
            cpu[name].append(cpu_s() - start_cpu_s)
            wall[name].append(time.perf_counter() - start)
    count = len(images)
    return Rates(
        images_per_cpu_s={
            name: round(count / statistics.median(some), 1) for name, some in cpu.items()
        },
        images_per_s={name: round(count / min(some), 1) for name, some in wall.items()},
    )


def of_set(works: dict[str, Work], images: Sequence[bytes], rounds: int) -> dict[str, object]:
    """Returns rates for a set of images, and the ratio of ours to each other method by processor
    time."""
    rates = measured(works, images, rounds)
    found = rates.images_per_cpu_s
    ratios = {
        f"ratio_to_{peer}": round(found["ours"] / found[peer], 2)
        for peer in found
        if peer != "ours"
    }
    mean_bytes = round(statistics.mean(map(len, images)))
    return {"images": len(images), "mean_bytes": mean_bytes, **asdict(rates), **ratios}


def main() -> None:
    """Prints a JSON line for each set of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--howtocook", type=Path, help="Folder with photographs, at any depth.")
    parser.add_argument("--peers", type=Path, default=Path("bench-out/peers"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    works: dict[str, Work] = {
        "ours": ours,
        "ours_in_process": ours_in_process,
        "decoding": decoding,
        "plain": plain,
    }
    with contextlib.redirect_stdout(sys.stderr):
        works |= {
            name: work
            for name, work in (
                ("daft", daft_work(options.peers)),
                ("imagededup", imagededup_work(options.peers)),
            )
            if work is not None
        }
    sets = {"800x600": [make_photo(index) for index in range(ROUND_IMAGES)]}
    if options.howtocook:
        paths = sorted(
            path
            for path in options.howtocook.rglob("*")
            if path.suffix.lower() in {".jpg", ".jpeg"}
        )
        sets["howtocook"] = [path.read_bytes() for path in paths]
    for name, images in sets.items():
        print(
            json.dumps({"input": name, "core": core, **of_set(works, images, options.rounds)}),
            flush=True,
        )


if __name__ == "__main__":
    main()
