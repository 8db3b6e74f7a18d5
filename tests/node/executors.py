"""Tasks to hand in, and someone who hears how they end."""

import asyncio
from itertools import count

from node.executor.port import Ended, HashTask

EASY = (2**248 - 1).to_bytes(32)  # one hash in 256 is a hit
HOPELESS = bytes(32)
FOREVER = 2**32

_epochs = count(1)


def task(
    count: int = 1, *, header: bytes = bytes(76), target: bytes = HOPELESS, start: int = 0, find_all: bool = False
) -> HashTask:
    """A task with an epoch of its own."""
    return HashTask(next(_epochs), header, target, start, count, find_all)


class Listener:
    """Hears of ends and losses, and lets a test wait for them."""

    def __init__(self) -> None:
        self.ended: dict[int, Ended] = {}
        self.batches: list[int] = []
        self.losses: list[str] = []
        self._news = asyncio.Event()

    def on_ended(self, ended: list[Ended]) -> None:
        self.batches.append(len(ended))
        for end in ended:
            assert end.epoch not in self.ended, "heard of twice"
            self.ended[end.epoch] = end
        self._news.set()

    def on_lost(self, sentence: str) -> None:
        self.losses.append(sentence)
        self._news.set()

    async def ends_of(self, *tasks: HashTask, within_s: float = 30.0) -> list[Ended]:
        async with asyncio.timeout(within_s):
            while not all(each.epoch in self.ended for each in tasks):
                await self._another()
        return [self.ended[each.epoch] for each in tasks]

    async def loss(self, saying: str, within_s: float = 30.0) -> None:
        async with asyncio.timeout(within_s):
            while not any(saying in loss for loss in self.losses):
                await self._another()

    async def _another(self) -> None:
        self._news.clear()
        await self._news.wait()
