"""The coordinator's own look at a claimed nonce: Bitcoin's double SHA-256 of the 80-byte header."""

from __future__ import annotations

import hashlib
import struct


def hash_of(header: bytes, nonce: int) -> bytes:
    """The block hash, 32 bytes as explorers print them: the digest reversed. `header`: its first 76 bytes."""
    block = header + struct.pack("<I", nonce)
    return hashlib.sha256(hashlib.sha256(block).digest()).digest()[::-1]


def meets(found: bytes, target: bytes) -> bool:
    """Whether a hash counts: as a big-endian number it is at most the target."""
    return found <= target
