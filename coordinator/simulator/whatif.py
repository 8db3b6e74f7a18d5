"""The same scenario with one thing otherwise: a region gone, a region's price times three."""

from __future__ import annotations

from dataclasses import replace

from coordinator.simulator.model import Event, EventKind, Scenario
from placement.energy import Curves
from placement.model import NodeFacts


def without_region(scenario: Scenario, region: str) -> Scenario:
    """The region's nodes are out from the start to the end; they stay registered, so nothing is refused for it."""
    gone = Event(EventKind.OUTAGE, at_s=0.0, region=region)
    return replace(scenario, events=(gone, *scenario.events))


def with_price_times(scenario: Scenario, region: str, times: float) -> Scenario:
    """What the region's nodes pay is so many times what it was, from the start, and everybody knows it.

    Nodes of other regions in the same price zone go on paying what they paid.
    """
    prices = scenario.world.prices
    zones = {
        facts.price_zone
        for facts in scenario.nodes
        if facts.region == region and facts.price_zone in prices.zones
    }  # fmt: skip
    steps = prices.to_steps()
    own = {zone: f"{zone} in {region} times {times:g}" for zone in sorted(zones)}
    dearer = {own[zone]: (steps[zone][0], [times * value for value in steps[zone][1]]) for zone in own}

    def pays(facts: NodeFacts) -> NodeFacts:
        if facts.region != region:
            return facts
        return replace(
            facts,
            price_zone=own.get(facts.price_zone, facts.price_zone),
            price_usd_per_kwh=times * facts.price_usd_per_kwh,
            carbon_zone=facts.carbon_zone or facts.price_zone,
        )

    also = [replace(event, zone=own[event.zone]) for event in scenario.events if event.zone in own]
    return replace(
        scenario,
        nodes=tuple(pays(facts) for facts in scenario.nodes),
        world=replace(scenario.world, prices=Curves({**steps, **dearer})),
        events=tuple(sorted((*scenario.events, *also), key=lambda event: event.at_s)),
    )
