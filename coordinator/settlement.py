"""The body of a settlement: how a job ended, with every attempt. Packed once, never changed."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import NamedTuple

from coordinator.settle import CLOSING_BYTES, Closing
from coordinator.work import Found

_VERSION = 1
_HEAD = struct.Struct("<BxHIIQ")
_FOUND = struct.Struct("<I32s")


class Body(NamedTuple):
    units_done: int
    error: str
    attempts: list[Closing]  # in the order in which they ended
    reasons: dict[int, str]  # by epoch
    found: list[Found]


def pack(
    units_done: int, error: str, closed: Sequence[bytes], reasons: Sequence[tuple[int, str]], found: Sequence[Found]
) -> bytes:
    """`closed`: packed `Closing`s."""
    text = json.dumps([error, list(reasons)]).encode() if error or reasons else b""
    return b"".join(
        (
            _HEAD.pack(_VERSION, len(found), len(closed), len(text), units_done),
            *closed,
            *(_FOUND.pack(one.nonce, one.hash) for one in found),
            text,
        )
    )


def unpack(body: bytes) -> Body:
    _, found_count, closed_count, text_length, units_done = _HEAD.unpack_from(body)
    at = _HEAD.size
    attempts = Closing.unpack_all(body[at : at + closed_count * CLOSING_BYTES])
    at += closed_count * CLOSING_BYTES
    found = [Found(*_FOUND.unpack_from(body, at + k * _FOUND.size)) for k in range(found_count)]
    at += found_count * _FOUND.size
    error, reasons = json.loads(body[at : at + text_length]) if text_length else ("", [])
    return Body(units_done, error, attempts, dict(reasons), found)


def closings(closed: Sequence[bytes]) -> list[Closing]:
    return [Closing.unpack(packed) for packed in closed]
