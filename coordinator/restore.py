"""Going on after any end of the process: keyframe, then turn by turn, by the rules that the live turn follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from coordinator import turnlog
from coordinator.admit import Limits
from coordinator.coordinator import Coordinator
from coordinator.lifecycle import JobEvent, job_after
from coordinator.ports import OpenState
from coordinator.settle import Closing, count
from coordinator.work import Attempt, Job, Member, Piece, absorb, found_in
from placement.cost import World
from placement.model import NodeFacts, NodeState
from placement.quote import service_s
from placement.strategy import Strategy
from protos import records_pb2 as pb


def restored(
    opened: OpenState,
    world: World,
    limits: Limits,
    strategies: Callable[[str], Strategy],
    now: float,
    resolve: Callable[[NodeFacts], NodeFacts] = lambda declared: declared,
) -> Coordinator:
    """A coordinator that goes on where the store ends. Every node with attempts gets one full lease from `now`."""
    coordinator = Coordinator(opened, world, limits, strategies, now, resolve=resolve)
    for version, facts in opened.facts:
        coordinator.restored_facts(version, facts)
    for submission in opened.submissions:
        numbers = range(submission.first, submission.first + submission.count)
        coordinator.open(submission, [n - submission.first for n in numbers if n in opened.open_jobs])
    reading = _Reading(coordinator)
    if opened.keyframe is not None:
        reading.keyframe(pb.Keyframe.FromString(opened.keyframe))
    for record in opened.turns:
        reading.turn(turnlog.decode(record))
    reading.queue()
    reading.members(now)
    coordinator.table.changed.update(range(len(coordinator.table)))
    return coordinator


def keyframe(coordinator: Coordinator) -> bytes:
    """Everything open after the last turn: what `restored` and `why` need not read further back than."""
    table = coordinator.table
    frame = pb.Keyframe(
        load_tasks=table.tasks.tolist(),
        load_drained_at=table.drained_at.tolist(),
        facts_version=coordinator.facts_version,
        next_job=coordinator.next_job,
        strategy_states={name: json.dumps(state) for name, state in coordinator.placer.states.items()},
    )
    for first, length in _ranges(sorted(coordinator.jobs)):
        frame.open_jobs.add(first=first, count=length)
    touched = {number: job for number, job in coordinator.jobs.items() if job.live or job.closed or job.cut_to}
    waiting: dict[int, list[Piece]] = {number: [] for number in touched}
    for run in coordinator.queue:
        for piece in run.pieces:
            if piece.job.number in waiting and not piece.job.settled:
                waiting[piece.job.number].append(piece)
    for number, job in touched.items():
        frame.touched.append(
            pb.OpenJob(
                number=number,
                cut_to=job.cut_to,
                parts=job.parts,
                units_done=job.units_done,
                pieces=[_record(piece) for piece in waiting[number]],
                live=[
                    pb.LiveAttempt(
                        piece=_record(attempt.piece),
                        epoch=attempt.epoch,
                        node=attempt.node,
                        placed_us=attempt.placed_us,
                        run_s=attempt.run_s,
                        ends_s=attempt.ends_s,
                    )
                    for attempt in job.live.values()
                ],
                closed=b"".join(job.closed),
                found_nonces=[found.nonce for found in job.found],
                reasons=[pb.EpochReason(epoch=epoch, reason=reason) for epoch, reason in job.reasons],
            )
        )
    return frame.SerializeToString()


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    """Rising numbers as (first, count)."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == sum(ranges[-1]):
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + 1)
        else:
            ranges.append((number, 1))
    return ranges


class _Lease(NamedTuple):
    piece: Piece
    node: int
    placed_us: int
    run_s: float
    ends_s: float


