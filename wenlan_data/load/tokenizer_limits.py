"""Limits of a `tokenizer.json` from a stranger: what would take much memory or time is refused.

Such a file is a small program: it may replace each character by many, try all parts of a long
word, or search by regular expressions.
"""

import math
import re
from collections.abc import Iterator

MAX_ADDED_TOKENS = 100_000
MAX_ADDED_CHARACTERS = 1 << 20
MAX_GROWTH = 1000
"""Product of how much longer each replacement makes a text."""
MAX_STEPS = 1000
MAX_WORD_CHARACTERS = 1000
"""WordPiece tries all parts of a word up to this length; BERT's has 100."""
MAX_PATTERN_CHARACTERS = 1000
MAX_CHARSMAP_CHARACTERS = 1 << 21
_REPEATED_GROUP = re.compile(r"\)[*+?{]|\\[1-9k]")
"""A repeated group or a back reference can take time exponential in the length of a text."""


def tokenizer_problem(value: object) -> str:
    """States what exceeds a limit in the contents of a `tokenizer.json`; empty if nothing does."""
    if not isinstance(value, dict):
        return "not a JSON object"
    added = value.get("added_tokens") or []
    if not isinstance(added, list) or len(added) > MAX_ADDED_TOKENS:
        return f"more than {MAX_ADDED_TOKENS} added tokens"
    contents = [str(one.get("content")) for one in added if isinstance(one, dict)]
    if sum(map(len, contents)) > MAX_ADDED_CHARACTERS:
        return f"added tokens of more than {MAX_ADDED_CHARACTERS} characters"
    model = value.get("model")
    word = model.get("max_input_chars_per_word") if isinstance(model, dict) else 0
    if isinstance(word, int) and word > MAX_WORD_CHARACTERS:
        return f"max_input_chars_per_word is {word}, more than {MAX_WORD_CHARACTERS}"
    steps = list(_steps([value.get(part) for part in ("normalizer", "pre_tokenizer")]))
    if len(steps) > MAX_STEPS:
        return f"more than {MAX_STEPS} steps"
    if math.prod(map(_growth, steps)) > MAX_GROWTH:
        return f"its replacements make a text more than {MAX_GROWTH} times as long"
    return next((problem for step in steps if (problem := _step_problem(step))), "")


def _steps(value: object) -> Iterator[dict[str, object]]:
    """Yields all JSON objects in a value; the recursion is no deeper than that of its parser."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _steps(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _steps(inner)


def _growth(step: dict[str, object]) -> int:
    # An empty pattern matches between all characters, so that they stay as well.
    written = step.get("content") or step.get("prepend")
    return 1 + len(written) if isinstance(written, str) else 1


def _step_problem(step: dict[str, object]) -> str:
    pattern, charsmap = step.get("Regex"), step.get("precompiled_charsmap")
    if isinstance(charsmap, str) and len(charsmap) > MAX_CHARSMAP_CHARACTERS:
        return f"a precompiled_charsmap of more than {MAX_CHARSMAP_CHARACTERS} characters"
    if not isinstance(pattern, str):
        return ""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return f"a regular expression of more than {MAX_PATTERN_CHARACTERS} characters"
    if _REPEATED_GROUP.search(pattern):
        return "a regular expression with a repeated group or a back reference"
    return ""
