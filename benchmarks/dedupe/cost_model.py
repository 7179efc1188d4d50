"""The cost of the near search as a model of three constants, fitted to measured bands; and
extrapolated to more codes.

    python -m benchmarks.dedupe.cost_model --codes 1000000 3000000 10000000

prints one JSON line a measured size and design, the fit, and one line for each size that is only
computed.
"""

import argparse
import json
import time
from dataclasses import dataclass
from math import log2

import numpy as np

from benchmarks.dedupe.near_search import planted
from wenlan_data.dedupe.hamming import self_join
from wenlan_data.dedupe.hamming.blocks import Cut, bands
from wenlan_data.dedupe.hamming.codes import CODE_BITS, distinct_codes
from wenlan_data.dedupe.hamming.covering_designs import CoveringDesign, covering_designs
from wenlan_data.npy import Codes

BANDS_TIMED, REPEATS = 3, 2
PAPER_CODES = (100_000_000, 650_000_000, 5_000_000_000)
CORES = 8 * 32
TASK_BYTES_A_CODE = 17
"""The codes, and the moved ones, and what is found of them."""


@dataclass(frozen=True, slots=True)
class Model:
    """Nanoseconds of one core."""

    a_code: float
    """To move and scan a code in a band."""
    a_doubling: float
    """To sort it, for each doubling of the number of codes."""
    a_pair: float

    def band_s(self, codes: int, design: CoveringDesign) -> float:
        """Processor seconds of one band."""
        each_ns = [self.a_code, self.a_doubling, self.a_pair]
        return float(np.dot(terms(codes, design), each_ns)) / 1e9


def main() -> None:
    """Measure, fit, compute."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codes", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--radius", type=int, default=4)
    given = parser.parse_args()
    rows, seconds = list[list[float]](), list[float]()
    for count in given.codes:
        distinct = distinct_codes(planted(count, given.radius)[0])
        for design in chosen(count, given.radius):
            seconds.append(band_seconds(distinct, design, given.radius))
            rows.append(terms(count, design))
            measured = {
                "codes": count,
                "bands": design.bands,
                "blocks": design.blocks,
                "band_s": round(seconds[-1], 4),
            }
            print(json.dumps(measured), flush=True)
    # Relative errors count, so that the smallest size weighs as much as the largest.
    weights = 1 / np.array(seconds)
    fitted = np.linalg.lstsq(
        np.array(rows) * weights[:, None], np.array(seconds) * 1e9 * weights, rcond=None
    )[0]
    model = Model(*(float(value) for value in fitted))
    errors = [
        np.dot(row, fitted) / 1e9 / second - 1 for row, second in zip(rows, seconds, strict=True)
    ]
    print(
        json.dumps(
            {
                "fit_ns": [round(float(v), 2) for v in fitted],
                "largest_error": round(max(map(abs, errors)), 2),
            }
        )
    )
    for count in PAPER_CODES:
        print(json.dumps(on_paper(model, count, given.radius)))


def key_bits(design: CoveringDesign) -> float:
    """Bits of one key."""
    blocks = design.keys[0].bit_count() if design.keys else design.blocks - design.radius
    return CODE_BITS * blocks / design.blocks


def terms(codes: int, design: CoveringDesign) -> list[float]:
    """What a band does: codes moved and scanned, codes times doublings, pairs compared."""
    return [codes, codes * log2(codes), codes**2 / 2 * 2.0 ** -key_bits(design)]


def chosen(codes: int, radius: int) -> list[CoveringDesign]:
    """Designs whose runs are short enough for the model to hold, and not so short that only bands
    count."""
    pairs = {design: terms(codes, design)[2] / codes for design in covering_designs(radius)}
    return [design for design, each in pairs.items() if 0.05 < each < 12]


def band_seconds(distinct: Codes, design: CoveringDesign, radius: int) -> float:
    """Processor seconds of one band: the least of some repeats, over some bands."""
    edges = tuple(round(CODE_BITS * number / design.blocks) for number in range(design.blocks + 1))
    every = list(bands(Cut(edges, design)))
    some = every[:: max(1, len(every) // BANDS_TIMED)][:BANDS_TIMED]
    took = []
    for _ in range(REPEATS):
        started = time.process_time()
        for _found in self_join.search(distinct, some, radius):
            pass
        took.append((time.process_time() - started) / len(some))
    return min(took)


def on_paper(model: Model, codes: int, radius: int) -> dict[str, object]:
    """The cheapest design for so many codes, and what it costs."""
    design = min(covering_designs(radius), key=lambda one: one.bands * model.band_s(codes, one))
    core_s = design.bands * model.band_s(codes, design)
    return {
        "codes": codes,
        "blocks": design.blocks,
        "bands": design.bands,
        "pairs_a_code": round(terms(codes, design)[2] / codes, 2),
        "core_hours": round(core_s / 3600, 3),
        "seconds_on_256_cores": round(core_s / min(design.bands, CORES), 1),
        "task_bytes": codes * TASK_BYTES_A_CODE,
    }


if __name__ == "__main__":
    main()
