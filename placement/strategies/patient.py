"""`patient`: wait for a cheaper hour, as long as the deadline allows.

Rule: for work with a deadline, the start from now to deadline - latency, at any node, with the least energy cost by
the known price curves; if it is later and saves at least `minimum_saving_usd` a task against the least energy cost
without waiting, the task is held until then; otherwise it goes where energy costs least now. Of equal costs the
earlier. Tasks that are held count on a slot at their hour, so they do not all wait for the same one. Work without a
deadline goes as `weighted`.

Interruptible work saves the most, work that only waits less, none nothing; and slack helps less and less: 24 hours of
it saved 8.4 % of carbon, a whole year 34 % (Sukprasert et al., EuroSys'24). With prices foreseen this is the optimum
of one task alone; without, one-minimum search is sqrt(U/L)-competitive.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import ClassVar

import numpy as np

from placement.choosing import Key, Line, Order, cheapest, earlier_then_name, energy_alone
from placement.cost import Prepared
from placement.energy import JOULES_PER_KWH, Floats, Ints
from placement.fleet_table import Debits
from placement.hours import TIE_S, Hour, best_hour
from placement.model import Demand
from placement.quote import COSTS_A_USD, MOMENTS_A_SECOND, One, Quoted, quote, service_s
from placement.strategy import Plan, Rng, Snapshot, State


@dataclass(frozen=True)
class Patient:
    minimum_saving_usd: float = 0.0

    name: ClassVar[str] = "patient"
    family: ClassVar[str] = "between"
    rule: ClassVar[str] = "waits for the hour with the least energy cost, as long as the deadline allows"
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.minimum_saving_usd >= 0:
            raise ValueError(f"patient.minimum_saving_usd = {self.minimum_saving_usd}: it cannot be negative")

    def initial(self) -> State:
        return None

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, now = Debits(snapshot.table, snapshot.now), snapshot.now
        nodes: list[list[int]] = []
        costs: list[list[float]] = []
        again_at = inf
        reserved: dict[int, list[float]] = {}
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            if demand.before == inf:
                chosen, paid = cheapest(demand, count, prepared, view, now)
            else:
                tasks = _Waiting(demand, count, prepared, view, now, self.minimum_saving_usd, reserved)
                chosen, paid, cheaper_at = tasks.place()
                again_at = min(again_at, cheaper_at)
            nodes.append(chosen)
            costs.append(paid)
        return Plan(nodes, costs, again_at), state


class _Waiting:
    """Equal tasks with a deadline: each placed now, or promised to a node's better hour.

    A node's best hour is looked up only once its least price could make it the best of all: until then it stands in
    the order of that bound.
    """

    def __init__(
        self,
        demand: Demand,
        count: int,
        prepared: Prepared,
        view: Debits,
        now: float,
        saving_usd: float,
        reserved: dict[int, list[float]],
    ) -> None:
        bare, self._energy_only = energy_alone(demand, prepared)
        self._demand, self._count, self._view, self._now = demand, count, view, now
        self._one, self._energy = One(demand, prepared, now), One(bare, self._energy_only, now)
        self._rank = prepared.name_rank
        self._saving_usd = saving_usd
        self._reserved = reserved  # starts of tasks that are held, by node
        cost = quote(demand, prepared, view.load, now)
        usd = quote(bare, self._energy_only, view.load, now)
        self._promptly = Line(demand, count, prepared, view, now, cost, self._by_energy(prepared, usd, cost))
        self._bound, self._unseen = self._bounds(np.where(cost < inf, usd, -inf), service_s(demand, prepared))
        self._looked = 0  # at so many of them
        self._known: dict[tuple[float, ...], Hour | None] = {}  # of nodes that are in every respect alike
        self._seen: dict[int, int] = {}  # how often a node's best hour was looked up: older ones are void
        self._hours: list[tuple[int, int, int, int, int, Hour]] = []

    def _by_energy(self, prepared: Prepared, usd: Floats, cost: Floats) -> Order:
        def again(i: int, quoted: Quoted) -> Key:
            usd = self._energy.at(i, self._view.load).usd
            return round(usd * COSTS_A_USD), round(quoted.expected_s * MOMENTS_A_SECOND), int(self._rank[i])

        then = earlier_then_name(self._demand, prepared, self._view, self._now)
        return Order(np.where(cost < inf, np.rint(usd * COSTS_A_USD), inf), then, again)

    def _bounds(self, usd: Floats, run: Floats) -> tuple[Floats, Ints]:
        """What energy costs at the least price until the deadline, rising, and the nodes where that saves anything."""
        zone = self._energy_only.price_zone
        on = np.flatnonzero((usd > -inf) & (zone >= 0))
        least = self._energy_only.world.prices.least(self._now, self._demand.before)
        bound = least[zone[on]] * run[on] * self._energy_only.watts[on] / JOULES_PER_KWH
        saves = np.flatnonzero(usd[on] - bound > 1.0 / COSTS_A_USD)
        rising = saves[np.argsort(bound[saves])]
        return bound[rising], on[rising]

    def place(self) -> tuple[list[int], list[float], float]:
        """Nodes and costs of the tasks that should start now, and when the first of the others should, or infinity."""
        nodes: list[int] = []
        costs: list[float] = []
        again_at = inf
        for left in range(self._count - 1, -1, -1):
            if not self._promptly:  # one task more is late everywhere
                break
            better = self._better(self._promptly.key[0] / COSTS_A_USD)
            if better is not None:
                i, hour = better
                self._reserved.setdefault(i, []).append(hour.start)
                again_at = min(again_at, hour.start)
            else:
                i, usd = self._promptly.take()
                nodes.append(i)
                costs.append(usd)
            if left and i in self._seen:
                self._look(i)
        return nodes, costs, again_at

    def _better(self, promptly_usd: float) -> tuple[int, Hour] | None:
        """The node and the hour with the least energy cost, if that saves enough."""
        while True:
            while self._hours and self._seen[self._hours[0][3]] != self._hours[0][4]:
                heappop(self._hours)
            least = min(self._hours[0][5].usd, promptly_usd) if self._hours else promptly_usd
            if self._looked == len(self._unseen) or self._bound[self._looked] > least:
                break
            self._look(int(self._unseen[self._looked]))
            self._looked += 1
        if not self._hours:
            return None
        _, _, _, i, _, hour = self._hours[0]
        saving_usd = promptly_usd - hour.usd
        if (
            hour.start <= self._now
            or saving_usd <= self._tie_usd(i)
            or saving_usd < self._saving_usd - 1.0 / COSTS_A_USD
        ):
            return None
        return i, hour

    def _tie_usd(self, i: int) -> float:
        return 1.0 / COSTS_A_USD + TIE_S * abs(float(self._energy_only.usd_per_s[i]))

    def _look(self, i: int) -> None:
        """Look up the best hour at a node, as it now stands."""
        self._seen[i] = self._seen.get(i, -1) + 1
        quoted = self._one.at(i, self._view.load)
        rest_s = quoted.expected_s - quoted.wait_s
        hour = self._best_hour(i, self._now + quoted.wait_s, self._demand.before - rest_s)
        if hour is not None:
            usd, answer = round(hour.usd * COSTS_A_USD), round((hour.start + rest_s) * MOMENTS_A_SECOND)
            heappush(self._hours, (usd, answer, int(self._rank[i]), i, self._seen[i], hour))

    def _best_hour(self, i: int, earliest: float, latest: float) -> Hour | None:
        energy, run_s, reserved = self._energy_only, self._one.run_s(i), self._reserved.get(i)
        if reserved:
            return best_hour(energy, i, run_s, earliest, latest, reserved, self._tie_usd(i))
        alike = (float(energy.price_zone[i]), float(energy.watts[i]), run_s, earliest, latest)
        if alike not in self._known:
            self._known[alike] = best_hour(energy, i, run_s, earliest, latest, (), self._tie_usd(i))
        return self._known[alike]
