"""What the operator's configuration makes of the facts that nodes declare: it outranks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import inf

from coordinator.config import Site
from coordinator.errors import InvalidFacts
from placement.cost import World
from placement.model import NodeFacts


def resolver(sites: Iterable[Site], world: World) -> Callable[[NodeFacts], NodeFacts]:
    """A function from declared facts to facts that count. Raises `InvalidFacts` for a price zone without prices."""
    known = {site.name: site for site in sites}

    def resolve(declared: NodeFacts) -> NodeFacts:
        site = known.get(declared.site)
        facts = declared if site is None else _outranked(declared, site)
        if facts.price_zone:
            if facts.price_zone not in world.prices.zones:
                raise InvalidFacts(
                    f"{facts.name} pays the price of zone {facts.price_zone!r}, for which the coordinator has no "
                    "prices: add the column to its prices file, or start the node with --price-usd-per-kwh"
                )
            facts = replace(facts, price_source="feed")
        return facts

    return resolve


def _outranked(declared: NodeFacts, site: Site) -> NodeFacts:
    facts = replace(
        declared,
        region=site.region or declared.region,
        operator=site.operator or declared.operator,
        hub=declared.hub if site.tier is None else site.tier == "hub",
        pue=site.pue or declared.pue,
        bandwidth_mbps=site.bandwidth_mbps or inf,
        egress_usd_per_gb=site.egress_usd_per_gb,
        carbon_zone=site.carbon_zone or declared.carbon_zone,
    )
    if site.price_usd_per_kwh is not None:
        return replace(facts, price_zone="", price_usd_per_kwh=site.price_usd_per_kwh, price_source="operator")
    if site.price_zone is not None:
        return replace(facts, price_zone=site.price_zone)
    return facts
