"""The judge: what must be true of a history and a store, whatever happened. One sentence for every broken promise.

The letters and numbers are those of the list of invariants: I1 acknowledged is stored, I2 one key one job, I3 settled
once, I4 epochs rise and stale ones do not count, I5 one lease a task, I6 nothing is stuck, I7 billed once, I11 nothing
runs without its lease.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from coordinator import proof, settlement, turnlog
from coordinator.ports import SettledJob, Store
from coordinator.settle import Closing
from coordinator.work import HashWork, Submission
from placement.model import AttemptState, JobState, NodeFacts
from tests.simulation.history import Answer, History, Submit

MAX_ATTEMPTS = 5
STOPS_WITHIN_S = 0.05  # what an executor is allowed between the end of a lease and the end of the work


class Lease(NamedTuple):
    epoch: int
    job: int
    start: int
    units: int
    node: int

    @property
    def end(self) -> int:
        return self.start + self.units


@dataclass
class Ledger:
    """What a store says was leased and closed, in the order in which it was written."""

    submissions: dict[int, Submission] = field(default_factory=dict)  # by job, of settled ones
    settled: dict[int, SettledJob] = field(default_factory=dict)
    leases: dict[int, Lease] = field(default_factory=dict)  # by epoch
    closings: dict[int, list[Closing]] = field(default_factory=lambda: defaultdict(list))  # by job, from the turn log
    broken: list[str] = field(default_factory=list)


def broken_promises(history: History, store: Store, *, max_attempts: int = MAX_ATTEMPTS) -> list[str]:
    """Everything that is wrong, the log first; empty when all is well."""
    ledger = _read(store)
    broken = [*ledger.broken]
    for settled in ledger.settled.values():
        broken.extend(_judge_job(settled, ledger, store, max_attempts))
    broken.extend(f"I6: job {job} was never settled" for job in sorted(store.load_open().open_jobs))
    broken.extend(_judge_clients(history, store, ledger))
    broken.extend(_judge_nodes(history, ledger))
    return broken


# -- the store


def _read(store: Store) -> Ledger:
    """The turn log from its beginning; what contradicts itself is noted on the way."""
    ledger = Ledger()
    for one in store.history(None, None, 1 << 31):
        if one.job in ledger.settled:
            ledger.broken.append(f"I3: job {one.job} has two settlements")
        ledger.settled[one.job] = one
    live: dict[int, dict[int, Lease]] = defaultdict(dict)
    covered: dict[int, list[tuple[int, int]]] = defaultdict(list)
    last_epoch, last_turn = 0, 0
    while rows := store.turns_after(last_turn):
        for row in rows:
            last_turn = row.number
            turn = turnlog.decode(row.record)
            for logged in turn.closings:
                closing = logged.closing
                ledger.closings[logged.job].append(closing)
                lease = live[logged.job].pop(closing.epoch, None)
                if lease is None:
                    ledger.broken.append(f"I4: epoch {closing.epoch} of job {logged.job} was closed and not leased")
                elif closing.units_done:
                    covered[logged.job].append((lease.start, lease.start + closing.units_done))
            for lease in _leases(turn):
                if lease.epoch <= last_epoch:
                    ledger.broken.append(f"I4: epoch {lease.epoch} was given out after {last_epoch}")
                last_epoch = max(last_epoch, lease.epoch)
                ledger.leases[lease.epoch] = lease
                for other in live[lease.job].values():
                    if lease.start < other.end and other.start < lease.end:
                        ledger.broken.append(f"I5: {lease} was given out while {other} lived")
                for start, end in covered[lease.job]:
                    if lease.start < end and start < lease.end:
                        ledger.broken.append(f"I7: {lease} was given out though {start} to {end} were done")
                live[lease.job][lease.epoch] = lease
    return ledger


def _leases(turn: turnlog.LoggedTurn) -> Iterator[Lease]:
    for decision in turn.decisions:
        for k, (task, node) in enumerate(zip(turnlog.tasks(decision.runs), decision.nodes, strict=True)):
            yield Lease(decision.first_epoch + k, task.job, task.start, task.units, node)


def _judge_job(settled: SettledJob, ledger: Ledger, store: Store, max_attempts: int) -> Iterator[str]:
    job, body = settled.job, settlement.unpack(settled.body)
    closed = {one.epoch: one for one in body.attempts}
    leased = {epoch for epoch, lease in ledger.leases.items() if lease.job == job}
    if len(closed) != len(body.attempts):
        yield f"I7: job {job} bills an epoch twice: {sorted(one.epoch for one in body.attempts)}"
    if closed.keys() != leased:
        yield f"I7: job {job} had the leases {sorted(leased)} and bills {sorted(closed)}"
        return
    for one in ledger.closings[job]:
        if closed[one.epoch] != one:
            yield f"I3: epoch {one.epoch} of job {job} was closed as {one} and settled as {closed[one.epoch]}"
    for one in body.attempts:
        if one.node != ledger.leases[one.epoch].node:
            yield f"I4: epoch {one.epoch} was leased to node {ledger.leases[one.epoch].node}, closed by {one.node}"
        yield from _judge_bill(one, store.facts_until(1 << 31)[one.node])
    if body.units_done != sum(one.units_done for one in body.attempts):
        yield f"I7: job {job} counts {body.units_done} hashes, its attempts {[one.units_done for one in body.attempts]}"
    yield from _judge_result(settled, body, [(ledger.leases[one.epoch], one) for one in body.attempts], max_attempts)


def _judge_bill(closing: Closing, facts: NodeFacts) -> Iterator[str]:
    most = facts.max_watts * closing.total_us * facts.pue
    if not 0 <= closing.energy_microjoules <= most + 1:
        yield f"I7: epoch {closing.epoch} is billed {closing.energy_microjoules} uJ; at most {most:.0f} were drawn"
    if closing.run_us > closing.total_us:
        yield f"I7: epoch {closing.epoch} ran {closing.run_us} us of {closing.total_us}"


def _judge_result(
    settled: SettledJob, body: settlement.Body, attempts: list[tuple[Lease, Closing]], max_attempts: int
) -> Iterator[str]:
    """The nonces are right, and what is said to be covered is covered exactly once."""
    job, work, item = settled.job, settled.submission.work, settled.job - settled.submission.first
    assert isinstance(work, HashWork)
    header, target, first, count = work.header(item), work.target(item), work.start(item), work.count(item)
    spans = sorted((lease.start, lease.start + one.units_done) for lease, one in attempts if one.units_done)
    for (_, end), (start, _) in pairwise(spans):
        if start < end:
            yield f"I7: nonces {start} to {end} of job {job} were counted twice: {spans}"
    hits = [nonce for nonce in range(first, first + count) if proof.meets(proof.hash_of(header, nonce), target)]
    found = [one.nonce for one in body.found]
    if not set(found) <= set(hits) or len(set(found)) != len(found):
        yield f"I3: job {job} has the nonces {found}; those that meet its target are {hits}"
    if any(one.hash != proof.hash_of(header, one.nonce) for one in body.found):
        yield f"I3: job {job} has a wrong hash"
    complete = sum(end - start for start, end in spans) == count
    if settled.state is JobState.SUCCEEDED:
        if work.find_all and (not complete or found != hits):
            yield f"I7: job {job} succeeded with {spans} of {count} and the nonces {found} of {hits}"
        if not work.find_all and not found and (hits or not complete):
            yield f"I7: job {job} succeeded with {spans} of {count} and found none of {hits}"
    elif settled.state is JobState.FAILED:
        tries = Counter(lease.start for lease, one in attempts if one.state in (AttemptState.FAILED, AttemptState.LOST))
        if max(tries.values(), default=0) < max_attempts:
            yield f"I6: job {job} was given up after {dict(tries)} tries: {body.error}"
    elif settled.state is JobState.EXPIRED and settled.submission.wishes.deadline_s is None:
        yield f"I6: job {job} expired and has no deadline"


# -- the clients


def _judge_clients(history: History, store: Store, ledger: Ledger) -> Iterator[str]:
    by_key: dict[tuple[str, str], list[Submit]] = defaultdict(list)
    for submit in history.submits:
        by_key[submit.client, submit.key].append(submit)
    for (client, key), submits in by_key.items():
        kept = store.submission_of_key(client, key)
        for one in submits:
            if one.answer is Answer.ACCEPTED and (kept is None or (kept.first, kept.count) != (one.first, one.jobs)):
                yield f"I1: {one} was acknowledged, and the store has {kept}"
            if one.answer is Answer.ACCEPTED and kept is not None and one.body != kept.body:
                yield f"I2: {one} was acknowledged under a key with another body"
            if one.answer is Answer.CONFLICT and (kept is None or kept.body == one.body):
                yield f"I2: {one} was a conflict, and the store has {kept}"
    told: dict[int, tuple[int, int, tuple[int, ...]] | None] = {}
    for read in history.reads:
        before = told.get(read.job)
        if before is not None and read.settled != before:
            yield f"I3: job {read.job} was read as {before} and then as {read.settled}"
        told[read.job] = read.settled
    for job, seen in told.items():
        settled = ledger.settled.get(job)
        if seen is not None and (settled is None or seen != _summary(settled)):
            yield f"I3: job {job} was read as {seen}, and the store has {settled and _summary(settled)}"
    for cancel in history.cancels:
        if cancel.job not in ledger.settled:
            yield f"I1: the cancel of job {cancel.job} was acknowledged and is lost"


def _summary(settled: SettledJob) -> tuple[int, int, tuple[int, ...]]:
    body = settlement.unpack(settled.body)
    return int(settled.state), body.units_done, tuple(one.nonce for one in body.found)


# -- the nodes


def _judge_nodes(history: History, ledger: Ledger) -> Iterator[str]:
    for mischief in history.mischief:
        yield f"I11: at {mischief.at_s:.3f} s on {mischief.node}: {mischief.sentence}"
    taken_back = {one.epoch: one.at_s for one in history.taken_back}
    ran: dict[int, str] = {}
    for run in history.runs:
        lease = ledger.leases.get(run.epoch)
        if lease is None:
            yield f"I1: {run.node} worked on epoch {run.epoch}, which the store does not have"
        elif run.nonce_count != lease.units:
            yield f"I4: {run} is not what was leased: {lease}"
        if run.epoch in ran:
            yield f"I4: epoch {run.epoch} was worked on by {ran[run.epoch]} and again by {run.node}"
        ran[run.epoch] = run.node
        closed_s = taken_back.get(run.epoch)
        if closed_s is not None and run.ended_s > closed_s + STOPS_WITHIN_S:
            yield f"I11: {run.node} worked on epoch {run.epoch} {run.ended_s - closed_s:.3f} s after it was closed"
