"""Double SHA-256 nonce search: Bitcoin's proof of work, by `hashlib`.

A header is 80 bytes, of which the last four are the nonce, little-endian. Its hash is SHA-256 of SHA-256; read as a
little-endian number it must be at most the target. The hash as block explorers print it is the digest with its bytes
reversed.

A `Scan` walks a range in one go and cannot be interrupted; `Searcher` walks it in slices of a few milliseconds, so that
a stop is honoured and progress is exact whatever the scan. Another kernel is another `Scan` (`sha256_engines`); `scan`
here is the reference that all agree with.
"""

import struct
import time
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple, Protocol

NONCES = 2**32
HEADER_BYTES = 76
SLICE_S = 0.003
_FIRST_SLICE = 1024  # nonces, before anything is known
_NAP_S = 0.005  # the longest sleep of a braked search that does not look whether it should stop
_DEBT_S = 0.002  # a shorter sleep would last longer than asked


class Scanned(NamedTuple):
    """How far a search came: `covered` nonces from the start without a gap, including the hit that ended it."""

    covered: int
    nonces: tuple[int, ...]


class Scan(Protocol):
    """Hashes nonces start..start+count-1 (end <= 2^32) of a 76-byte header; without `find_all` the first hit ends
    it.

    It may come back before that, with at least one nonce covered: where so many hits are found that looking at them
    would take long.
    """

    def __call__(self, header: bytes, target: int, start: int, count: int, find_all: bool) -> Scanned: ...


def scan(header: bytes, target: int, start: int, count: int, find_all: bool) -> Scanned:
    """The reference: the first 64 bytes are compressed once and the state is copied for each nonce."""
    beginning = sha256(header)
    copy, as_bytes, little = beginning.copy, struct.Struct("<I").pack, int.from_bytes
    highest_byte = target >> 248  # the digest's last byte is its most significant: one look rejects nearly all
    found: list[int] = []
    for nonce in range(start, start + count):
        first = copy()
        first.update(as_bytes(nonce))
        digest = sha256(first.digest()).digest()
        if digest[31] <= highest_byte and little(digest, "little") <= target:
            found.append(nonce)
            if not find_all:
                return Scanned(nonce - start + 1, (nonce,))
    return Scanned(count, tuple(found))


class Searcher:
    """Searches for one slot: in slices, stoppable between them, and braked to `max_hashes_per_s` (0: no brake).

    The brake is real: the slot sleeps until the hashes it has done are due. It is kept across searches, so many small
    ones are no faster than a large one.
    """

    def __init__(
        self,
        max_hashes_per_s: float = 0.0,
        *,
        scan: Scan = scan,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._max_hashes_per_s = max_hashes_per_s
        self._scan, self._clock, self._sleep = scan, clock, sleep
        self._due = 0.0  # the moment at which all hashes done so far are due under the brake
        self._most = max(1, int(max_hashes_per_s * SLICE_S)) if max_hashes_per_s else NONCES
        self._slice = min(_FIRST_SLICE, self._most)

    def calibrate(self, seconds: float = 0.2) -> float:
        """Hashes per second of this slot, brake included, measured by hashing for about `seconds`."""
        header, done, began = bytes(HEADER_BYTES), 0, self._clock()
        while (elapsed := self._clock() - began) < seconds:
            done += self._scan_slice(header, 0, done % (NONCES // 2), self._slice, True).covered
        measured = done / elapsed
        return min(measured, self._max_hashes_per_s) if self._max_hashes_per_s else measured

    def search(
        self, header: bytes, target: int, start: int, count: int, find_all: bool, should_stop: Callable[[int], bool]
    ) -> Scanned:
        """Search nonces start..start+count-1; between slices `should_stop(covered)` is told how far it is and may end
        it.

        Raises ValueError for a header that is not 76 bytes or a range that leaves 0..2^32-1.
        """
        if len(header) != HEADER_BYTES:
            raise ValueError(f"a header without its nonce has 76 bytes, not {len(header)}")
        if not 0 <= start < start + count <= NONCES:
            raise ValueError(f"the range of {count} nonces from {start} leaves 0..2^32-1")
        covered, nonces = 0, list[int]()
        while True:
            step = min(self._slice, count - covered)
            done, hits = self._scan_slice(header, target, start + covered, step, find_all)
            covered += done
            nonces += hits
            stopped = self._brake(done, covered, should_stop)
            if covered == count or stopped or (hits and not find_all) or should_stop(covered):
                return Scanned(covered, tuple(nonces))

    def _brake(self, done: int, covered: int, should_stop: Callable[[int], bool]) -> bool:
        """Sleep until what was done is due; True if told to stop meanwhile."""
        if not self._max_hashes_per_s:
            return False
        now = self._clock()
        self._due = max(self._due, now) + done / self._max_hashes_per_s
        while (early := self._due - now) > _DEBT_S:
            if should_stop(covered):
                return True
            self._sleep(min(early, _NAP_S))
            now = self._clock()
        return False

    def _scan_slice(self, header: bytes, target: int, start: int, count: int, find_all: bool) -> Scanned:
        """Scan, and let the next slice last about SLICE_S.

        Up fast and down slowly: a slice that took long was mostly interrupted, and shorter ones would not help that.
        """
        began = self._clock()
        scanned = self._scan(header, target, start, count, find_all)
        elapsed = self._clock() - began
        if scanned.covered == self._slice and elapsed > 0:
            wanted = int(self._slice * SLICE_S / elapsed)
            self._slice = min(max(wanted, self._slice * 9 // 10, 1), self._slice * 2, self._most)
        return scanned
