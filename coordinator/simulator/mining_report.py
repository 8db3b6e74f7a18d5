"""`edgeward mining`: what the coin costs at every region of a scenario, and where the hashing goes.

Headline figures are those of the start. Regions, operators and concentration are means over the epochs that follow,
in which hash rate answers prices and difficulty answers hash rate (`epochs.py`). The network's hash rate holds that of
the scenario's fleet; whoever is not in the fleet hashes on regardless of prices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import fsum, inf
from typing import Any

from coordinator.errors import InvalidConfiguration
from coordinator.simulator.concentration import concentration
from coordinator.simulator.epochs import Chain, Coin, Epoch, NoBlocks
from coordinator.simulator.mining import (
    HASHES_A_DIFFICULTY,
    SECONDS_A_DAY,
    break_even,
    difficulty,
    hashprice,
    kwh_per_coin,
    usd_per_th,
)
from coordinator.simulator.mining_fleet import Group, groups_of, mean
from coordinator.simulator.model import Event, Mining, Scenario

YEAR_S = 364 * SECONDS_A_DAY  # 26 epochs
AFTERWARDS_S = 56 * SECONDS_A_DAY  # followed at least so long after the last event

Document = dict[str, Any]


def report(scenario: Scenario) -> Document:
    """The document of `edgeward mining --out`. Raises InvalidConfiguration where the scenario has nothing to mine."""
    mining = scenario.mining
    if mining is None:
        raise InvalidConfiguration(
            f"scenario {scenario.name!r} says nothing of a coin: add a [mining] table with network_hashes_per_s, "
            "coin_usd, subsidy_coin, fees_coin and reaction_hours"
        )
    groups = groups_of(scenario)
    block_coin = mining.subsidy_coin + mining.fees_coin
    earned = hashprice(difficulty(mining.network_hashes_per_s), block_coin, mining.coin_usd)
    chain = _chain(groups, mining)
    epochs, ended = _run(chain, scenario.events)
    groups = _with_means(groups, epochs)
    capacity = fsum(group.herd.hashes_per_s for group in groups)
    j_per_th = fsum(group.herd.hashes_per_s * group.herd.j_per_th for group in groups) / capacity
    return {
        "scenario": scenario.name,
        "hashprice_usd_per_ph_day": earned,
        "kwh_per_coin": kwh_per_coin(mining.network_hashes_per_s, j_per_th, block_coin),
        "j_per_th": j_per_th,
        "difficulty": difficulty(mining.network_hashes_per_s),
        "network_hashes_per_s": mining.network_hashes_per_s,
        "fleet_hashes_per_s": capacity,
        "regions": _regions(groups, mining),
        "operators": _operators(groups, mining, epochs),
        "machines": [_machine(group, earned) for group in groups],
        "epochs": [_epoch(epoch, scenario.start, groups) for epoch in epochs],
        "ended": ended,
        "concentration": _concentrations(groups, lambda group: group.hashes_per_s),
        "capacity_concentration": _concentrations(groups, lambda group: group.herd.hashes_per_s),
    }


# what it does


def _chain(groups: Sequence[Group], mining: Mining) -> Chain:
    coin = Coin(
        difficulty(mining.network_hashes_per_s),
        mining.subsidy_coin + mining.fees_coin,
        mining.coin_usd,
        mining.reaction_hours * 3600,
    )
    chain = Chain([group.herd for group in groups], 0.0, coin)
    rest = max(mining.network_hashes_per_s - float(chain.running().sum()), 0.0)
    return Chain([group.herd for group in groups], rest, coin)


def _run(chain: Chain, events: Sequence[Event]) -> tuple[list[Epoch], str | None]:
    """A year of epochs, or more where events come later; and why they end before."""
    edges = [moment for event in events for moment in (event.at_s, event.until_s) if moment < inf]
    last = max([YEAR_S, *(moment + AFTERWARDS_S for moment in edges)])
    epochs: list[Epoch] = []
    while chain.now_s < last - 1:  # a second: the sum of 26 epochs may fall short of a year in its last digit
        try:
            epochs.append(chain.epoch())
        except NoBlocks as ended:
            return epochs, str(ended)
    return epochs, None


def _with_means(groups: list[Group], epochs: Sequence[Epoch]) -> list[Group]:
    if not epochs:
        return groups
    end = epochs[-1].at_s
    return [
        replace(
            group,
            hashes_per_s=fsum(epoch.hashes[number] for epoch in epochs) / end,
            energy_usd_per_day=fsum(epoch.energy_usd[number] for epoch in epochs) / end * SECONDS_A_DAY,
            usd_per_kwh=mean(group.herd.times, group.herd.usd_per_kwh, end),
        )
        for number, group in enumerate(groups)
    ]


# the document


def _regions(groups: Sequence[Group], mining: Mining) -> list[Document]:
    everything = fsum(group.hashes_per_s for group in groups)
    rows = []
    for region, here in _by(groups, "region"):
        capacity = fsum(group.herd.hashes_per_s for group in here)
        j_per_th = fsum(group.herd.hashes_per_s * group.herd.j_per_th for group in here) / capacity
        watts = fsum(group.herd.hashes_per_s * group.herd.j_per_th for group in here)
        price = fsum(group.herd.hashes_per_s * group.herd.j_per_th * group.usd_per_kwh for group in here) / watts
        a_coin = kwh_per_coin(mining.network_hashes_per_s, j_per_th, mining.subsidy_coin + mining.fees_coin) * price
        running = fsum(group.hashes_per_s for group in here)
        rows.append(
            {
                "region": region,
                "hashes_per_s": running,
                "share": running / everything if everything else 0.0,
                "capacity_hashes_per_s": capacity,
                "network_share": running / mining.network_hashes_per_s,
                "usd_per_kwh": price,
                "j_per_th": j_per_th,
                "energy_usd_per_coin": a_coin,
                "profitable": a_coin <= mining.coin_usd,
            }
        )
    return rows


def _operators(groups: Sequence[Group], mining: Mining, epochs: Sequence[Epoch]) -> list[Document]:
    """Means a day over the epochs. Revenue is expected: the share of hashes in each epoch's blocks."""
    everything = fsum(group.hashes_per_s for group in groups)
    days = epochs[-1].at_s / SECONDS_A_DAY if epochs else inf
    before = [difficulty(mining.network_hashes_per_s), *(epoch.difficulty for epoch in epochs)]
    block_usd = (mining.subsidy_coin + mining.fees_coin) * mining.coin_usd
    rows = []
    for operator, here in _by(groups, "operator"):
        numbers = [number for number, group in enumerate(groups) if group.facts.operator == operator]
        blocks = fsum(
            epoch.hashes[number] / (HASHES_A_DIFFICULTY * then)
            for epoch, then in zip(epochs, before, strict=False)
            for number in numbers
        )
        running = fsum(group.hashes_per_s for group in here)
        rows.append(
            {
                "operator": operator,
                "hashes_per_s": running,
                "share": running / everything if everything else 0.0,
                "revenue_usd_per_day": blocks * block_usd / days,
                "energy_usd_per_day": fsum(group.energy_usd_per_day for group in here),
                "hardware_usd_per_day": fsum(group.hardware_usd_per_hour * 24 * len(group.nodes) for group in here),
            }
        )
    return rows


