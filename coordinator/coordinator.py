"""The coordinator: a synchronous value machine. Verbs change the working copy and fill the turn that is open.

    submit, cancel       from clients
    hello, heartbeat, report, draining, disconnected    from nodes
    tick                 the passing of time: deadlines, leases, placing
    take_turn            everything since the last one: to be written in one transaction, then acted on

No clock, no chance, no socket, no disk: `now` (unix seconds) comes in by every door, so the live shell and the
simulator turn the same handle.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from math import inf
from typing import NamedTuple

from coordinator import settlement
from coordinator.admit import Limits, Request, admit, refusal
from coordinator.errors import KeyConflict, Overloaded
from coordinator.judging import Report, judge
from coordinator.lifecycle import AttemptEvent, JobEvent, attempt_after, job_after
from coordinator.orders import Orders
from coordinator.placing import Placer
from coordinator.ports import OpenAttempt, OpenState, Settlement, Turn
from coordinator.queue import Queue
from coordinator.settle import Tariffs, Used, close, count
from coordinator.work import Attempt, Job, Member, Submission, absorb, found_in
from placement.cost import Preparer, World
from placement.feasible import Survey
from placement.fleet_table import NodeTable
from placement.model import AttemptState, JobState, Kind, NodeFacts, NodeState, Shape
from placement.strategy import Strategy

SWEEP_S = 0.25  # how often leases are looked at; with slower heartbeats, eight times a beat
SHAPES_KNOWN = 4096  # for how many shapes it is remembered whether any node could run them
LEARNED_FROM_US = 100_000  # shorter runs say more about overhead than about speed
LEARNED_FROM_RUNS = 3
LEARNED_SHARE = 0.15  # a smaller difference is noise, and every change is a version in the log
REPLAN_S = 1.0  # held work is offered again at least this often: time alone can change a choice


class Admitted(NamedTuple):
    """A submission that is, or that already was, here."""

    submission: Submission
    repeated: bool


class Coordinator:
    """All that is open, and the decisions about it."""

    def __init__(
        self,
        opened: OpenState,
        world: World,
        limits: Limits,
        strategies: Callable[[str], Strategy],
        now: float,
        *,
        resolve: Callable[[NodeFacts], NodeFacts] = lambda declared: declared,
        recording: bool = True,
    ) -> None:
        """`strategies`: finds one by name. `resolve`: what the operator's configuration makes of declared facts.

        Without `recording` nobody will write the turns: they hold what to act on, and no decisions, closings and
        settlements. What is decided is the same.

        Starts empty, with the counters of `opened`; `restore.restored` makes one that has what was open.
        """
        self.limits = limits
        self.salt = opened.salt
        self._resolve = resolve
        self._recording = recording
        self._refusals: dict[Shape, Survey | None] = {}  # of this version of the table
        self._refusals_version = -1
        self.table = NodeTable()
        self.queue = Queue()
        self.jobs: dict[int, Job] = {}
        self.submissions: dict[int, Submission] = {}
        self.members: dict[str, Member] = {}
        self.orders = Orders.from_text(opened.orders) if opened.orders else Orders()
        self._taken: list[Job] = []  # settled in the turn that was taken last
        self.stale_reports = 0
        self.next_job = opened.next_job
        self.facts_version = 0
        self._deadlines: list[tuple[float, int]] = []
        self._keys: dict[tuple[str, str], Submission] = {}  # of the open turn; older ones are the store's to find
        self._next_sweep = now
        self._sweep_s = max(SWEEP_S, limits.heartbeat_s / 8)
        self.next_plan = now  # when held work is offered again even if nothing happens
        self._moved = True  # something happened since all that is held was held
        self._freed = True  # and it was more than that more work came
        self.turn = Turn(opened.next_turn, int(now * 1e6))
        self.preparer = Preparer(self.table, world)
        self.placer = Placer(self.table, self.preparer, strategies, opened, limits, recording=recording)
        self.tariffs = Tariffs(self.table, world)

    # -- what others read

    @property
    def world(self) -> World:
        return self.preparer.world

    @property
    def strategy(self) -> str:
        return self.placer.live

    # -- clients

    def submit(self, request: Request, now: float, earlier: Submission | None = None) -> Admitted | Survey:
        """Admit a submission, or say why no registered node could ever run it.

        `earlier`: what the store has under the same client and key. The same key and body give the same jobs. Raises
        `InvalidSubmission`, `KeyConflict`, `Overloaded`; then nothing has changed.
        """
        earlier = earlier or self._keys.get((request.client, request.key))
        if earlier is not None:
            if earlier.body != request.body:
                raise KeyConflict(f"key {request.key!r} was used for another submission; take a new key for a new job")
            return Admitted(earlier, True)
        if len(self.jobs) + request.count > self.limits.open_jobs:
            raise Overloaded(f"{len(self.jobs)} jobs are open, the limit is {self.limits.open_jobs}; try again later")
        submission = admit(request, self.next_job, int(now * 1e6), self.world, self.table, self.limits)
        if request.wishes.strategy:
            self.placer.find(request.wishes.strategy)
        refused = self._refusal(submission.shape)
        if refused is not None:
            return refused
        self.next_job += request.count
        self._keys[request.client, request.key] = submission
        self.turn.submissions.append(submission)
        self.queue.add_jobs(self.open(submission, range(request.count)))
        self._moved = True
        return Admitted(submission, False)

    def _refusal(self, shape: Shape) -> Survey | None:
        if self._refusals_version != self.table.version or len(self._refusals) > SHAPES_KNOWN:
            self._refusals.clear()
            self._refusals_version = self.table.version
        if shape not in self._refusals:
            self._refusals[shape] = refusal(shape, self.table)
        return self._refusals[shape]

    def open(self, submission: Submission, items: Iterable[int]) -> list[Job]:
        """Take jobs of a submission into the working copy, without queueing them."""
        self.submissions[submission.first] = submission
        jobs = [Job(submission, item) for item in items]
        self.jobs.update((job.number, job) for job in jobs)
        submission.open += len(jobs)
        if submission.before < inf:
            for job in jobs:
                heapq.heappush(self._deadlines, (submission.before, job.number))
        return jobs

    def cancel(self, numbers: Iterable[int], now: float) -> int:
        """Settle open jobs as cancelled, those admitted in this very turn included; returns how many were open."""
        cancelled = 0
        for number in numbers:
            job = self.jobs.get(number)
            if job is not None:
                self._settle(job, JobEvent.CANCELLED, "cancelled by its client", now)
                cancelled += 1
        return cancelled

    # -- operators

    def set_strategy(self, name: str) -> None:
        """Place with another strategy from the next plan on. Raises `UnknownName`."""
        self.placer.find(name)
        self.placer.live = name
        self.turn.strategy = name
        self._moved = self._freed = True

    def order(self, orders: Orders) -> None:
        """Put other standing orders in force, for every node at once."""
        self.orders = self.turn.orders = orders
        for name, member in self.members.items():
            facts = self.table.facts[member.index]
            if facts.state is NodeState.DRAINING and name not in orders.drained and member.connected:
                facts = replace(facts, state=NodeState.READY)
            self.put_facts(facts)

    def give_back(self, attempts: Iterable[Attempt]) -> None:
        """Ask nodes to stop attempts and report how far they came; what is left of them is placed again then."""
        for attempt in attempts:
            self.turn.revoke.setdefault(self.table.names[attempt.node], []).append(attempt.epoch)

    def put_world(self, world: World) -> None:
        """Decide from now on by other prices, round trips or money; receipts of what runs follow them too."""
        self.preparer.world = world
        self.tariffs = Tariffs(self.table, world)
        self.turn.world = world
        self._moved = self._freed = True

    def put_facts(self, facts: NodeFacts) -> int:
        """Register a node or change what is known of it; the turn log keeps every version."""
        facts = self.orders.applied(facts)
        known = self.table.index.get(facts.name)
        if known is not None and self.table.facts[known] == facts:
            return known
        index = self.table.put(facts)
        self.facts_version += 1
        self.turn.facts.append((self.facts_version, index, facts))
        self._moved = self._freed = True
        return index

    def restored_facts(self, version: int, facts: NodeFacts) -> int:
        """Put back what the store knows of a node."""
        self.facts_version = max(self.facts_version, version)
        return self.table.put(facts)

    # -- nodes

    def hello(
        self, declared: NodeFacts, held: Sequence[int], reporting: Sequence[int], incarnation: int, now: float
    ) -> None:
        """A node's stream begins: what it is, and which attempts it has or still reports.

        Trusted before anything is reassigned. What it should have and has not is placed again; what it has and should
        not have, it is told to stop.
        """
        member = self.members.get(declared.name)
        rtt_s = member.rtt_s if member is not None else None
        facts = replace(
            self._resolve(declared),
            coordinator_rtt_s=rtt_s,
            state=NodeState.JOINING if rtt_s is None else NodeState.READY,
        )
        index = self.put_facts(facts)
        if member is None:
            member = self.members[declared.name] = Member(index, declared.name, now)
        restarted = member.incarnation not in (0, incarnation)
        member.heard_at, member.connected, member.incarnation = now, True, incarnation
        theirs = {*held, *reporting}
        for epoch in [epoch for epoch in member.live if epoch not in theirs]:
            event = AttemptEvent.LEASE_LAPSED if restarted else AttemptEvent.RELEASED
            reason = "the node started anew and no longer has it" if restarted else "it never reached the node"
            attempt = member.live.pop(epoch, None)  # none: it ended with its job, a moment ago
            if attempt is not None:
                self._close(attempt, event, Used(0, 0, -1, False), (), reason, now)
        foreign = [epoch for epoch in held if epoch not in member.live]
        if foreign:
            self.turn.revoke.setdefault(declared.name, []).extend(foreign)

    def heartbeat(
        self,
        name: str,
        rtt_s: float | None,
        running: int,
        waiting: int,
        progress: Iterable[tuple[int, int]],
        now: float,
    ) -> None:
        """The node lives: its lease counts on. `progress`: epochs with the units done so far; never settled from."""
        member = self.members[name]
        member.heard_at = now
        member.running, member.waiting = running, waiting
        for epoch, units in progress:
            attempt = member.live.get(epoch)
            if attempt is not None:
                if attempt.state is AttemptState.LEASED:
                    attempt.state = attempt_after(attempt.state, AttemptEvent.STARTED)
                attempt.units_seen = min(max(units, attempt.units_seen), attempt.piece.units)
        facts = self.table.facts[member.index]
        if rtt_s is not None:
            member.rtt_s = rtt_s if member.rtt_s is None else 0.8 * member.rtt_s + 0.2 * rtt_s
            known = facts.coordinator_rtt_s
            if known is None or abs(known - member.rtt_s) > max(0.1 * known, 0.0005):
                facts = replace(facts, coordinator_rtt_s=member.rtt_s)
        if facts.state in (NodeState.SILENT, NodeState.JOINING) and member.connected and member.rtt_s is not None:
            facts = replace(facts, state=NodeState.READY)
        self.put_facts(facts)

    def facts_changed(self, name: str, declared: NodeFacts) -> None:
        """The node declares anew what it is; who it is, how far and in which state stay as they are."""
        known = self.table.facts[self.members[name].index]
        facts = self._resolve(replace(declared, name=name))
        self.put_facts(replace(facts, coordinator_rtt_s=known.coordinator_rtt_s, state=known.state))

    def draining(self, name: str, on: bool) -> None:
        """The node asks for no more work, or for work again."""
        member = self.members[name]
        facts = self.table.facts[member.index]
        if on or facts.state is NodeState.DRAINING:
            self.put_facts(replace(facts, state=NodeState.DRAINING if on else NodeState.READY))

    def disconnected(self, name: str) -> None:
        """The stream broke: a hint. No new work goes there; what it has stays its own until the lease lapses."""
        member = self.members[name]
        member.connected = False
        facts = self.table.facts[member.index]
        gone = facts.state is NodeState.DRAINING and not member.live
        self.put_facts(replace(facts, state=NodeState.GONE if gone else NodeState.SILENT))

    def report(self, name: str, reports: Iterable[Report], now: float) -> None:
        """Close attempts. Only the holder of an epoch is heard; everything else is counted as stale and left."""
        member = self.members[name]
        for one in reports:
            attempt = member.live.pop(one.epoch, None)
            if attempt is None:
                self.stale_reports += 1
                continue
            event, units_done, nonces, error = judge(attempt, one)
            used = Used(units_done, one.run_us, one.energy_microjoules, one.measured)
            self._learn(member, attempt, units_done, one.run_us)
            self._close(attempt, event, used, nonces, error, now)

    def _learn(self, member: Member, attempt: Attempt, units_done: int, run_us: int) -> None:
        """A node's speed is the median of its late runs: one outlier and a slow start do not move it."""
        if run_us < LEARNED_FROM_US or not units_done or attempt.piece.job.kind is not Kind.HASH:
            return  # a run of which nothing counts tells of no speed, least of all of none: that would be no engine
        job = attempt.piece.job
        member.speeds.append(job.submission.work.amount(job.item, units_done) * 1e6 / run_us)
        facts = self.table.facts[member.index]
        speed = sorted(member.speeds)[len(member.speeds) // 2]
        known = facts.hashes_per_s
        if len(member.speeds) >= LEARNED_FROM_RUNS and abs(speed - known) > LEARNED_SHARE * known:
            self.put_facts(replace(facts, hashes_per_s=speed))

    def _close(
        self, attempt: Attempt, event: AttemptEvent, used: Used, nonces: tuple[int, ...], reason: str, now: float
    ) -> None:
        """An attempt is over, and was already taken from its member: count it, and go on with its job."""
        piece = attempt.piece
        job = piece.job
        attempt.state = attempt_after(attempt.state, event)
        self._end(attempt, used, reason, now)
        found = found_in(job, nonces)
        rest = absorb(piece, attempt.state, used.units_done, found)
        work = job.submission.work
        if job.found and not work.all_wanted:
            self._settle(job, JobEvent.COMPLETED, "", now)
        elif rest is not None and rest.tries >= self.limits.max_attempts:
            tried = "; ".join(f"{why}" for _, why in job.reasons[-self.limits.max_attempts :])
            self._settle(job, JobEvent.FAILED, f"task {rest.part} failed {rest.tries} times: {tried}", now)
        elif rest is None and not job.live and not job.waiting:
            self._settle(job, JobEvent.COMPLETED, "", now)
        else:
            if self._recording:
                self.turn.closings.append(OpenAttempt(job.number, job.closed[-1], reason, nonces))
            if rest is not None:
                self.queue.put_back(rest)
            if not job.live:
                job.state = job_after(job.state, JobEvent.UNPLACED)

    def _end(self, attempt: Attempt, used: Used, reason: str, now: float) -> None:
        """The attempt's receipt, and its place in the node's queue back."""
        job = attempt.piece.job
        del job.live[attempt.epoch]
        if self._recording:
            closing = close(attempt, attempt.state, used, self.table, self.tariffs, self.world, int(now * 1e6))
            count(job, closing, closing.pack(), reason)
        self.table.credit(attempt.node, attempt.run_s, attempt.ends_s, now)
        self._moved = self._freed = True

    def _settle(self, job: Job, event: JobEvent, error: str, now: float) -> None:
        """The end of a job: stop what still runs of it, and write down what it was."""
        running = self._running(job)
        for attempt in list(job.live.values()):
            name = self.table.names[attempt.node]
            self.members[name].live.pop(attempt.epoch, None)
            self.turn.revoke.setdefault(name, []).append(attempt.epoch)
            attempt.state = attempt_after(attempt.state, AttemptEvent.CANCELLED)
            began = max(attempt.ends_s - attempt.run_s, attempt.placed_us / 1e6)
            ran_s = min(max(now - began, 0.0), attempt.run_s) if attempt.epoch in running else 0.0
            why = "another task had the answer" if event is JobEvent.COMPLETED else error
            self._end(attempt, Used(0, int(ran_s * 1e6), -1, False), why, now)
        job.state = job_after(job.state, event)
        if job.waiting:
            job.submission.withdrawn += 1
        job.found.sort()
        job.error = error
        if self._recording:
            body = settlement.pack(job.units_done, error, job.closed, job.reasons, job.found)
            self.turn.settlements.append(
                Settlement(job.number, job.state, int(now * 1e6), job.energy_microjoules, job.cost_picodollars, body)
            )
        self.turn.settled.append(job)
        del self.jobs[job.number]
        job.submission.open -= 1
        if not job.submission.open:
            del self.submissions[job.submission.first]

    def _running(self, job: Job) -> set[int]:
        """Which live attempts of a job hold a slot, as far as is known here: a node serves its oldest first."""
        running: set[int] = set()
        for node in {attempt.node for attempt in job.live.values()}:
            live = self.members[self.table.names[node]].live
            running.update(islice(live, self.table.facts[node].slots))
        return running

    # -- time

    def tick(self, now: float) -> None:
        """What time brings: deadlines pass, leases lapse, work that waits is placed."""
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number = heapq.heappop(self._deadlines)
            if number in self.jobs:
                self._settle(self.jobs[number], JobEvent.DEADLINE_PASSED, "its deadline passed", now)
        if now >= self._next_sweep:
            self._next_sweep = now + self._sweep_s
            for member in self.members.values():
                self._sweep(member, now)
        if self.queue and (self._moved or now >= self.next_plan):
            afresh = self._freed or now >= self.next_plan
            self._freed = False
            self._moved = self.placer.place(self.queue, self.members, self.turn, now, afresh=afresh)
            again_at = self.placer.again_at  # when the plan itself says so, nothing is gained by asking sooner
            self.next_plan = again_at if again_at < inf else now + REPLAN_S

    def _sweep(self, member: Member, now: float) -> None:
        """A node that was not heard is silent after two beats, and loses its attempts after a lease."""
        facts = self.table.facts[member.index]
        unheard = now - member.heard_at
        if unheard > 2 * self.limits.heartbeat_s and facts.state is NodeState.READY:
            self.put_facts(replace(facts, state=NodeState.SILENT))
        if unheard >= self.limits.lease_s and member.live:
            self.lapse(member.name, f"{member.name} was not heard for {unheard:.1f} s and its lease lapsed", now)

    def lapse(self, name: str, reason: str, now: float) -> None:
        """Everything that a node has is lost: its lease is over, or it is known to be gone."""
        member = self.members[name]
        for attempt in list(member.live.values()):
            if member.live.pop(attempt.epoch, None) is not None:
                self._close(attempt, AttemptEvent.LEASE_LAPSED, Used(0, 0, -1, False), (), reason, now)

    def take_turn(self, now: float) -> Turn:
        """Close the open turn and begin the next."""
        turn = self.turn
        turn.now_us, turn.now_s = int(now * 1e6), now
        turn.facts_version = self.facts_version
        turn.next_epoch = self.placer.next_epoch
        self._taken = turn.settled
        self.turn = Turn(turn.number + 1, turn.now_us)
        self._keys.clear()
        return turn

    # -- what can be asked

    def settling(self) -> dict[int, Job]:
        """Jobs that have left `jobs` and may not be in the store yet: to a reader they are open until they are."""
        return {job.number: job for job in (*self._taken, *self.turn.settled)}

    def waiting_for(self, job: Job) -> str:
        """What an open job waits for, in words; empty when none of it waits."""
        if not job.waiting or job.state > JobState.RUNNING:
            return ""
        if not self.members:
            return "a node to join"
        shape = job.submission.shape
        if (self.preparer.prepare(shape, self.turn.now_us / 1e6).blocked == inf).all():
            return "a node that can run it: all that could are silent, draining, curtailed or not joined yet"
        return f"a free slot ({job.submission.wishes.strategy or self.strategy})"
