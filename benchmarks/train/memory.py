"""Compares a training step on the CPU that keeps freed memory in the process with one that returns
it to the kernel.

python -m benchmarks.train.memory [--runs 5] [--images 32] [--size-px 224]

MobileNetV2 forward and backward, bf16, one thread, random weights. Each run is a process of its
own; the two variants alternate.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import timm
import torch

from wenlan_data.model.allocator import keep_freed_memory
from wenlan_data.model.image_tower import feature_map

STEPS, WARM_UP_STEPS = 6, 2
WIDTH = 1280
"""Channels of MobileNetV2's map."""
WAYS = ("kept", "given_back")


def main() -> None:
    """Prints one JSON line: medians of processor seconds per step, resident memory, and the
    ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(steps(given.one, given.images, given.size_px)))
        return
    size = ["--images", str(given.images), "--size-px", str(given.size_px)]
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(given.runs):
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.train.memory", "--one", way, *size]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {
        way: {name: round(statistics.median(one[name] for one in runs), 3) for name in runs[0]}
        for way, runs in found.items()
    }
    ratio = medians["given_back"]["cpu_s"] / medians["kept"]["cpu_s"]
    print(
        json.dumps(
            {"what": "freed memory", "runs": given.runs, **medians, "ratio": round(ratio, 2)}
        )
    )


def steps(way: str, images: int, size_px: int) -> dict[str, float]:
    """Returns processor and kernel seconds per step after the warm-up, and peak resident memory."""
    if way == "kept" and not keep_freed_memory():
        raise SystemExit("this libc has no mallopt")
    torch.set_num_threads(1)
    network = timm.create_model("mobilenetv2_100", num_classes=0, global_pool="")
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's own
    image = torch.randn(images, 3, size_px, size_px).to(memory_format=torch.channels_last)
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF)
    for step in range(STEPS + WARM_UP_STEPS):
        if step == WARM_UP_STEPS:
            start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = feature_map(network, image, WIDTH).float().mean()
            found.backward()  # type: ignore[no-untyped-call] # torch's own
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_s": (time.process_time() - start) / STEPS,
        "kernel_s": (after.ru_stime - before.ru_stime) / STEPS,
        "max_rss_mb": after.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
