"""From work that waits to leases: one snapshot, one plan, and the record from which it can be recomputed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict
from math import inf
from typing import Any

import numpy as np

from coordinator.admit import Limits
from coordinator.lifecycle import JobEvent, job_after
from coordinator.ports import Decision, Load, OpenState, Turn, task_runs
from coordinator.queue import Line, Offered, Queue, Run
from coordinator.work import Attempt, Member, Piece
from placement.cost import Prepared, Preparer
from placement.fleet_table import NodeTable
from placement.model import Demand, Group
from placement.quote import DEADLINE_SLACK_S, One, service_s
from placement.strategy import Plan, Snapshot, Strategy

IDLE_RNG = np.random.default_rng(0)  # for strategies that say that they draw nothing


class Placer:
    """The strategies with their states, and the counter from which every lease takes its epoch.

    Epochs rise strictly over the life of the store: an epoch is the number of a placement, the id of its attempt,
    and the fence against older holders, all in one.
    """

    def __init__(
        self,
        table: NodeTable,
        preparer: Preparer,
        strategies: Callable[[str], Strategy],
        opened: OpenState,
        limits: Limits,
        *,
        recording: bool = True,
    ) -> None:
        """Without `recording`, turns hold the leases and not the decisions behind them."""
        self._table = table
        self._preparer = preparer
        self._strategies = strategies
        self._limits = limits
        self._recording = recording
        self._slow: set[Line] = set()  # lines whose first run was held, so that those behind it would be as well
        self._version = -1  # of the table, when last placed
        self.again_at = inf  # when the last plan wants what it held to be offered again
        self._seed = opened.seed
        self._known: dict[str, Strategy] = {}
        self.states: dict[str, Any] = {}
        self.live = opened.strategy
        self.next_epoch = opened.next_epoch

    def find(self, name: str) -> Strategy:
        """A strategy by name. Raises whatever the finder raises for an unknown one."""
        if name not in self._known:
            self._known[name] = self._strategies(name)
        return self._known[name]

    def place(self, queue: Queue, members: dict[str, Member], turn: Turn, now: float, *, afresh: bool = True) -> bool:
        """Offer what waits to its strategies and lease what they place; whether anything more could be placed.

        Not `afresh`: since the last time there is only more work, so lines that stood then still stand.
        """
        if not len(self._table):
            return False
        if self._table.version != self._version:
            self._version = self._table.version
            queue.recall()
        turn.first_epoch = turn.first_epoch or self.next_epoch
        if self._recording:
            turn.loads.extend(self._changed_loads())
        self.again_at = inf
        stand: set[Line] = set() if afresh else set(self._slow)
        placed, left, probe = 0, self._limits.offered_a_turn, 1
        while left > 0:
            offered, cut = queue.window(left, probe, self._slow, stand)
            if not offered:
                break
            taken = self._offer(offered, queue, members, turn, now)
            placed += taken
            left -= sum(count for _, count in offered)
            if not cut:  # all that does not stand was offered
                break
            stand.update(run.line for run, _ in offered if run.count)
            probe *= 2
        if not placed:  # nothing will be written of this turn: what changed is still to be told
            self._table.changed.update(load.node for load in turn.loads)
            turn.loads.clear()
        queue.forget_used()
        self._slow &= queue.lines
        return placed > 0 and bool(queue)

    def _offer(self, offered: Offered, queue: Queue, members: dict[str, Member], turn: Turn, now: float) -> int:
        placed = start = 0
        while start < len(offered):
            name = offered[start][0].strategy or self.live
            end = start
            while end < len(offered) and (offered[end][0].strategy or self.live) == name:
                end += 1
            placed += self._decide(name, offered[start:end], queue, members, turn, now)
            start = end
        return placed

    def _changed_loads(self) -> list[Load]:
        changed, table = sorted(self._table.changed), self._table
        table.changed.clear()
        return [Load(i, *table.queue_of(i)) for i in changed]

    def _decide(
        self, name: str, offered: Offered, queue: Queue, members: dict[str, Member], turn: Turn, now: float
    ) -> int:
        strategy = self.find(name)
        merged = _merge(offered)
        groups = [Group(demand, sum(count for _, count in runs)) for demand, runs in merged]
        prepared = [self._preparer.prepare(group.demand.shape, now) for group in groups]
        state = self.states.get(name, strategy.initial())
        seed = (self._seed, turn.number, len(turn.decisions))
        rng = np.random.default_rng(seed) if strategy.draws else IDLE_RNG
        plan, self.states[name] = strategy.plan(Snapshot(now, self._table, groups, prepared), state, rng)
        self.again_at = min(self.again_at, plan.again_at)
        first_epoch = self.next_epoch
        pieces: list[Piece] = []
        for group, (demand, runs), prep, nodes in zip(groups, merged, prepared, plan.nodes, strict=True):
            if nodes:
                taken = _take(runs, len(nodes))
                pieces.extend(taken)
                self._lease(taken, nodes, One(demand, prep, now), members, turn, now)
            if len(nodes) < group.count:
                self._held(strategy, plan, group, [run for run, _ in runs if run.count], prep, queue, now)
        if pieces and self._recording:
            turn.decisions.append(
                Decision(
                    name,
                    asdict(strategy),  # type: ignore[call-overload]  # parameters are the fields of a dataclass
                    state,
                    seed,
                    groups,
                    [len(nodes) for nodes in plan.nodes],
                    [node for nodes in plan.nodes for node in nodes],
                    [cost for costs in plan.costs for cost in costs],
                    first_epoch,
                    task_runs(pieces),
                )
            )
        return len(pieces)

    def _held(
        self, strategy: Strategy, plan: Plan, group: Group, runs: list[Run], prep: Prepared, queue: Queue, now: float
    ) -> None:
        """Remember of work that was held whether what came after it in its line needs to be offered before it moves."""
        demand = group.demand
        if demand.before < inf and _too_late_everywhere(demand, prep, now):
            for run in runs:
                queue.set_aside(run)
        elif plan.again_at == inf and demand.budget_usd == inf:
            in_order = getattr(strategy, "in_order", strategy.holds)
            if in_order or (demand.before == inf and not (prep.blocked < inf).any()):
                self._slow.update(run.line for run in runs)

    def _lease(
        self,
        pieces: list[Piece],
        nodes: list[int],
        quoted: One,
        members: dict[str, Member],
        turn: Turn,
        now: float,
    ) -> None:
        table, placed_us = self._table, int(now * 1e6)
        epoch = self.next_epoch
        for piece, node in zip(pieces, nodes, strict=True):
            run_s = quoted.run_s(node)
            starts = max(float(table.clear_at[node]), now)
            attempt = Attempt(epoch, piece, node, placed_us, run_s, starts + run_s)
            job = piece.job
            job.live[epoch] = attempt
            job.state = job_after(job.state, JobEvent.PLACED)
            name = table.names[node]
            members[name].live[epoch] = attempt
            turn.dispatch.setdefault(name, []).append(attempt)
            table.debit(node, run_s, now)
            epoch += 1
        self.next_epoch = epoch


def _too_late_everywhere(demand: Demand, prepared: Prepared, now: float) -> bool:
    """Whether no node, were it idle, could answer before the deadline."""
    latency = service_s(demand, prepared) + prepared.path_s
    latency += prepared.s_per_byte * (demand.bytes_in + demand.bytes_out)
    return now + float(latency.min(initial=inf)) > demand.before + DEADLINE_SLACK_S


def _merge(offered: list[tuple[Run, int]]) -> list[tuple[Demand, list[tuple[Run, int]]]]:
    """Neighbouring runs of equal demands become one group; first come first served is kept across demands."""
    merged: list[tuple[Demand, list[tuple[Run, int]]]] = []
    for run, count in offered:
        if merged and merged[-1][0] == run.demand:
            merged[-1][1].append((run, count))
        else:
            merged.append((run.demand, [(run, count)]))
    return merged


def _take(runs: list[tuple[Run, int]], count: int) -> list[Piece]:
    taken: list[Piece] = []
    for run, offered in runs:
        if len(taken) == count:
            break
        taken.extend(run.take(min(offered, count - len(taken))))
    return taken


def checksum(costs: list[float]) -> int:
    """Of a plan's costs, bit for bit: the log keeps this instead of the costs and finds any drift by it."""
    return zlib.crc32(np.asarray(costs, dtype="<f8").tobytes())
