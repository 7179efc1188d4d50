"""Milliseconds that a check of one image takes in this process, in the sandbox one by one, and in
the sandbox in batches as a build makes them.

python -m benchmarks.build.sandbox [--images 40] [--rounds 5]

Prints the medians of the rounds by wall clock. Run it in two checkouts in turn to compare them.
"""

import argparse
import hashlib
import io
import json
import statistics
import time
from collections.abc import Callable

from PIL import Image

from benchmarks.lib.photos import make_photo
from wenlan_data.fetch.background import MAX_AT_ONCE
from wenlan_data.image.check import check_image
from wenlan_data.image.rules import ImageRules
from wenlan_data.sandbox import client as sandbox

RULES = ImageRules(min_bytes=0, min_side_px=1, max_aspect=100)


def jpeg(number: int) -> bytes:
    """Returns an 800x600 JPEG of about 80 kB, which a shard stores unchanged."""
    with Image.open(io.BytesIO(make_photo(number))) as photo:
        data = io.BytesIO()
        photo.convert("RGB").resize((800, 600)).save(data, "JPEG", quality=85)
    return data.getvalue()


def median_ms(work: Callable[[], object], images: int, rounds: int) -> float:
    """Returns the median time of an image, after one round that is not counted."""
    work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return round(statistics.median(times) / images * 1e3, 3)


def main() -> None:
    """Measures the three ways on the same images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    images = [jpeg(number) for number in range(given.images)]
    digests = [hashlib.sha256(data).hexdigest() for data in images]

    def batches() -> None:
        for start in range(0, len(images), MAX_AT_ONCE):
            batch = slice(start, start + MAX_AT_ONCE)
            sandbox.check_images(images[batch], digests[batch], RULES, 90)

    ways: dict[str, Callable[[], object]] = {
        "in_process": lambda: [check_image(data, RULES) for data in images],
        "one_by_one": lambda: [sandbox.check_image(data, RULES) for data in images],
        "batches": batches,
    }
    print(
        json.dumps(
            {name: median_ms(work, given.images, given.rounds) for name, work in ways.items()}
        )
    )


if __name__ == "__main__":
    main()