def _machine(group: Group, earned: float) -> Document:
    alone = break_even(earned, group.herd.j_per_th)
    return {
        "site": group.facts.site,
        "node": group.nodes[0],
        "count": len(group.nodes),
        "hashes_per_s": group.herd.hashes_per_s,
        "j_per_th": group.herd.j_per_th,
        "usd_per_kwh": group.usd_per_kwh,
        "usd_per_th": usd_per_th(group.herd.j_per_th, group.usd_per_kwh),
        "break_even_usd_per_kwh": alone,
        "break_even_with_hardware_usd_per_kwh": break_even(earned, group.herd.j_per_th, group.hardware_usd_per_ph_day),
        "on_share": group.hashes_per_s / group.herd.hashes_per_s,
    }


def _epoch(epoch: Epoch, start: float, groups: Sequence[Group]) -> Document:
    by_region: dict[str, float] = {}
    for group, hashes in zip(groups, epoch.hashes, strict=True):
        by_region[group.facts.region] = by_region.get(group.facts.region, 0.0) + hashes
    return {
        "at_s": epoch.at_s,
        "at": datetime.fromtimestamp(start + epoch.at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "difficulty": epoch.difficulty,
        "change": epoch.change,
        "mean_interval_s": epoch.mean_interval_s,
        "hhi_by_region": _number(concentration(by_region.values()).hhi),
    }


def _concentrations(groups: Sequence[Group], amount: Callable[[Group], float]) -> Document:
    """Of hash rates, those that have none included."""
    amounts = {"node": [amount(group) / len(group.nodes) for group in groups for _ in group.nodes]} | {
        what: [fsum(map(amount, here)) for _, here in _by(groups, what)] for what in ("site", "region", "operator")
    }
    return {
        what: {name: _number(value) for name, value in concentration(given)._asdict().items()}
        for what, given in amounts.items()
    }


def _by(groups: Sequence[Group], what: str) -> list[tuple[str, list[Group]]]:
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(getattr(group.facts, what), []).append(group)
    return sorted(found.items())


def _number(value: float) -> float | None:
    """JSON has no nan: what does not exist is null."""
    return None if value != value else value
