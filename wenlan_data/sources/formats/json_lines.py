"""Rows of JSON Lines."""

import json

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop


def json_object(line: bytes) -> dict[str, object] | Drop:
    """Parses a line; a line that holds no JSON object is `bad_row`. Skips a byte order mark."""
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return Drop(Reason.BAD_ROW, "not a line of JSON")
    return row if isinstance(row, dict) else Drop(Reason.BAD_ROW, "not a JSON object")
