"""Matrix products of similarities in full float32, also on GPUs that would use TF32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_float32_matmul() -> Iterator[None]:
    """In the body, float32 matrix products keep all 24 bits of the mantissa.

    TF32 keeps 11: a temperature of 0.07 makes 1 % of a logit of its error, and ranks of near targets
    change. The setting is that of the whole process; it is restored afterwards.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
