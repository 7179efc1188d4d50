"""The environment of a process that reads hostile bytes."""

import os
import sys
from collections.abc import Mapping

_KEPT_VARIABLES = (
    "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME", "PYTHONPYCACHEPREFIX", "PYTHONUTF8", "TMPDIR", "TZ",
)  # fmt: skip
"""All that an interpreter needs to start, and no credentials."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def child_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables for a new interpreter that imports what this one does."""
    kept = {name: own[name] for name in _KEPT_VARIABLES if name in own}
    # The code may have come by Ray's runtime environment, which only sys.path knows.
    return {**kept, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
