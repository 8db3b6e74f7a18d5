"""Who is connected now: node sessions and watching clients, and what a turn tells them once it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from coordinator import identity, settlement
from coordinator.ports import SettledJob, Turn
from coordinator.rpc import wire
from coordinator.work import Job
from protos import jobs_pb2, nodes_pb2

MESSAGES_QUEUED = 10_000  # to one peer; more and it is too slow to keep


class Outbox:
    """Messages on their way to one peer. Closing it ends the peer's stream after what is queued."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[object | None] = asyncio.Queue()
        self.closed = False
        self.wrong: Exception | None = None  # why the peer is at fault, when that ended it

    def put(self, message: object) -> None:
        if self.closed:
            return
        if self._queue.qsize() >= MESSAGES_QUEUED:
            self.close()
            return
        self._queue.put_nowait(message)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._queue.put_nowait(None)

    async def get(self) -> object | None:
        """The next message; None at the end."""
        return await self._queue.get()


class Watch:
    """A client's interest in jobs: what of them is settled goes to its outbox."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.numbers: set[int] = set()


class Live:
    """The outlets of the live coordinator."""

    def __init__(self) -> None:
        self.nodes: dict[str, Outbox] = {}
        self._incarnations: dict[str, int] = {}
        self._watches: dict[int, list[Watch]] = {}  # by job number
        self.turned = asyncio.Event()  # set after a turn that placed something, for followers of the log

    # -- node sessions

    def connect(self, name: str, incarnation: int, outbox: Outbox) -> None:
        """A node's new stream. An older one of the same agent just ends; another agent of that name is fenced."""
        older = self.nodes.pop(name, None)
        if older is not None:
            if self._incarnations[name] != incarnation:
                fenced = nodes_pb2.Fenced(reason=f"another agent speaks for {name} now: one machine, one name")
                older.put(nodes_pb2.CoordinatorMessage(fenced=fenced))
            older.close()
        self.nodes[name] = outbox
        self._incarnations[name] = incarnation

    # -- watching clients

    def watch(self, watch: Watch, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number not in watch.numbers:
                watch.numbers.add(number)
                self._watches.setdefault(number, []).append(watch)

    def unwatch(self, watch: Watch) -> None:
        """Forget a client that is gone."""
        for number in watch.numbers:
            left = [other for other in self._watches.get(number, ()) if other is not watch]
            if left:
                self._watches[number] = left
            else:
                self._watches.pop(number, None)
        watch.numbers.clear()
        watch.outbox.close()

    # -- outlets

    def acted(self, turn: Turn) -> None:
        for name, attempts in turn.dispatch.items():
            outbox = self.nodes.get(name)
            live = [attempt for attempt in attempts if not attempt.piece.job.settled]
            if outbox is not None and live:  # a node that is away asks when it says hello
                outbox.put(wire.assign(live))
        for name, epochs in turn.revoke.items():
            outbox = self.nodes.get(name)
            if outbox is not None:
                outbox.put(nodes_pb2.CoordinatorMessage(revoke=nodes_pb2.Revoke(epochs=epochs)))
        if turn.settled:
            self._tell(turn.settled)
        if turn.decisions:
            self.turned.set()
            self.turned = asyncio.Event()

    def _tell(self, settled: list[Job]) -> None:
        by_watch: dict[Watch, list[Job]] = {}
        for job in settled:
            for watch in self._watches.pop(job.number, ()):
                watch.numbers.discard(job.number)
                by_watch.setdefault(watch, []).append(job)
        for watch, jobs in by_watch.items():
            watch.outbox.put(settled_columns(jobs))

    def reset(self) -> None:
        for name in list(self.nodes):
            self.nodes.pop(name).close()


def settled_columns(jobs: list[Job]) -> jobs_pb2.Settled:
    """Settlements as a client's stream carries them."""
    return jobs_pb2.Settled(
        numbers=[identity.low(job.number) for job in jobs],
        states=[int(job.state) for job in jobs],  # type: ignore[misc]  # one numbering, held together by a test
        hashes_done=[job.units_done for job in jobs],
        found=[
            jobs_pb2.SettledFound(position=position, nonces=[wire.found(one) for one in job.found])
            for position, job in enumerate(jobs)
            if job.found
        ],
        errors=[
            jobs_pb2.SettledError(position=position, error=job.error) for position, job in enumerate(jobs) if job.error
        ],
    )


def settled_message(settled: list[SettledJob]) -> jobs_pb2.Settled:
    """The same from the store, for those who ask late."""
    message = jobs_pb2.Settled()
    for position, one in enumerate(settled):
        body = settlement.unpack(one.body)
        message.numbers.append(identity.low(one.job))
        message.states.append(int(one.state))  # type: ignore[arg-type]
        message.hashes_done.append(body.units_done)
        if body.found:
            message.found.add(position=position, nonces=[wire.found(each) for each in body.found])
        if body.error:
            message.errors.add(position=position, error=body.error)
    return message