class _Reading:
    """Which pieces wait and which attempts live, while the log is read."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._jobs = coordinator.jobs
        self._touched: set[int] = set()
        self._pieces: dict[tuple[int, int], Piece] = {}  # by job and part: waiting, apart from uncut grains
        self._leases: dict[int, _Lease] = {}

    def _touch(self, number: int) -> Job | None:
        """An open job; on first sight, what waits of it beside its uncut grains."""
        job = self._jobs.get(number)
        if job is not None and number not in self._touched:
            self._touched.add(number)
            part, rest = divmod(job.units, job.submission.grain)
            if rest:
                self._pieces[number, part] = Piece(job, part, job.units - rest, rest, 0)
        return job

    def keyframe(self, frame: pb.Keyframe) -> None:
        table = self._coordinator.table
        for i, (tasks, drained_at) in enumerate(zip(frame.load_tasks, frame.load_drained_at, strict=True)):
            table.set_load(i, tasks, drained_at)
        for name, state in frame.strategy_states.items():
            self._coordinator.placer.states[name] = json.loads(state)
        for record in frame.touched:
            job = self._touch(record.number)
            if job is None:
                continue
            job.cut_to, job.parts, job.units_done = record.cut_to, record.parts, record.units_done
            reasons = {one.epoch: one.reason for one in record.reasons}
            for closing in Closing.unpack_all(record.closed):
                count(job, closing, closing.pack(), reasons.get(closing.epoch, ""))
            job.found = found_in(job, tuple(record.found_nonces))
            self._pieces.pop((record.number, job.units // job.submission.grain), None)  # the record knows better
            for piece in record.pieces:
                self._pieces[record.number, piece.part] = _piece(job, piece)
            for live in record.live:
                lease = _Lease(_piece(job, live.piece), live.node, live.placed_us, live.run_s, live.ends_s)
                self._leases[live.epoch] = lease

    def turn(self, turn: turnlog.LoggedTurn) -> None:
        for load in turn.loads:
            self._coordinator.table.set_load(*load)
        for closing in turn.closings:
            self._close(closing)
        for decision in turn.decisions:
            self._lease(decision, turn.now)

    def _lease(self, decision: turnlog.LoggedDecision, now: float) -> None:
        coordinator = self._coordinator
        if decision.state is not None:  # as it was before this call: the newest that was kept
            coordinator.placer.states[decision.strategy] = decision.state
        runs = []
        for group, placed in zip(decision.groups, decision.placed, strict=True):
            run = service_s(group.demand, coordinator.preparer.prepare(group.demand.shape, now)) if placed else None
            runs.extend([run] * placed)
        for k, (task, node) in enumerate(zip(turnlog.tasks(decision.runs), decision.nodes, strict=True)):
            job = self._touch(task.job)
            if job is None:
                continue
            if self._pieces.pop((task.job, task.part), None) is None:
                job.cut_to = max(job.cut_to, task.start + task.units)
            run_s = float(runs[k][node])  # type: ignore[index]
            piece = Piece(job, task.part, task.start, task.units, task.tries)
            self._leases[decision.first_epoch + k] = _Lease(piece, node, int(now * 1e6), run_s, now + run_s)

    def _close(self, logged: turnlog.LoggedClosing) -> None:
        lease = self._leases.pop(logged.closing.epoch, None)
        if lease is None:  # of a job that was settled since
            return
        job = lease.piece.job
        count(job, logged.closing, logged.packed, logged.reason)
        rest = absorb(lease.piece, logged.closing.state, logged.closing.units_done, found_in(job, logged.nonces))
        if rest is not None:
            self._pieces[job.number, rest.part] = rest

    def queue(self) -> None:
        """What waits, in the order of the jobs."""
        queue = self._coordinator.queue
        by_job: dict[int, list[Piece]] = {}
        for piece in self._pieces.values():
            by_job.setdefault(piece.job.number, []).append(piece)
        for submission in list(self._coordinator.submissions.values()):
            numbers = range(submission.first, submission.first + submission.count)
            jobs = [self._jobs[number] for number in numbers if number in self._jobs]
            untouched = [job for job in jobs if job.number not in self._touched]
            if untouched:
                queue.add_jobs(untouched)
            for job in jobs:
                if job.number in self._touched:
                    queue.add_uncut(job)
                    for piece in sorted(by_job.get(job.number, []), key=lambda piece: piece.start):
                        queue.add_pieces([piece])

    def members(self, now: float) -> None:
        """Nodes as they were last known: silent until they say hello, and not lost before a lease has passed."""
        coordinator = self._coordinator
        for i, facts in enumerate(coordinator.table.facts):
            member = Member(i, facts.name, now, rtt_s=facts.coordinator_rtt_s)
            coordinator.members[facts.name] = member
        for epoch, (piece, node, placed_us, run_s, ends_s) in self._leases.items():
            job = piece.job
            attempt = Attempt(epoch, piece, node, placed_us, run_s, ends_s)
            job.live[epoch] = attempt
            job.state = job_after(job.state, JobEvent.PLACED)
            coordinator.members[coordinator.table.names[node]].live[epoch] = attempt
        for i, facts in enumerate(coordinator.table.facts):
            live = coordinator.members[facts.name].live.values()
            drained_at = max((attempt.ends_s for attempt in live), default=0.0)
            coordinator.table.set_load(i, len(live), drained_at)
            if facts.state is not NodeState.GONE:
                coordinator.put_facts(replace(facts, state=NodeState.SILENT))


def _piece(job: Job, record: pb.WaitingPiece) -> Piece:
    return Piece(job, record.part, record.start, record.units, record.tries)


def _record(piece: Piece) -> pb.WaitingPiece:
    return pb.WaitingPiece(part=piece.part, start=piece.start, units=piece.units, tries=piece.tries)
