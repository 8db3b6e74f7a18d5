"""Questions that need the store: jobs that are over, the placement log, why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from coordinator import identity, settlement
from coordinator.coordinator import Coordinator
from coordinator.errors import UnknownName
from coordinator.explaining import Explained, LogReader, explain
from coordinator.ports import Store
from coordinator.views import Views
from coordinator.whatif import Outcome, outcomes
from coordinator.work import Submission
from placement.model import JobState
from placement.strategy import Strategy
from protos import types_pb2

PLACEMENTS_SHOWN = 50
EPOCHS_A_READ = 20_000
WHATIF_TASKS = 64


class WhatIf(NamedTuple):
    """Other strategies beside the one that decided, over so many tasks of a job."""

    others: list[Outcome]
    actual: Outcome
    tasks: int
    tasks_of: int


class Reading:
    """Read-only answers. May be used from any thread but for what it takes from the live coordinator, copied first."""

    def __init__(self, coordinator: Coordinator, store: Store) -> None:
        self._coordinator = coordinator
        self._store = store
        self._views = Views(coordinator)

    def number_of(self, job_id: bytes) -> int:
        """The row number of a job id. Raises `UnknownName`."""
        number = identity.number(job_id, self._coordinator.salt)
        if number is None or not 0 < number < self._coordinator.next_job:
            raise UnknownName(f"no job has the id {job_id[:16].hex()}; `edgeward jobs` lists them")
        return number

    def jobs(self, numbers: Sequence[int], *, attempts: bool = True) -> list[types_pb2.Job]:
        """The jobs in the order asked. Raises `UnknownName` for one that is nowhere."""
        open_jobs = self._coordinator.jobs
        absent = [number for number in numbers if number not in open_jobs]
        settling = self._coordinator.settling() if absent else {}
        settled = {one.job: one for one in self._store.settled(absent)} if absent else {}
        found: list[types_pb2.Job] = []
        for number in numbers:
            if number in open_jobs:
                found.append(self._views.open_job(open_jobs[number], attempts=attempts))
            elif number in settled:
                found.append(self._views.settled_job(settled[number], attempts=attempts))
            elif number in settling:
                found.append(self._views.open_job(settling[number], attempts=attempts))
            else:
                raise UnknownName(f"job number {number} is nowhere; `edgeward jobs` lists those that are")
        return found

    def listed(self, state: JobState | None, client: str | None, limit: int) -> list[types_pb2.Job]:
        """Jobs without their attempts, newest first."""
        mine = [
            self._views.open_job(job, attempts=False)
            for number, job in sorted(self._coordinator.jobs.items(), reverse=True)
            if (state is None or job.state is state) and (client is None or job.submission.client == client)
        ][:limit]
        if state is None or state > JobState.RUNNING:
            mine += [self._views.settled_job(one, attempts=False) for one in self._store.history(state, client, limit)]
        # a key ends in the row number, so newest first is by number
        return sorted(mine, key=lambda job: int.from_bytes(job.job_id[8:], "big"), reverse=True)[:limit]

    def owner(self, number: int) -> str:
        """The client whose job it is."""
        job = self._coordinator.jobs.get(number) or self._coordinator.settling().get(number)
        if job is not None:
            return job.submission.client
        settled = self._store.settled([number])
        return settled[0].submission.client if settled else ""

    # -- the placement log

    def epochs_of(self, number: int) -> list[int]:
        """Every placement that a job has had, oldest first."""
        job = self._coordinator.jobs.get(number) or self._coordinator.settling().get(number)
        if job is not None:
            closed = [closing.epoch for closing in settlement.closings(job.closed)]
            return sorted([*closed, *job.live])
        settled = self._store.settled([number])
        return sorted(one.epoch for one in settlement.unpack(settled[0].body).attempts) if settled else []

    def explained(self, epochs: Sequence[int]) -> Iterator[Explained]:
        """The placements with these epochs, rising, each with its reasons; those that the log has forgotten are left
        out."""
        at = 0
        while at < len(epochs):
            last = at
            while last + 1 < len(epochs) and epochs[last + 1] - epochs[at] < EPOCHS_A_READ:
                last += 1
            yield from self._read(epochs[at], epochs[last], set(epochs[at : last + 1]))
            at = last + 1

    def _read(self, first: int, last: int, wanted: set[int]) -> Iterator[Explained]:
        keyframe, rows = self._store.turns(first, last)
        reader = LogReader(self._store)
        reader.start(keyframe)
        for row in rows:
            for standing in reader.decisions(row):
                decision = standing.decision
                here = range(decision.first_epoch, decision.first_epoch + len(decision.nodes))
                asked = wanted.intersection(here) if len(wanted) < len(here) else wanted
                if asked and here.start <= last and here.stop > first:
                    yield from explain(standing, asked)

    def whatif(self, number: int, names: Sequence[str], find: Callable[[str], Strategy]) -> WhatIf:
        """What strategies would have done with the first tasks of a job. Raises `UnknownName` while it has none."""
        every = self.epochs_of(number)
        epochs = every[:WHATIF_TASKS]
        if not epochs:
            raise UnknownName("this job was not placed yet: there is nothing to ask about")
        keyframe, rows = self._store.turns(epochs[0], epochs[-1])
        reader = LogReader(self._store)
        reader.start(keyframe)
        standings = (standing for row in rows for standing in reader.decisions(row))
        others, actual, tasks = outcomes(standings, set(epochs), names, find)
        if not tasks:
            raise UnknownName("the turn log no longer reaches back to this job: see turn_log_days in [limits]")
        return WhatIf([one for one in others if one.strategy != actual.strategy], actual, tasks, len(every))

    def placements(self, epochs: Sequence[int]) -> Iterator[tuple[Explained, types_pb2.Placement]]:
        """Placements as the log shows them."""
        submissions: dict[int, Submission] = {}
        for explained in self.explained(epochs):
            yield explained, self.seen(explained, submissions)

    def seen(self, explained: Explained, known: dict[int, Submission]) -> types_pb2.Placement:
        """One placement as the log shows it; `known` remembers submissions between calls."""
        return self._views.placement(explained, self._submission(explained.task.job, known))

    def _submission(self, number: int, known: dict[int, Submission]) -> Submission:
        if number not in known:
            job = self._coordinator.jobs.get(number)
            known[number] = job.submission if job is not None else self._store.settled([number])[0].submission
        return known[number]


class Follower:
    """The placement log from a moment on: stands at the end of the log and reads what is added."""

    def __init__(self, coordinator: Coordinator, store: Store, after_epoch: int) -> None:
        self._store = store
        self._reading = Reading(coordinator, store)
        self._reader = LogReader(store)
        self._submissions: dict[int, Submission] = {}
        self._after = after_epoch
        keyframe, rows = store.turns(after_epoch + 1, 1 << 62)
        self._reader.start(keyframe)
        self._rows = rows
        self._turn = rows[0].number - 1 if rows else store.last_turn()

    def read(self) -> Iterator[tuple[Explained, types_pb2.Placement]]:
        """Every placement past the last one that was given, rising."""
        rows, self._rows = self._rows or self._store.turns_after(self._turn), []
        for row in rows:
            self._turn = row.number
            for standing in self._reader.decisions(row):
                end = standing.decision.first_epoch + len(standing.decision.nodes)
                if end > self._after + 1:
                    for explained in explain(standing, range(self._after + 1, end)):
                        yield explained, self._reading.seen(explained, self._submissions)
                    self._after = end - 1
        if len(self._submissions) > PLACEMENTS_SHOWN:
            self._submissions.clear()
