"""What the sandbox may use."""

MAX_DATA_BYTES = 1 << 30
"""Of memory that the decoding process may allocate: 64 MP with alpha take 0.8 GiB."""
MAX_CPU_S = 5.0
MAX_WALL_S = 7.0
"""For one picture or page in the decoding process; a usual picture takes 2 ms, 64 MP of PNG 2 s. Two tries of one
that hangs stay below 15 s."""
