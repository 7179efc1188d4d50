"""How much the longest tests try: a part of it by default, all of it with `THOROUGH_TESTS=1`.

Continuous integration runs the part, which takes minutes; all of it takes hours.
"""

import os
from typing import TypeVar

IS_THOROUGH = os.environ.get("THOROUGH_TESTS") == "1"
Amount = TypeVar("Amount")


def amount(usual: Amount, thorough: Amount) -> Amount:
    """Returns what this run tries."""
    return thorough if IS_THOROUGH else usual
