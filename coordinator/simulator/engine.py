"""One run: the live `Coordinator` under a virtual clock, with a simulated fleet and without a store.

One heap of what is to come. The clock counts seconds from the scenario's start. At one moment, what ends comes first,
then what happens to the world, then arrivals, then deadlines: a slot that is given back can be taken at that moment,
and an answer at the deadline is in time.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from coordinator.admit import Limits, Request
from coordinator.coordinator import Admitted, Coordinator
from coordinator.judging import Report
from coordinator.lifecycle import AttemptEvent
from coordinator.ports import OpenState
from coordinator.simulator.fleet import CUT, DONE, Columns, Machine, Running, machines
from coordinator.simulator.market import Market
from coordinator.simulator.model import Event, EventKind, Floats, Scenario
from coordinator.work import SizedWork, Sizes, Wishes
from placement.model import JobState, Kind, NodeFacts
from placement.network import WITHIN_REGION_S
from placement.quote import DEADLINE_SLACK_S
from placement.strategy import Strategy, load

NEVER_S = 1e12  # longer than any scenario: simulated nodes need no heartbeat to stay alive
ENDS, HAPPENS, ARRIVES, WAKES = range(4)  # the order of what falls on one moment
KINDS = {int(kind): kind for kind in Kind}
CHUNK = 8192  # jobs turned from columns into values at a time
LIMITS = Limits(
    heartbeat_s=NEVER_S, lease_s=10 * NEVER_S, open_jobs=10**15, offered_a_turn=4096
)  # the others are the live ones


@dataclass(frozen=True)
class Outcome:
    """What a run left: the attempts, each job's end, and what was counted on the way."""

    attempts: Columns
    state: bytearray  # by job: its JobState; PENDING when it never came to its end
    settled_s: array[float]  # by job; nan: never
    down: list[tuple[int, float, float]]  # node, from, to: it neither worked nor drew
    market: Market
    placements: array[int]  # by job
    messages: array[int]  # by job: questions, answers, dispatches, reports, revocations


