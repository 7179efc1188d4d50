"""The files that Python compiles modules to, cut short by a full disk.

Where the disk is full, or a file may not grow, Python before 3.14 keeps a `.pyc` file of which only
a part was written (https://github.com/python/cpython/issues/126606). From then on each import of
the module fails, also when there is room again.
"""

import sys
from pathlib import Path

_MESSAGE_OF_MARSHAL = "marshal data too short"


def is_of_cut_bytecode(error: EOFError) -> bool:
    """Whether the error is that of an import whose `.pyc` file is cut short."""
    return str(error) == _MESSAGE_OF_MARSHAL


def cut_bytecode_message() -> str:
    """Returns what the user can do about it, in one line."""
    folders = dict.fromkeys([str(Path(__file__).resolve().parent), sys.prefix])
    return (
        "a file that Python compiled (.pyc) is cut short, which a full disk causes: delete the "
        f"__pycache__ folders below {' and '.join(folders)}, and run the same command"
    )
