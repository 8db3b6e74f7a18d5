"""What operators ordered while the coordinator ran: prices of sites, curtailed sites, drained nodes.

Orders outrank configuration and declarations, hold across restarts, and are applied to facts whenever those change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from coordinator.errors import InvalidSubmission
from placement.model import NodeFacts, NodeState

PRICE_AT_MOST = 1000.0  # USD per kWh, either way: markets have caps far below


@dataclass(frozen=True, slots=True)
class Orders:
    """All standing orders. Replaced, not changed."""

    prices: dict[str, float] = field(default_factory=dict)  # site: USD per kWh
    curtailed: frozenset[str] = frozenset()  # sites
    drained: frozenset[str] = frozenset()  # nodes

    def applied(self, facts: NodeFacts) -> NodeFacts:
        """Facts as they count under these orders."""
        price = self.prices.get(facts.site)
        if price is not None:
            facts = replace(facts, price_zone="", price_usd_per_kwh=price, price_source="operator")
        state = facts.state
        if state in (NodeState.READY, NodeState.DRAINING):
            state = NodeState.DRAINING if facts.name in self.drained else state
        return replace(facts, curtailed=facts.site in self.curtailed, state=state)

    def with_price(self, site: str, price_usd_per_kwh: float) -> Orders:
        if not abs(price_usd_per_kwh) <= PRICE_AT_MOST:  # false for what is no number as well
            raise InvalidSubmission(
                f"a price of {price_usd_per_kwh:g} USD per kWh is no price: it lies between -1000 and 1000"
            )
        return replace(self, prices=self.prices | {site: price_usd_per_kwh})

    def with_curtailed(self, site: str, on: bool) -> Orders:
        return replace(self, curtailed=self.curtailed | {site} if on else self.curtailed - {site})

    def with_drained(self, node: str, on: bool) -> Orders:
        return replace(self, drained=self.drained | {node} if on else self.drained - {node})

    def to_text(self) -> str:
        return json.dumps({"prices": self.prices, "curtailed": sorted(self.curtailed), "drained": sorted(self.drained)})

    @classmethod
    def from_text(cls, text: str) -> Orders:
        values = json.loads(text)
        return cls(values["prices"], frozenset(values["curtailed"]), frozenset(values["drained"]))