class Run:
    """A scenario under one strategy. `go` once."""

    def __init__(self, scenario: Scenario, strategy: str, seed: int) -> None:
        """`seed`: of what the strategy draws. Raises `UnknownStrategy` and `InvalidConfiguration`."""
        self._scenario = scenario
        self._market = Market(scenario)
        self._strategy = load(strategy, scenario.parameters.get(strategy, {}))
        opened = OpenState(
            salt=0, seed=seed, next_job=0, next_epoch=1, next_turn=0, strategy=strategy, orders="", facts=[],
            submissions=[], open_jobs=set(), keyframe=None, turns=[],
        )  # fmt: skip
        self._coordinator = Coordinator(opened, self._market.known(0.0), LIMITS, self._find, 0.0, recording=False)
        self._machines = machines(scenario.nodes)
        self._heap: list[tuple[float, int, int, Any]] = []
        self._pushed = 0
        self._numbers = array("q")  # by number of an admitted job: its row
        self._columns = Columns()
        self._state = bytearray([JobState.PENDING]) * len(scenario.jobs)
        self._settled_s = array("d", [float("nan")]) * len(scenario.jobs)
        self._open = len(scenario.jobs)
        self._to_arrive = len(scenario.jobs)
        self._wake_at = inf
        self._down: list[tuple[int, float, float]] = []
        self._down_since: dict[int, float] = {}
        self._placements = array("i", [0]) * len(scenario.jobs)
        self._messages = array("i", [0]) * len(scenario.jobs)
        self._asking_s = 0.0
        self._join()
        self._foresee(scenario.events)

    def _find(self, name: str) -> Strategy:
        return self._strategy if name == self._strategy.name else load(name, self._scenario.parameters.get(name, {}))

    def _join(self) -> None:
        """Every node says hello and is measured: all are ready when the first job arrives."""
        network = self._market.network(0.0)
        for facts in self._scenario.nodes:
            self._coordinator.hello(facts, (), (), 1, 0.0)
            leg = network.between(network.coordinator_region, facts.region)
            self._coordinator.heartbeat(facts.name, WITHIN_REGION_S if leg is None else leg, 0, 0, (), 0.0)
        if getattr(self._strategy, "asks", False):
            legs, _ = network.coordinator_legs(self._coordinator.table)
            self._asking_s = float(legs.max(initial=0.0))
        self._coordinator.take_turn(0.0)

    def _foresee(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind in (EventKind.OUTAGE, EventKind.BAN, EventKind.CURTAIL):
                self._push(event.at_s, HAPPENS, (event, True))
                if event.until_s < inf:
                    self._push(event.until_s, HAPPENS, (event, False))
        for moment in self._market.changes():
            self._push(moment, HAPPENS, None)

    def _push(self, at: float, rank: int, what: Any) -> None:
        self._pushed += 1
        heapq.heappush(self._heap, (at, rank, self._pushed, what))

    # -- the clock

    def go(self, progress: Callable[[int], None] | None = None) -> Outcome:
        """Everything, to the last settlement. `progress`: told every few thousand jobs how many have arrived."""
        heap, arrivals = self._heap, self._requests()
        arrival, row, request = next(arrivals, (inf, -1, None))
        while self._open:
            if request is not None and (not heap or (arrival, ARRIVES) < heap[0]):
                self._to_arrive -= 1
                if progress is not None and not row & 2047:
                    progress(row)
                self._arrive(arrival, row, request)
                arrival, row, request = next(arrivals, (inf, -1, None))
                continue
            if not heap:
                break
            at, rank, _, what = heapq.heappop(heap)
            if rank == ENDS:
                self._ended(what, at)
            elif rank == HAPPENS:
                self._happen(what, at)
            elif what is not None:
                self._deadline(what, at)
            elif at == self._wake_at:  # no earlier one was set since
                self._wake_at = inf
                self._turn(at)
        for index, since in self._down_since.items():
            self._down.append((index, since, inf))
        return Outcome(
            self._columns,
            self._state,
            self._settled_s,
            self._down,
            self._market,
            self._placements,
            self._messages,
        )

    def _turn(self, now: float) -> None:
        """Let the coordinator place what waits, and act on what it decided."""
        coordinator = self._coordinator
        coordinator.tick(now)
        turn = coordinator.take_turn(now)
        for name, attempts in turn.dispatch.items():
            machine = self._machines[name]
            for attempt in attempts:
                row = self._numbers[attempt.piece.job.number]
                self._placements[row] += 1
                self._messages[row] += 1
                running = machine.offer(attempt, now)
                if running is not None:
                    self._push(running.ends_s, ENDS, (machine, running))
        for name, epochs in turn.revoke.items():
            for epoch in epochs:
                self._revoked(self._machines[name], epoch, now)
        for job in turn.settled:
            row = self._numbers[job.number]
            if self._state[row] == JobState.PENDING:
                self._settle(row, job.state, now)
        if coordinator.queue:
            self._wake(now)

    def _wake(self, now: float) -> None:
        """Held work is offered again when the coordinator would; with nothing else to come, only when that can help.

        That is when the strategy asks for it, a price steps, or a deadline is still ahead. Work that nothing can move
        any more is left, and counted as failed.
        """
        coordinator = self._coordinator
        at = coordinator.next_plan
        idle = not self._to_arrive and not any(machine.running for machine in self._machines.values())
        if idle and coordinator.placer.again_at == inf and not self._any_deadline():
            at = max(self._market.next_step(now), at)
        if at < self._wake_at and at < inf:
            self._wake_at = at
            self._push(at, WAKES, None)

    def _any_deadline(self) -> bool:
        return any(job.submission.before < inf for job in self._coordinator.jobs.values())

    # -- jobs

    def _requests(self) -> Iterator[tuple[float, int, Request]]:
        """Jobs as they reach the coordinator: when, their row, and what they ask."""
        jobs, asking_s = self._scenario.jobs, self._asking_s
        wishes: dict[tuple[Any, ...], Wishes] = {}
        for first in range(0, len(jobs), CHUNK):
            part = slice(first, first + CHUNK)
            asked = zip(
                jobs.origin[part].tolist(), _given(jobs.objective_s[part]), _given(jobs.second_usd[part]),
                jobs.deadline_s[part].tolist(), jobs.keep_in[part].tolist(), jobs.priority[part].tolist(), strict=True,
            )  # fmt: skip
            sizes = zip(
                jobs.context_tokens[part].tolist(), jobs.bytes_in[part].tolist(), jobs.bytes_out[part].tolist(),
                strict=True,
            )  # fmt: skip
            rows = zip(
                jobs.arrival_s[part].tolist(), jobs.kind[part].tolist(), jobs.units[part].tolist(), sizes, asked,
                strict=True,
            )  # fmt: skip
            for row, (arrival, kind, units, each, asks) in enumerate(rows, first):
                wish = wishes.get(asks)
                if wish is None:
                    wish = wishes[asks] = self._wishes(*asks)
                work = SizedWork(KINDS[kind], (units,), (Sizes(*each),))
                yield arrival + asking_s, row, Request(str(row), "", 1, wish, work, b"")

    def _wishes(
        self,
        origin: int,
        objective_s: float | None,
        second_usd: float | None,
        deadline_s: float,
        keep_in: int,
        priority: int,
    ) -> Wishes:
        jobs, asking_s = self._scenario.jobs, self._asking_s
        return Wishes(
            origin=jobs.origins[origin],
            objective_s=None if objective_s is None else max(objective_s - asking_s, 0.0),
            second_usd=second_usd,
            deadline_s=None if deadline_s == inf else max(deadline_s - asking_s, 0.0),
            priority=priority,
            keep_in=jobs.keep_ins[keep_in],
        )

    def _arrive(self, now: float, row: int, request: Request) -> None:
        admitted = self._coordinator.submit(request, now)
        if not isinstance(admitted, Admitted):
            self._settle(row, JobState.REFUSED, now)
            return
        self._numbers.append(row)
        if self._asking_s:
            self._messages[row] += 2 * len(self._machines)
        if admitted.submission.before < inf:  # looked at when an answer could no longer be in time
            number = admitted.submission.first
            self._push(admitted.submission.before + 2 * DEADLINE_SLACK_S, WAKES, (number,))
        self._turn(now)

    def _deadline(self, what: tuple[int], now: float) -> None:
        if what[0] in self._coordinator.jobs:
            self._turn(now)

    def _settle(self, row: int, state: JobState, now: float) -> None:
        self._state[row] = state
        self._settled_s[row] = now
        self._open -= 1

    # -- attempts

    def _ended(self, what: tuple[Machine, Running], now: float) -> None:
        machine, running = what
        attempt = running.attempt
        if machine.running.get(attempt.epoch) is not running:
            return  # it was stopped
        del machine.running[attempt.epoch]
        self._keep(machine, running, DONE, now)
        run_us = int(attempt.run_s * 1e6)
        done = Report(attempt.epoch, AttemptEvent.DONE, attempt.piece.units, run_us, -1, False)
        self._coordinator.report(machine.name, (done,), now)
        self._begin_next(machine, now)
        job = attempt.piece.job
        if job.settled:
            self._settle(self._numbers[job.number], job.state, now)
        if self._coordinator.queue:
            self._turn(now)

    def _begin_next(self, machine: Machine, now: float) -> None:
        running = machine.next(now)
        if running is not None:
            self._push(running.ends_s, ENDS, (machine, running))

    def _keep(self, machine: Machine, running: Running, outcome: int, now: float) -> None:
        row = self._numbers[running.attempt.piece.job.number]
        self._messages[row] += 1  # its report
        self._columns.add(row, machine.index, outcome, running.placed_s, running.start_s, now)

    def _revoked(self, machine: Machine, epoch: int, now: float) -> None:
        running = machine.revoke(epoch)
        if running is not None:
            self._keep(machine, running, CUT, now)
            self._begin_next(machine, now)

    # -- what happens to the world

    def _happen(self, what: tuple[Event, bool] | None, now: float) -> None:
        if what is None:
            self._look_again(now)
        else:
            event, begins = what
            for facts in self._scenario.nodes:
                if _hits(event, facts):
                    self._switch(event.kind, self._machines[facts.name], begins, now)
        self._turn(now)

    def _look_again(self, now: float) -> None:
        """What is known has changed: prices that stepped into sight, a link that is longer now."""
        coordinator, world = self._coordinator, self._market.known(now)
        coordinator.put_world(world)
        for facts in list(coordinator.table.facts):
            leg = world.network.between(world.network.coordinator_region, facts.region)
            if leg is not None and leg != facts.coordinator_rtt_s:
                coordinator.members[facts.name].rtt_s = leg
                coordinator.put_facts(replace(facts, coordinator_rtt_s=leg))

    def _switch(self, kind: EventKind, machine: Machine, begins: bool, now: float) -> None:
        """A node stops or may work again. An outage loses its attempts; a ban and a curtailment give them back."""
        coordinator, name, stopped = self._coordinator, machine.name, machine.stopped
        stopped[kind] = stopped.get(kind, 0) + (1 if begins else -1)
        if begins:
            epochs = self._stop(machine, now)
            if kind is EventKind.OUTAGE:
                coordinator.disconnected(name)
                coordinator.lapse(name, f"{name} is out", now)
            else:
                released = [Report(epoch, AttemptEvent.RELEASED, 0, 0, -1, False) for epoch in epochs]
                coordinator.report(name, released, now)
        index = machine.index
        facts = coordinator.table.facts[index]
        if kind is EventKind.BAN:
            coordinator.put_facts(replace(facts, banned=stopped[kind] > 0))
        elif kind is EventKind.CURTAIL:
            coordinator.order(coordinator.orders.with_curtailed(facts.site, stopped[kind] > 0))
        if kind is EventKind.OUTAGE and not stopped[kind]:
            machine.incarnation += 1
            coordinator.hello(coordinator.table.facts[index], (), (), machine.incarnation, now)
            coordinator.heartbeat(name, facts.coordinator_rtt_s, 0, 0, (), now)
        if begins and index not in self._down_since:
            self._down_since[index] = now
        elif not any(stopped.values()):
            self._down.append((index, self._down_since.pop(index), now))

    def _stop(self, machine: Machine, now: float) -> list[int]:
        """Stop all that a node has; its epochs."""
        ran, epochs = machine.stop()
        for running in ran:
            self._keep(machine, running, CUT, now)
        return epochs


def _given(column: Floats) -> list[float | None]:
    """Numbers, and None where there is none."""
    return [None if value != value else value for value in column.tolist()]


def _hits(event: Event, facts: NodeFacts) -> bool:
    """Whether an event is about a node: it names its region, its site or itself."""
    return bool(
        (event.region and event.region == facts.region)
        or (event.site and event.site == facts.site)
        or (event.node and event.node == facts.name)
    )
