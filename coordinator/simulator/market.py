"""Prices, carbon and round trips on the scenario's own clock: as they are, and as they are known at a moment.

The simulator counts seconds from the scenario's start, so that a microsecond keeps its digits after weeks; curves are
shifted to that clock. An event changes what is true for its whole span, and what is known from its first moment on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from coordinator.errors import InvalidConfiguration
from coordinator.simulator.model import Event, EventKind, Scenario
from placement.cost import World
from placement.energy import Curves, Floats
from placement.network import Network

PAST_S = 86_400.0  # how much of what has been stays in a known curve: receipts of running work integrate over it

Steps = dict[str, tuple[Floats, Floats]]


class Market:
    """The world of one run: `actual` for what things cost, `known` for what decisions are made from."""

    def __init__(self, scenario: Scenario) -> None:
        """Raises InvalidConfiguration for an event about a price or a round trip that the scenario does not have."""
        self._world = scenario.world
        self._prices = shifted(scenario.world.prices, scenario.start)
        self._carbon = shifted(scenario.world.carbon, scenario.start)
        self._events = sorted(scenario.events, key=lambda event: event.at_s)
        self._horizon_s = scenario.horizon_s
        self.prices = Curves(self._prices_of(self._events))
        self.carbon = Curves(self._carbon)

    def _prices_of(self, events: Iterable[Event]) -> Steps:
        steps = dict(self._prices)
        for event in events:
            if event.kind is EventKind.PRICE:
                if event.zone not in steps:
                    raise InvalidConfiguration(f"a price event names zone {event.zone!r}, whose price nobody pays")
                steps[event.zone] = stepped(*steps[event.zone], event)
        return steps

    def network(self, now: float) -> Network:
        """Round trips as they are at `now`."""
        network = self._world.network
        for event in self._events:
            if event.kind is EventKind.LINK and event.at_s <= now < event.until_s:
                network = lengthened(network, event)
        return network

    def known(self, now: float) -> World:
        """What is known at `now`: events that have begun, and curves as far as the horizon."""
        begun = [event for event in self._events if event.at_s <= now]
        return replace(
            self._world,
            prices=Curves(self._cut(self._prices_of(begun), now)),
            carbon=Curves(self._cut(self._carbon, now)),
            network=self.network(now),
        )

    def _cut(self, steps: Steps, now: float) -> Steps:
        return {zone: _window(times, values, now, self._horizon_s) for zone, (times, values) in steps.items()}

    def changes(self) -> list[float]:
        """When what is known changes: events begin or end a link, and a step comes into sight behind the horizon."""
        moments = {event.at_s for event in self._events if event.kind in (EventKind.PRICE, EventKind.LINK)}
        moments |= {event.until_s for event in self._events if event.kind is EventKind.LINK}
        for steps in (self._prices, self._carbon):
            for times, _ in steps.values():
                moments |= set((times - self._horizon_s).tolist())
        return sorted(moment for moment in moments if 0 < moment < np.inf)

    def link_changes(self) -> list[float]:
        """When round trips change."""
        links = [event for event in self._events if event.kind is EventKind.LINK]
        moments = {event.at_s for event in links} | {event.until_s for event in links}
        return sorted(moment for moment in moments if 0 < moment < np.inf)

    def next_step(self, now: float) -> float:
        """When any price or carbon value next changes; infinity when none does."""
        later = [
            float(curves.next_change(np.arange(len(curves.zones)), now).min(initial=np.inf))
            for curves in (self.prices, self.carbon)
        ]
        return min(later)


def shifted(curves: Curves, start: float) -> Steps:
    """The steps of curves on a clock that is 0 at `start` (unix seconds)."""
    return {zone: (np.asarray(at) - start, np.asarray(values)) for zone, (at, values) in curves.to_steps().items()}


def stepped(times: Floats, values: Floats, event: Event) -> tuple[Floats, Floats]:
    """A curve with a price event in it: price + (factor - 1) * |price|, and so much more, from `at_s` to `until_s`."""
    inside = [moment for moment in (event.at_s, event.until_s) if moment < np.inf]
    moments = np.union1d(times, inside)
    held = values[np.maximum(np.searchsorted(times, moments, side="right") - 1, 0)]
    during = (moments >= event.at_s) & (moments < event.until_s)
    changed = held + (event.factor - 1.0) * np.abs(held) + event.add_usd_per_kwh
    return moments, np.where(during, changed, held)


def lengthened(network: Network, event: Event) -> Network:
    """Round trips with one link's times a factor, both ways. Raises InvalidConfiguration for a pair without one."""
    pair = (event.source, event.destination)
    known = network.between(*pair)
    back = network.between(*reversed(pair))
    if known is None or back is None:
        raise InvalidConfiguration(
            f"a link event names {pair[0]} and {pair[1]}, whose round trip the latency file does not give: add the pair"
        )
    both = {pair: known * 1e3 * event.factor, pair[::-1]: back * 1e3 * event.factor}
    return Network(network.coordinator_region, {**network.rtt_ms, **both})


def _window(times: Floats, values: Floats, now: float, horizon_s: float) -> tuple[Floats, Floats]:
    first = max(bisect_right(times, now - PAST_S) - 1, 0)
    last = max(bisect_right(times, now + horizon_s), first + 1)
    return times[first:last], values[first:last]
