"""What a client can ask for, checked before it leaves the house, and what comes back."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from edgeward.errors import InvalidJob

NONCES = 2**32
HEADER_BYTES = 76
Find = Literal["first", "all"]


@dataclass(frozen=True, slots=True, init=False)
class HashJob:
    """A search for nonces whose double SHA-256, read as a number, is at most a target.

    `header` is a block header of 80 bytes (its own nonce is ignored) or its first 76, as bytes or hex digits. Nonces
    from `nonce_start` up to, but without, `nonce_start + nonce_count` are tried; left out, all that remain up to 2**32.
    `target` is a number or up to 64 hex digits as block explorers print hashes; `bits` is the compact form of one;
    without either the header's own bits count. `find="first"` ends with any one hit, `"all"` returns every one.

    Raises InvalidJob with a sentence that names what is wrong.
    """

    header: bytes  # 76
    target: bytes  # 32, big-endian
    nonce_start: int
    nonce_count: int
    find: Find

    def __init__(
        self,
        header: str | bytes,
        *,
        nonce_start: int = 0,
        nonce_count: int | None = None,
        target: str | int | None = None,
        bits: str | int | None = None,
        find: Find = "first",
    ) -> None:
        if target is not None and bits is not None:
            raise InvalidJob("Both target and bits are given: keep one, bits is only a shorter way to write a target.")
        if find not in ("first", "all"):
            raise InvalidJob(f"find is {find!r}: it must be 'first' or 'all'.")
        head = _header(header)
        fix = object.__setattr__
        fix(self, "header", head)
        fix(self, "target", _target(head, target, bits))
        fix(self, "nonce_start", _start(nonce_start))
        fix(self, "nonce_count", _count(nonce_start, nonce_count))
        fix(self, "find", find)


@dataclass(frozen=True, slots=True)
class Found:
    nonce: int
    hash: str  # 64 hex digits as block explorers print them


@dataclass(frozen=True, slots=True)
class HashFound:
    """The result of a HashJob. No nonces is a result as well: the whole range was tried and nothing met the target."""

    nonces: list[Found]
    hashes_done: int


def _header(header: str | bytes) -> bytes:
    if isinstance(header, str):
        try:
            header = bytes.fromhex(header)
        except ValueError:
            shown = _excerpt(str(header))
            raise InvalidJob(f"The header is not hex: {shown}; give 160 digits, or 152 without the nonce.") from None
    if len(header) not in (HEADER_BYTES, HEADER_BYTES + 4):
        raise InvalidJob(f"The header has {len(header)} bytes: a block header has 80, or 76 without its nonce.")
    return bytes(header[:HEADER_BYTES])


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 24 else text[:20] + "...")


def _start(start: int) -> int:
    if not isinstance(start, int) or not 0 <= start < NONCES:
        raise InvalidJob(f"nonce_start is {start!r}: a nonce is a whole number from 0 to 4294967295.")
    return start


def _count(start: int, count: int | None) -> int:
    if count is None:
        return NONCES - start
    if not isinstance(count, int) or count < 1:
        raise InvalidJob(f"nonce_count is {count!r}: at least 1 nonce must be tried.")
    if start + count > NONCES:
        raise InvalidJob(
            f"The range of {count} nonces from {start} goes past 2^32: at most {NONCES - start} remain from there."
        )
    return count


def _target(header: bytes, target: str | int | None, bits: str | int | None) -> bytes:
    if target is not None:
        return _target_of_number(_number(target, "target", 64))
    if bits is not None:
        return target_of_bits(_number(bits, "bits", 8), "bits")
    return target_of_bits(int.from_bytes(header[72:76], "little"), "the header's own bits")


def _number(value: str | int, name: str, digits: int) -> int:
    if isinstance(value, int):
        return value
    text = value.strip().lower().removeprefix("0x")
    try:
        if not 1 <= len(text) <= digits or not text.isalnum():
            raise ValueError
        return int(text, 16)
    except ValueError:
        raise InvalidJob(f"{name} is {_excerpt(value)}: give up to {digits} hex digits.") from None


def _target_of_number(number: int) -> bytes:
    if number == 0:
        raise InvalidJob("The target is zero: no hash is that small, so nothing could ever be found.")
    if not 0 < number < 2**256:
        raise InvalidJob("The target is out of range: it must lie between 1 and 2^256 - 1.")
    return number.to_bytes(32, "big")


@lru_cache(maxsize=1024)
def target_of_bits(bits: int, name: str = "bits") -> bytes:
    """The 32 bytes, big-endian, of a target in compact form: one byte of exponent, a sign, 23 bits of mantissa.

    Raises InvalidJob where the form stands for zero, a negative number or one past 2**256.
    """
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    shift = 8 * (exponent - 3)
    number = mantissa << shift if shift >= 0 else mantissa >> -shift
    if not 0 <= bits < 2**32 or (bits & 0x800000 and mantissa) or number >= 2**256:
        raise InvalidJob(f"{name} ({bits:#010x}) is no target: it stands for a negative number or one past 2^256.")
    if number == 0:
        raise InvalidJob(f"{name} ({bits:#010x}) stands for a target of zero: no hash is that small; give a target.")
    return number.to_bytes(32, "big")
