"""Identities: an integer row number inside, a time-ordered 16-byte key outside.

A key is a UUID of version 7: 48 bits of milliseconds, 12 bits that tell this store from others, 62 bits of row
number. So the items of one submission have consecutive keys, and a key leads to its row without an index.
"""

from __future__ import annotations

_NUMBER_BITS = 62
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1


def key(number: int, at_us: int, salt: int) -> bytes:
    """The 16-byte key of a row that was made at `at_us` (microseconds, UTC) in the store with this `salt`."""
    milliseconds = (at_us // 1000) & ((1 << 48) - 1)
    high = milliseconds << 16 | 0x7000 | (salt & 0xFFF)
    return (high << 64 | 2 << _NUMBER_BITS | number).to_bytes(16, "big")


def number(outside: bytes, salt: int) -> int | None:
    """The row number in a key, or None where the key was not made by this store."""
    if len(outside) != 16:
        return None
    value = int.from_bytes(outside, "big")
    made_here = value >> 64 & 0xFFFF == (0x7000 | (salt & 0xFFF)) and value >> _NUMBER_BITS & 0b11 == 2
    return value & _NUMBER_MASK if made_here else None


def low(number_: int) -> int:
    """The low 8 bytes of a key, as the wire's columns carry them."""
    return 2 << _NUMBER_BITS | number_
