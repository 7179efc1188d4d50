"""Limits of the sandbox process."""

MAX_DATA_BYTES = 1 << 30
"""Memory that it may allocate (RLIMIT_DATA): 64 MP with alpha take 0.8 GiB."""
MAX_CPU_S = 5.0
MAX_WALL_S = 7.0
"""For one image or page. A usual image takes 2 ms, a PNG of 64 MP 2 s. Two attempts at one that
hangs stay below 15 s."""
