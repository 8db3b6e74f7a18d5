"""Nodes drawn by chance, and the less loaded of those that were drawn."""

from __future__ import annotations

from math import inf

from placement.fleet_table import Debits
from placement.quote import One, quote
from placement.strategy import Plan, Rng, Snapshot


def drawn(snapshot: Snapshot, choices: int, rng: Rng) -> Plan:
    """For every task `choices` different feasible nodes, uniformly, and of them the one with the fewest tasks a slot.

    Ties go to the name. The nodes stand in the order of their names when they are drawn, so the same seed draws the
    same names in whatever order they registered.
    """
    view, now = Debits(snapshot.table, snapshot.now), snapshot.now
    by_name = snapshot.table.by_name
    plan = Plan([], [])
    for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
        cost = quote(demand, prepared, view.load, now)
        feasible: list[int] = by_name[cost[by_name] < inf].tolist()
        chances = rng.random((count, choices)).tolist()
        one = One(demand, prepared, now)
        fresh: dict[int, float] = {}  # cost of the nodes that were taken, by node
        chosen: list[int] = []
        paid: list[float] = []
        for chance in chances:
            if not feasible:
                break
            places = sorted(_different(chance, len(feasible)))
            i = min((feasible[place] for place in places), key=lambda i: view.load.tasks[i] / prepared.slots[i])
            chosen.append(i)
            paid.append(fresh[i] if i in fresh else float(cost[i]))
            view.take(i, one.run_s(i))
            fresh[i] = one.at(i, view.load).usd
            if fresh[i] == inf:  # one task more would be too late there, or too dear
                feasible.remove(i)
        plan.nodes.append(chosen)
        plan.costs.append(paid)
    return plan


def _different(chances: list[float], of: int) -> list[int]:
    """Different numbers below `of`, as many as there are chances in [0, 1) and numbers, all sets equally likely."""
    picked: list[int] = []
    for chance in chances[:of]:
        number = int(chance * (of - len(picked)))
        for earlier in sorted(picked):
            number += number >= earlier
        picked.append(number)
    return picked
