"""Parses JSON that anybody may have written, within limits of size and nesting.

`json` raises `RecursionError` for deep nesting, and what it parses can nest deeper than other code
follows.
"""

import json
import re

MAX_JSON_BYTES = 1 << 24
"""Of a sample; about 10 kB are usual. Objects take up to 29 bytes of memory a byte of JSON."""
MAX_DEPTH = 64

# An unterminated string ends with the data, which keeps the search linear.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z|\\\Z)', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def parse_json(data: bytes, *, max_bytes: int = MAX_JSON_BYTES) -> object:
    """Returns the value in `data`.

    NaN and infinite numbers are accepted, as Python and pandas write them. Raises `ValueError` for
    invalid JSON, more than `max_bytes`, nesting beyond `MAX_DEPTH`, and integers of more than 4,300
    digits.
    """
    if len(data) > max_bytes:
        raise ValueError(f"{len(data)} bytes, more than {max_bytes}")
    encoding = json.detect_encoding(data)
    if not encoding.startswith("utf-8"):  # such as UTF-16, which JSON permits
        data = data.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _depth(data) > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    return json.loads(data)


def _depth(data: bytes) -> int:
    depth = deepest = 0
    for byte in _STRING.sub(b"", data).translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
