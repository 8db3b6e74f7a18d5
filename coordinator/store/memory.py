"""A store that lasts as long as the process: for simulations and tests, with the records of the real one."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from coordinator import turnlog
from coordinator.convert import submission_from_bytes, submission_to_bytes
from coordinator.errors import SettledTwice
from coordinator.ports import TURNS_A_READ, OpenState, SettledJob, Settlement, Turn, TurnRow
from coordinator.store.frozen import digest, facts_from_text, facts_to_text, world_from_bytes, world_to_bytes
from coordinator.work import Submission
from placement.cost import World
from placement.model import JobState, NodeFacts


class MemoryStore:
    """Everything in dictionaries, through the same encodings, so that what comes back is what a disk would give."""

    def __init__(self, *, salt: int = 1, seed: int = 1, strategy: str = "weighted") -> None:
        self._salt, self._seed, self._strategy = salt, seed, strategy
        self._orders = ""
        self._submissions: dict[int, tuple[Submission, bytes]] = {}
        self._firsts: list[int] = []
        self._keys: dict[tuple[str, str], int] = {}
        self._settlements: dict[int, tuple[int, Settlement]] = {}  # with the turn
        self._turns: list[TurnRow] = []
        self._next_epoch = 1
        self._keyframes: list[tuple[int, bytes]] = []
        self._facts: list[tuple[int, int, str]] = []
        self._worlds: dict[str, bytes] = {}

    def load_open(self) -> OpenState:
        kept_turn, keyframe = self._keyframes[-1] if self._keyframes else (-1, None)
        settled = self._settlements.keys()
        open_jobs = {
            job
            for first, (submission, _) in self._submissions.items()
            for job in range(first, first + submission.count)
            if job not in settled
        }
        open_firsts = sorted({self._first_of(job) for job in open_jobs})
        latest: dict[int, tuple[int, NodeFacts]] = {}
        for version, node, text in self._facts:
            latest[node] = (version, facts_from_text(text))
        return OpenState(
            salt=self._salt,
            seed=self._seed,
            next_job=1 + max((first + one.count - 1 for first, (one, _) in self._submissions.items()), default=0),
            next_epoch=self._next_epoch,
            next_turn=1 + max((row.number for row in self._turns), default=0),
            strategy=self._strategy,
            orders=self._orders,
            facts=[latest[node] for node in sorted(latest)],
            submissions=[self._fresh(first) for first in open_firsts],
            open_jobs=open_jobs,
            keyframe=keyframe,
            turns=[row.record for row in self._turns if row.number > kept_turn],
        )

    def _first_of(self, job: int) -> int:
        return self._firsts[bisect.bisect_right(self._firsts, job) - 1]

    def _fresh(self, first: int) -> Submission:
        submission, encoded = self._submissions[first]
        return submission_from_bytes(encoded, first, submission.submitted_us)

    def commit(self, turn: Turn) -> None:
        settled = {one.job: (turn.number, one) for one in turn.settlements}
        twice = [one.job for one in turn.settlements if one.job in self._settlements]
        if twice or len(settled) < len(turn.settlements):
            raise SettledTwice(f"the store refused a second settlement: jobs {twice or 'of one turn'}")
        for submission in turn.submissions:
            self._submissions[submission.first] = (submission, submission_to_bytes(submission))
            self._firsts.append(submission.first)
            self._keys[submission.client, submission.key] = submission.first
        for version, node, facts in turn.facts:
            self._facts.append((version, node, facts_to_text(facts)))
        if turn.world is not None:
            encoded = world_to_bytes(turn.world)
            self._worlds[digest(encoded)] = encoded
        if turn.strategy is not None:
            self._strategy = turn.strategy
        if turn.orders is not None:
            self._orders = turn.orders.to_text()
        self._settlements.update(settled)
        self._turns.append(TurnRow(turn.number, turn.first_epoch if turn.decisions else 0, turnlog.encode(turn)))
        self._next_epoch = turn.next_epoch
        if turn.keyframe is not None:
            self._keyframes.append((turn.number, turn.keyframe))

    def submission_of_key(self, client: str, key: str) -> Submission | None:
        first = self._keys.get((client, key))
        return None if first is None else self._fresh(first)

    def settled(self, jobs: Sequence[int]) -> list[SettledJob]:
        return [self._settled(job) for job in jobs if job in self._settlements]

    def _settled(self, job: int) -> SettledJob:
        _, one = self._settlements[job]
        return SettledJob(job, one.state, one.settled_us, one.body, self._fresh(self._first_of(job)))

    def history(self, state: JobState | None, client: str | None, limit: int) -> list[SettledJob]:
        found: list[SettledJob] = []
        for job in sorted(self._settlements, reverse=True):
            one = self._settled(job)
            if (state is None or one.state is state) and (client is None or one.submission.client == client):
                found.append(one)
                if len(found) == limit:
                    break
        return found

    def turns(self, first_epoch: int, last_epoch: int) -> tuple[bytes | None, list[TurnRow]]:
        placing = [row for row in self._turns if row.first_epoch and row.first_epoch <= last_epoch]
        wanted = [row for row in placing if row.first_epoch <= first_epoch]
        start = wanted[-1].number if wanted else (placing[0].number if placing else 0)
        kept_turn, keyframe = max(
            ((turn, frame) for turn, frame in self._keyframes if turn < start), default=(-1, None), key=lambda k: k[0]
        )
        last = placing[-1].number if placing else -1
        return keyframe, [row for row in self._turns if kept_turn < row.number <= last]

    def turns_after(self, number: int) -> list[TurnRow]:
        start = bisect.bisect_right([row.number for row in self._turns], number)
        return self._turns[start : start + TURNS_A_READ]

    def last_turn(self) -> int:
        return self._turns[-1].number if self._turns else 0

    def facts_until(self, version: int) -> list[NodeFacts]:
        latest = {node: text for at, node, text in self._facts if at <= version}
        return [facts_from_text(latest[node]) for node in sorted(latest)]

    def world(self, digest_: str) -> World:
        return world_from_bytes(self._worlds[digest_])

    def next_epoch(self) -> int:
        return self._next_epoch

    def close(self) -> None:
        """Nothing to let go of."""
