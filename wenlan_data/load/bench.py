"""Measures the rate of every loading stage alone and of the loader, to find the bottleneck."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import torch

from wenlan_data.load.decode import find_decoder
from wenlan_data.load.device_prefetch import DeviceTransform
from wenlan_data.load.loaded_batch import BatchPlace, LoadedBatch
from wenlan_data.load.loader import Loader
from wenlan_data.load.loader_settings import WorkerSettings
from wenlan_data.load.workers import iterate_batches
from wenlan_data.shard.format import image_of

CACHED_BATCHES = 4
CACHED_SAMPLES = 256
READ_SAMPLES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofline:
    """Samples per second of each stage alone, and of the loader."""

    iterate: float
    """Keys and views of the members in one process; no byte is read."""
    read: float
    """Every byte is read once, in one process."""
    read_mb_per_s: float
    decode: float
    """The loader's decoder in as many processes as it has workers, with all bytes in memory."""
    device: float | None
    """Copy and augmentation of cached batches on the device; None if there is neither."""
    loader: float
    """All stages together."""
    first_batch_s: float
    wait_share: float
    bad_share: float
    occupancy: Mapping[str, float]

    @property
    def narrowest(self) -> str:
        """The slowest stage, which limits the loader."""
        stages = {"read": self.read, "decode": self.decode, "device": self.device}
        return min((rate, name) for name, rate in stages.items() if rate is not None)[1]

    @property
    def of_decode(self) -> float:
        """The loader's rate as a share of the decoding rate."""
        return self.loader / self.decode

    def line(self) -> str:
        """Formats the roofline in one line."""
        device = "" if self.device is None else f"  device {self.device:,.0f}/s"
        return (
            f"iterate {self.iterate:,.0f}/s  read {self.read:,.0f}/s "
            f"({self.read_mb_per_s:,.0f} MB/s)  "
            f"decode {self.decode:,.0f}/s{device}  loader {self.loader:,.0f}/s "
            f"= {self.of_decode:.0%} of decode; {self.narrowest} is the ceiling"
        )


def measure_roofline(make_loader: Callable[[], Loader], *, seconds: float) -> Roofline:
    """Measures the loaders that `make_loader` returns, each stage for about `seconds`."""
    loader = make_loader()
    iterate, _ = _read_rate(loader, seconds, copy=False)
    read, bytes_per_s = _read_rate(loader, seconds, copy=True)
    decode = decode_rate(loader, seconds)
    has_device_stage = loader.dataset.images.augment or loader.device.type != "cpu"
    device = _device_rate(loader, seconds) if has_device_stage else None
    rate, used, first_batch_s = run_loader(make_loader, seconds)
    return Roofline(
        iterate=iterate,
        read=read,
        read_mb_per_s=bytes_per_s / 1e6,
        decode=decode,
        device=device,
        loader=rate,
        first_batch_s=first_batch_s,
        wait_share=used.metrics.wait_share,
        bad_share=used.metrics.bad_share,
        occupancy=used.metrics.occupancy(used.workers.count),
    )


def run_loader(make_loader: Callable[[], Loader], seconds: float) -> tuple[float, Loader, float]:
    """Returns samples per second after the first batch, the loader, and seconds to that batch."""
    started = time.perf_counter()
    loader = make_loader()
    next(loader)
    first_batch_s = time.perf_counter() - started
    samples, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        if not len(loader):
            # A corpus may be shorter than the measurement; the same epoch again is good enough.
            loader.close()
            loader.position = 0
        next(loader)
        samples += loader.dataset.batch_size
    loader.close()
    return samples / spent, loader, first_batch_s


def decode_rate(loader: Loader, seconds: float) -> float:
    """Returns samples per second of decoding alone, with all bytes in memory.

    Uses the loader's decoder and its number of workers: it is the upper bound of a loader.
    """
    encoded = _encoded_images(loader)
    # The device's decoder does not run in worker processes.
    decoder = loader.dataset.images.decoder
    name = decoder if decoder != "cuda" else "turbo"
    arguments = (name, loader.dataset.size_px, encoded, seconds)
    count = loader.workers.count
    if count < 2:
        return _decode(*arguments)
    context = multiprocessing.get_context("fork")
    with context.Pool(count) as pool:
        return sum(pool.starmap(_decode, [arguments] * count, chunksize=1))


def _decode(name: str, size_px: int, encoded: list[bytes], seconds: float) -> float:
    decode, out = find_decoder(name), np.empty((size_px, size_px, 3), np.uint8)
    views = [memoryview(data) for data in encoded]
    for view in views[:8]:  # warm-up
        decode(view, out)
    count, start = 0, time.perf_counter()
    for view in cycle(views):
        decode(view, out)
        count += 1
        if (spent := time.perf_counter() - start) > seconds:
            break
    return count / spent


def _encoded_images(loader: Loader) -> list[bytes]:
    indices = np.arange(min(CACHED_SAMPLES, loader.samples))
    images = (image_of(sample.members) for sample in loader.dataset.samples.read(indices))
    return [bytes(image) for image in images if image is not None]


def _read_rate(loader: Loader, seconds: float, *, copy: bool) -> tuple[float, float]:
    samples, total_bytes, first, start = 0, 0, 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        for sample in loader.dataset.samples.read(np.arange(first, first + READ_SAMPLES)):
            samples += 1
            for data in sample.members.values():
                # A view costs nothing until it is read, so only the copy measures the disk.
                total_bytes += len(bytes(data)) if copy else len(data)
        first += READ_SAMPLES
    return samples / spent, total_bytes / spent


def _device_rate(loader: Loader, seconds: float) -> float:
    device = loader.device
    transform = DeviceTransform(loader.dataset, device)
    places = [
        BatchPlace(loader.epoch, number) for number in range(min(CACHED_BATCHES, loader.batches))
    ]
    in_process = WorkerSettings(count=0, prefetch=1)
    cached = list(
        iterate_batches(loader.dataset, places, in_process, pin_memory=device.type == "cuda")
    )
    batches, start = 0, time.perf_counter()
    for batch in cycle(cached):
        values = {
            name: value.to(device, non_blocking=True) if torch.is_tensor(value) else value
            for name, value in batch.values.items()
        }
        transform(LoadedBatch(batch.place, values, batch.stats))
        batches += 1
        if time.perf_counter() - start > seconds:
            break
    if device.type == "cuda":
        # Kernels are queued: without waiting for them, only their launches would be timed.
        torch.cuda.synchronize(device)
    return batches * loader.dataset.batch_size / (time.perf_counter() - start)
