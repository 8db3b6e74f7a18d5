"""The live clock: unix time that never jumps."""

from __future__ import annotations

import time

SLEW = 0.005  # seconds a second by which a difference to the wall clock is worked off


class SteadyClock:
    """Counts on CLOCK_BOOTTIME, which runs through suspend and knows no jumps, from the wall time at the start.

    When somebody sets the wall clock, this one approaches it slowly and never goes back: a jump must not end leases.
    """

    def __init__(self) -> None:
        self._boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._now = time.time()

    def now(self) -> float:
        boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        passed, self._boot = boot - self._boot, boot
        ahead = time.time() - (self._now + passed)
        self._now += passed + max(-SLEW * passed, min(SLEW * passed, ahead))
        return self._now
