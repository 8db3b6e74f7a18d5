"""The turn log: what a turn decided, in a form from which the decision is recomputed, bit for bit.

Kept of a decision: the demands, the columns that changed, the strategy with its state and seed, and the choice. Costs
are not kept but a checksum of them: `why` computes them again, and would notice if it computed anything else.
"""

from __future__ import annotations

import json
from math import inf
from typing import Any, NamedTuple

from coordinator.placing import checksum
from coordinator.ports import Decision, Load, TaskRun, Turn
from coordinator.settle import CLOSING_BYTES, Closing
from placement.model import Demand, Group, Kind, Path, Shape
from protos import records_pb2 as pb


class LoggedDecision(NamedTuple):
    """A decision as it was logged: everything but the costs."""

    strategy: str
    parameters: dict[str, Any]
    state: Any
    seed: tuple[int, int]  # store's seed, position in the turn
    groups: list[Group]
    placed: list[int]
    nodes: list[int]
    check: int
    first_epoch: int
    runs: list[TaskRun]


class LoggedClosing(NamedTuple):
    job: int
    packed: bytes
    closing: Closing
    reason: str
    nonces: tuple[int, ...]


class LoggedTurn(NamedTuple):
    now: float
    facts_version: int
    world: str
    loads: list[Load]
    decisions: list[LoggedDecision]
    closings: list[LoggedClosing]


def encode(turn: Turn) -> bytes:
    """The record of a turn."""
    record = pb.TurnRecord(
        now_s=turn.now_s,
        facts_version=turn.facts_version,
        world=turn.world_digest,
        load_nodes=[load.node for load in turn.loads],
        load_tasks=[load.tasks for load in turn.loads],
        load_drained_at=[load.drained_at for load in turn.loads if load.tasks],  # an idle node's is 0
        decisions=[_decision(decision) for decision in turn.decisions],
        closed_jobs=[closing.job for closing in turn.closings],
        closed=b"".join(closing.packed for closing in turn.closings),
        notes=[
            pb.ClosedNote(position=position, reason=closing.reason, nonces=closing.nonces)
            for position, closing in enumerate(turn.closings)
            if closing.reason or closing.nonces
        ],
    )
    return record.SerializeToString()


def _decision(decision: Decision) -> pb.DecisionRecord:
    runs = decision.runs
    jobs = [run.job for run in runs]
    return pb.DecisionRecord(
        strategy=decision.strategy,
        parameters=json.dumps(decision.parameters) if decision.parameters else "",
        state="" if decision.state is None else json.dumps(decision.state),
        seed=decision.seed[0],
        seed_part=decision.seed[2],
        groups=[_group(group, placed) for group, placed in zip(decision.groups, decision.placed, strict=True)],
        nodes=decision.nodes,
        check=checksum(decision.costs),
        first_epoch=decision.first_epoch,
        run_jobs=[job - before for job, before in zip(jobs, [0, *jobs[:-1]], strict=True)],
        run_lengths=[run.length for run in runs],
        run_parts=[run.part for run in runs],
        run_starts=[run.start for run in runs],
        run_units=[run.units for run in runs],
        run_tries=[run.tries for run in runs],
        run_across_jobs=[run.across_jobs for run in runs],
    )


def _group(group: Group, placed: int) -> pb.GroupRecord:
    demand, shape = group.demand, group.demand.shape
    return pb.GroupRecord(
        kind=shape.kind,  # type: ignore[arg-type]  # the numbers are the wire's; a test holds them together
        origin=shape.origin,
        keep_in=shape.keep_in,
        model=shape.model,
        direct=shape.path is Path.DIRECT,
        units=demand.units,
        objective_s=demand.objective_s,
        second_usd=demand.second_usd,
        context_tokens=demand.context_tokens,
        bytes_in=demand.bytes_in,
        bytes_out=demand.bytes_out,
        before_s=None if demand.before == inf else demand.before,
        budget_usd=None if demand.budget_usd == inf else demand.budget_usd,
        count=group.count,
        placed=placed,
    )


def decode(data: bytes) -> LoggedTurn:
    """The inverse of `encode`."""
    record = pb.TurnRecord.FromString(data)
    notes = {note.position: note for note in record.notes}
    closings = []
    for position, job in enumerate(record.closed_jobs):
        packed = record.closed[position * CLOSING_BYTES : (position + 1) * CLOSING_BYTES]
        note = notes.get(position, _NO_NOTE)
        closings.append(LoggedClosing(job, packed, Closing.unpack(packed), note.reason, tuple(note.nonces)))
    drained_at = iter(record.load_drained_at)
    loads = [
        Load(node, tasks, next(drained_at) if tasks else 0.0)
        for node, tasks in zip(record.load_nodes, record.load_tasks, strict=True)
    ]
    return LoggedTurn(
        record.now_s,
        record.facts_version,
        record.world,
        loads,
        [_logged(decision) for decision in record.decisions],
        closings,
    )


_NO_NOTE = pb.ClosedNote()


def _logged(record: pb.DecisionRecord) -> LoggedDecision:
    runs: list[TaskRun] = []
    job = 0
    columns = zip(
        record.run_jobs,
        record.run_lengths,
        record.run_parts,
        record.run_starts,
        record.run_units,
        record.run_tries,
        record.run_across_jobs,
        strict=True,
    )
    for delta, *rest in columns:
        job += delta
        runs.append(TaskRun(job, *rest))
    return LoggedDecision(
        record.strategy,
        json.loads(record.parameters or "{}"),
        json.loads(record.state or "null"),
        (record.seed, record.seed_part),
        [_logged_group(group) for group in record.groups],
        [group.placed for group in record.groups],
        list(record.nodes),
        record.check,
        record.first_epoch,
        runs,
    )


def _logged_group(record: pb.GroupRecord) -> Group:
    shape = Shape(
        Kind(record.kind),
        record.origin,
        tuple(record.keep_in),
        record.model,
        Path.DIRECT if record.direct else Path.RELAYED,
    )
    demand = Demand(
        shape,
        record.units,
        record.objective_s,
        record.second_usd,
        record.context_tokens,
        record.bytes_in,
        record.bytes_out,
        record.before_s if record.HasField("before_s") else inf,
        record.budget_usd if record.HasField("budget_usd") else inf,
    )
    return Group(demand, record.count)


class PlacedTask(NamedTuple):
    """One task out of a run."""

    job: int
    part: int
    start: int
    units: int
    tries: int


def tasks(runs: list[TaskRun]) -> list[PlacedTask]:
    """The tasks of a decision, in the order of its nodes."""
    found: list[PlacedTask] = []
    for job, length, part, start, units, tries, across_jobs in runs:
        if across_jobs:
            found.extend(PlacedTask(job + k, part, start, units, tries) for k in range(length))
        else:
            found.extend(PlacedTask(job, part + k, start + k * units, units, tries) for k in range(length))
    return found
