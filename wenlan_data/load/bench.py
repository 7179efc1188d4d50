"""How fast a corpus loads here, and what holds it back: each stage alone, then all together."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
import torch

from wenlan_data.load.augment import Augment
from wenlan_data.load.batches import IMAGE_EXTENSIONS
from wenlan_data.load.decode import decoder
from wenlan_data.load.device_prefetch import Finisher
from wenlan_data.load.loader import Loader
from wenlan_data.load.workers import make_batches

CACHED_BATCHES = 4
CACHED_SAMPLES = 256
CHUNK_SAMPLES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofline:
    """Samples a second of each stage alone; a stage that there is none of is missing."""

    iterate: float
    """Keys and views of the members, one process, no byte touched."""
    read: float
    """Every byte touched once, one process."""
    read_mb_per_s: float
    decode: float
    """The decode-only ceiling: bytes in memory, the loader's decoder and its number of processes."""
    device: float | None
    """Copy and augmentation of cached batches on the device: the ceiling of a training loop that does nothing else."""
    loader: float
    """All together."""
    first_batch_s: float
    wait_share: float
    bad_share: float
    occupancy: Mapping[str, float]

    @property
    def narrowest(self) -> str:
        """The stage that is the ceiling."""
        stages = {"read": self.read, "decode": self.decode, "device": self.device}
        return min((rate, name) for name, rate in stages.items() if rate is not None)[1]

    @property
    def of_decode(self) -> float:
        """The loader's rate as a share of the decode-only ceiling."""
        return self.loader / self.decode

    def line(self) -> str:
        """The roofline in one line."""
        device = "" if self.device is None else f"  device {self.device:,.0f}/s"
        return (
            f"iterate {self.iterate:,.0f}/s  read {self.read:,.0f}/s ({self.read_mb_per_s:,.0f} MB/s)  "
            f"decode {self.decode:,.0f}/s{device}  loader {self.loader:,.0f}/s "
            f"= {self.of_decode:.0%} of decode; {self.narrowest} is the ceiling"
        )


def measure(
    make: Callable[[], Loader], *, seconds: float, augment: Augment | None, device: str
) -> Roofline:
    """The roofline of the loaders that `make` gives, each stage for about `seconds`."""
    loader = make()
    iterate = _iterate(loader, seconds, touch=False)[0]
    read, bytes_per_s = _iterate(loader, seconds, touch=True)
    decode = decode_ceiling(loader, seconds)
    on_device = (
        _device(loader, augment, torch.device(device), seconds)
        if augment or device != "cpu"
        else None
    )
    rate, metrics, first_s = run(make, seconds)
    return Roofline(
        iterate=iterate,
        read=read,
        read_mb_per_s=bytes_per_s / 1e6,
        decode=decode,
        device=on_device,
        loader=rate,
        first_batch_s=first_s,
        wait_share=metrics.metrics.wait_share,
        bad_share=metrics.metrics.bad_share,
        occupancy=metrics.metrics.occupancy(metrics.workers),
    )


def run(make: Callable[[], Loader], seconds: float) -> tuple[float, Loader, float]:
    """Samples a second from the first batch on, the loader, and the seconds to its first batch."""
    started = time.perf_counter()
    loader = make()
    next(loader)
    first_s = time.perf_counter() - started
    samples, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        if not len(loader):
            loader.close()
            loader.position = 0  # the same epoch again: a bench needs no other
        next(loader)
        samples += loader.maker.batch_size
    loader.close()
    return samples / spent, loader, first_s


def decode_ceiling(loader: Loader, seconds: float) -> float:
    """Samples a second of the loader's decoder in as many processes as it has workers, with all bytes in memory."""
    pictures = _pictures(loader)
    name = loader.maker.decoder if loader.maker.decoder != "cuda" else "turbo"
    given = (name, loader.maker.size_px, pictures, seconds)
    if loader.workers < 2:
        return _decode(*given)
    context = multiprocessing.get_context("fork")
    with context.Pool(loader.workers) as pool:
        return sum(pool.starmap(_decode, [given] * loader.workers, chunksize=1))


def _decode(name: str, size_px: int, pictures: list[bytes], seconds: float) -> float:
    decode, out = decoder(name), np.empty((size_px, size_px, 3), np.uint8)
    views = [memoryview(one) for one in pictures]
    for view in views[:8]:
        decode(view, out)
    count, start = 0, time.perf_counter()
    for view in cycle(views):
        decode(view, out)
        count += 1
        if (spent := time.perf_counter() - start) > seconds:
            break
    return count / spent


def _pictures(loader: Loader) -> list[bytes]:
    places = np.arange(min(CACHED_SAMPLES, loader.samples))
    found = []
    for sample in loader.maker.samples.read(places):
        found += [
            bytes(sample.members[name]) for name in IMAGE_EXTENSIONS if name in sample.members
        ]
    return found


def _iterate(loader: Loader, seconds: float, *, touch: bool) -> tuple[float, float]:
    samples, total, place, start = 0, 0, 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        for sample in loader.maker.samples.read(np.arange(place, place + CHUNK_SAMPLES)):
            samples += 1
            for data in sample.members.values():
                total += len(bytes(data)) if touch else len(data)
        place += CHUNK_SAMPLES
    return samples / spent, total / spent


def _device(loader: Loader, augment: Augment | None, device: torch.device, seconds: float) -> float:
    finish = Finisher(loader.maker, augment, device)
    numbers = range(min(CACHED_BATCHES, loader.batches))
    cached = list(
        make_batches(loader.maker, numbers, workers=0, prefetch=1, pin_memory=device.type == "cuda")
    )
    batches, start = 0, time.perf_counter()
    for number in islice(cycle(numbers), 10**9):
        moved = {
            name: value.to(device, non_blocking=True) if torch.is_tensor(value) else value
            for name, value in cached[number].batch.items()
        }
        finish(type(cached[number])(moved, cached[number].work), number)
        batches += 1
        if time.perf_counter() - start > seconds:
            break
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return batches * loader.maker.batch_size / (time.perf_counter() - start)
