"""When to dial: at once after a loss, then less eagerly, and beside a link that has fallen silent. Pure."""

from __future__ import annotations

import random

LEAST_SILENCE_US = 3_000_000  # TCP alone can sit out a short cut for longer than a lease; a fresh connection does not
SILENT_BEATS = 1.5
FIRST_PAUSE_US = 50_000
LONGEST_PAUSE_US = 1_000_000
FIRST_PATIENCE_US = 1_000_000
LONGEST_PATIENCE_US = 4_000_000
STABLE_US = 1_000_000


class Redial:
    """At most one dial at a time. `slack_us` is added to the time that a dial may take: an injected delay is no fault.
    A link is silent when nothing was heard for `least_silence_us` and for one and a half heartbeats.

    Patience with one dial is short because a lost SYN is repeated after 1, 3 and 7 s: a fresh dial comes sooner.
    """

    def __init__(self, rng: random.Random, *, slack_us: int = 0, least_silence_us: int = LEAST_SILENCE_US) -> None:
        self._rng = rng
        self._slack_us = slack_us
        self._least_silence_us = self._silence_us = least_silence_us
        self._failures = 0
        self._next_us = 0
        self._dialled_us: int | None = None
        self._linked_us: int | None = None
        self._heard_us = 0

    def due_us(self) -> int:
        """When to look again at the latest."""
        if self._dialled_us is not None:
            return self._dialled_us + self._patience_us()
        if self._linked_us is not None:
            return max(self._next_us, self._heard_us + self._silence_us)
        return self._next_us

    def should_dial(self, now_us: int) -> bool:
        return self._dialled_us is None and now_us >= self.due_us()

    def should_give_up(self, now_us: int) -> bool:
        return self._dialled_us is not None and now_us >= self.due_us()

    def dialled(self, now_us: int) -> None:
        self._dialled_us = now_us

    def heard(self, now_us: int) -> None:
        self._heard_us = now_us

    def welcomed(self, now_us: int, heartbeat_us: int) -> None:
        self._dialled_us = None
        self._silence_us = max(self._least_silence_us, round(SILENT_BEATS * heartbeat_us))
        self._linked_us = self._heard_us = now_us

    def dial_failed(self, now_us: int) -> None:
        self._dialled_us = None
        self._pause(now_us)

    def link_lost(self, now_us: int) -> None:
        """A link that stood for a while is dialled again at once; one that did not counts as a failure."""
        assert self._linked_us is not None
        if now_us - self._linked_us >= STABLE_US:
            self._failures = 0
        self._linked_us = None
        self._pause(now_us)

    def _pause(self, now_us: int) -> None:
        longest = min(LONGEST_PAUSE_US, FIRST_PAUSE_US << min(self._failures, 10))
        self._failures += 1
        self._next_us = now_us + round(longest * self._rng.uniform(0.5, 1.0))

    def _patience_us(self) -> int:
        return min(LONGEST_PATIENCE_US, FIRST_PATIENCE_US << min(self._failures, 10)) + self._slack_us
