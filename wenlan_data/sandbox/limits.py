"""Limits of the sandbox process."""

MAX_DATA_BYTES = 1 << 30
"""Memory that it may allocate (RLIMIT_DATA): 64 MP with alpha take 0.8 GiB."""
MAX_CPU_S = 10.0
"""Processor time for one image or page. A usual image takes 2 ms, a PNG of 64 MP 2 s."""
ACCEPTED_CPU_FACTOR = 4
"""How many times `MAX_CPU_S` an image may take that an earlier step has accepted: processor time
differs from run to run and from machine to machine, but hardly by as much."""
POLL_S = 1.0
"""Between two looks at a process whose response is waited for."""
MAX_SLEEPS = 20
"""Looks at which a process that has a request may sleep or be stopped, before it is ended. Not a
wall time: on a busy machine a process waits for a processor, which is no sleep."""
MAX_UNSEEN_POLLS = 300
"""The same where `/proc` does not show its state."""
MAX_START_S = 300.0
"""Until a new process has imported everything; usually a third of a second."""

MAX_REQUESTS = 5_000
"""Requests to one fork, each of one image or a batch; then it is replaced, so that leaks of
decoders do not add up."""
MAX_CRASHES = 2
"""Crashes of new forks by one request until its image or page is dropped: the first may be the
fault of an earlier image."""
MAX_HANGS = 2
MAX_KILLS = 10
"""Forks that may be killed from outside during one request until its image or page is dropped."""
MAX_STARTS = 5
"""Processes that may be lost during one request."""
MAX_RESPONSE_BYTES = 1 << 29
"""Of a response: the pixels of 64 MP are 192 MB."""
