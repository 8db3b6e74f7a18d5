"""Reports that the coordinator has not acknowledged yet: numbered, kept, and repeated unchanged until it does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from node.messages import Report, Reports

# The coordinator takes control messages of up to 1 MiB; half of that leaves room for a generous estimate.
MESSAGE_BYTES = 512 * 1024


class Outbox:
    """Numbers rise by one from 1 for as long as the agent lives, whatever happens to its streams."""

    def __init__(self, energy_measured: bool) -> None:
        self._energy_measured = energy_measured
        self._first = 1
        self._reports: deque[Report] = deque()
        self._numbers: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._reports)

    def __contains__(self, epoch: int) -> bool:
        return epoch in self._numbers

    def epochs(self) -> tuple[int, ...]:
        return tuple(self._numbers)

    def add(self, reports: Sequence[Report]) -> list[Reports]:
        """Keep `reports`, one for an epoch, and return the messages that carry them."""
        first = self._first + len(self._reports)
        self._reports.extend(reports)
        self._numbers.update((report.epoch, first + i) for i, report in enumerate(reports))
        return self._messages(first, reports)

    def acknowledge(self, last_report: int) -> None:
        """Forget every report up to `last_report`. Numbers acknowledged before, or not given out yet, are no harm."""
        while self._reports and self._first <= last_report:
            del self._numbers[self._reports.popleft().epoch]
            self._first += 1

    def everything(self) -> list[Reports]:
        return self._messages(self._first, self._reports)

    def again(self, epochs: Iterable[int]) -> list[Reports]:
        """The kept reports of `epochs`, under the numbers that they already have."""
        numbers = sorted(self._numbers[epoch] for epoch in epochs)
        return [message for number in numbers for message in self._messages(number, [self._at(number)])]

    def _at(self, number: int) -> Report:
        return next(islice(self._reports, number - self._first, None))

    def _messages(self, first: int, reports: Iterable[Report]) -> list[Reports]:
        messages: list[Reports] = []
        chunk: list[Report] = []
        room = MESSAGE_BYTES
        for report in reports:
            size = _bytes_at_most(report)
            if chunk and size > room:
                first += len(chunk)
                messages.append(Reports(first - 1, tuple(chunk), self._energy_measured))
                chunk, room = [], MESSAGE_BYTES
            chunk.append(report)
            room -= size
        if chunk:
            messages.append(Reports(first + len(chunk) - 1, tuple(chunk), self._energy_measured))
        return messages


def _bytes_at_most(report: Report) -> int:
    return 64 + 5 * len(report.nonces) + 4 * len(report.error)
