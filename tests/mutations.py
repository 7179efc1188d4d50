"""Mutations of file bytes for fuzz tests: reproducible from a seed, with values that break parsers."""

import random
from collections.abc import Iterator

_INTERESTING = (
    b"\x00", b"\xff", b"\x7f", b"\x80", b"-1", b"-1536", b"0", b"1e400", b"NaN", b"9" * 25, b"0" * 30, b"\r\n",
    b"\x00" * 512, b"[" * 300, b"{" * 300, b'"', b"a\",\"", b"../../x", b"/etc/passwd", b"\x1b[2J", "\u202e".encode(),
    (2**31 - 1).to_bytes(4, "little"), (2**32 - 1).to_bytes(4, "little"), (2**63 - 1).to_bytes(8, "little"),
    (2**64 - 1).to_bytes(8, "little"), (2**31).to_bytes(4, "big"),
)  # fmt: skip


def mutations(samples: list[bytes], count: int, seed: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yields `count` pairs of a number and a mutated sample.

    `mutate(samples[number % len(samples)], seed + number)` makes one of them again.
    """
    for number in range(count):
        yield number, mutate(samples[number % len(samples)], seed + number)


def mutate(data: bytes, seed: int) -> bytes:
    """Returns `data` with one to four mutations; equal for equal arguments."""
    chance = random.Random(seed)
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        chance.choice(_MUTATIONS)(out, chance)
    return bytes(out)


def _flip_bit(out: bytearray, chance: random.Random) -> None:
    if out:
        out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)


def _cut(out: bytearray, chance: random.Random) -> None:
    del out[chance.randrange(len(out) + 1) :]


def _remove(out: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(out) + 1)
    del out[start : start + chance.choice((1, 4, 64, 512, 4096))]


def _repeat(out: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(out) + 1)
    block = out[start : start + chance.choice((1, 8, 512, 1024))]
    out[start:start] = block * chance.choice((1, 2, 50))


def _insert(out: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(out) + 1)
    out[at:at] = chance.choice(_INTERESTING)


def _overwrite(out: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(out) + 1)
    value = chance.choice(_INTERESTING)
    out[at : at + len(value)] = value


def _replace_digits(out: bytearray, chance: random.Random) -> None:
    # Lengths and offsets in text formats: headers of tars and WARCs, JSON.
    digits = [at for at, byte in enumerate(out) if 48 <= byte <= 57]
    if digits:
        at = chance.choice(digits)
        out[at : at + 1] = chance.choice((b"9", b"-1", b"99999999999", b"0", b"1e9", b"x"))


def _swap(out: bytearray, chance: random.Random) -> None:
    size = chance.choice((4, 64, 512))
    if len(out) > 2 * size:
        one, other = sorted(chance.sample(range(len(out) - size), 2))
        if one + size <= other:
            first, second = bytes(out[one : one + size]), bytes(out[other : other + size])
            out[one : one + size], out[other : other + size] = second, first


_MUTATIONS = (
    _flip_bit, _flip_bit, _cut, _remove, _repeat, _insert, _overwrite, _overwrite, _replace_digits, _swap,
)  # fmt: skip
