"""What would happen to a submission now, by the functions that would do it; nothing changes."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from coordinator.admit import Request, admit, refusal
from coordinator.coordinator import Coordinator
from coordinator.explaining import Explained, prices_of
from coordinator.turnlog import PlacedTask
from coordinator.work import Submission
from placement.explain import considered
from placement.feasible import Survey
from placement.fleet_table import Debits
from placement.model import Demand, Group
from placement.quote import service_s
from placement.strategy import Snapshot

TASKS_SHOWN = 64


class Planned(NamedTuple):
    """Where the first tasks would go, with reasons; `plan_id` is the same while the choice is."""

    submission: Submission
    placements: list[Explained]
    feasible: bool
    plan_id: str


def plan(coordinator: Coordinator, request: Request, now: float) -> Planned | Survey:
    """Decide as a turn would, for this submission alone and the present queues. Raises what `submit` raises."""
    table = coordinator.table
    submission = admit(request, 0, int(now * 1e6), coordinator.world, table, coordinator.limits)
    refused = refusal(submission.shape, table)
    if refused is not None:
        return refused
    name = request.wishes.strategy or coordinator.strategy
    strategy = coordinator.placer.find(name)
    groups = _groups(submission)
    prepared = [coordinator.preparer.prepare(group.demand.shape, now) for group in groups]
    state = coordinator.placer.states.get(name, strategy.initial())
    rng = np.random.default_rng(coordinator.turn.number)
    chosen, _ = strategy.plan(Snapshot(now, table, groups, prepared), state, rng)
    view = Debits(table, now)
    placements: list[Explained] = []
    for group, prep, nodes in zip(groups, prepared, chosen.nodes, strict=True):
        run = service_s(group.demand, prep)
        for node in nodes:
            every = considered(group.demand, prep, view.load, now, table, holds=strategy.holds)
            task = PlacedTask(0, len(placements), 0, int(group.demand.units), 0)
            placements.append(
                Explained(0, now, task, name, group.demand, node, every, list(table.facts), prices_of(prep, now))
            )
            view.take(node, float(run[node]))
    if not placements:  # held: show what stands in the way
        every = considered(groups[0].demand, prepared[0], view.load, now, table, holds=strategy.holds)
        nowhere = Explained(0, now, PlacedTask(0, 0, 0, 0, 0), name, groups[0].demand, -1, every, list(table.facts), [])
        return Planned(submission, [nowhere], False, "")
    choice = repr((name, submission.shape, [(one.demand, one.node) for one in placements]))
    return Planned(submission, placements, True, hashlib.sha256(choice.encode()).hexdigest()[:16])


def outdated(coordinator: Coordinator, request: Request, plan_id: str, now: float) -> Survey | None:
    """Why a plan no longer holds, or None while the same choice would be made."""
    planned = plan(coordinator, request, now)
    if isinstance(planned, Survey):
        return planned
    if planned.plan_id == plan_id:
        return None
    first = planned.placements[0]
    where = coordinator.table.names[first.node] if planned.feasible else "nowhere for now"
    return Survey((), f"the world has moved since plan {plan_id}: the first task would go to {where} now", "plan again")


def _groups(submission: Submission) -> list[Group]:
    """The first tasks of a submission as a queue would offer them."""
    demands: list[Demand] = []
    for item in range(submission.count):
        whole, rest = divmod(submission.work.count(item), submission.grain)
        demands += [submission.demand(submission.grain, item)] * min(whole, TASKS_SHOWN)
        demands += [submission.demand(rest, item)] * (rest > 0)
        if len(demands) >= TASKS_SHOWN:
            break
    groups: list[Group] = []
    for demand in demands[:TASKS_SHOWN]:
        if groups and groups[-1].demand == demand:
            groups[-1] = Group(demand, groups[-1].count + 1)
        else:
            groups.append(Group(demand, 1))
    return groups
