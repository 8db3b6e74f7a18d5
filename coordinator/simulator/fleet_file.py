"""From fleet.toml to nodes: `count` expanded, the facts of the site merged in."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from coordinator.config import like
from coordinator.simulator.scenario_files import Fleet, FleetNode, FleetSite
from coordinator.simulator.toml_file import TomlFile
from placement.model import NodeFacts

NODES_AT_MOST = 1_000_000  # a hall is one node with many slots; past this the file has a slip of the keyboard


@dataclass(frozen=True)
class FleetOnFile:
    """The fleet and the file that it came from, for complaints about it that only other files reveal."""

    file: TomlFile
    sites: tuple[FleetSite, ...]
    nodes: tuple[NodeFacts, ...]
    hardware_usd_per_hour: tuple[float, ...]  # by node

    @property
    def regions(self) -> frozenset[str]:
        return frozenset(facts.region for facts in self.nodes)


def read_fleet(file: TomlFile) -> FleetOnFile:
    """Raises InvalidConfiguration with file, line, column and key."""
    fleet = file.read(Fleet)
    sites = _sites(file, fleet)
    nodes: list[NodeFacts] = []
    costs: list[float] = []
    taken: dict[str, int] = {}
    for number, node in enumerate(fleet.node):
        if node.site not in sites:
            raise file.error(
                ("node", number, "site"),
                f"no [[site]] is called {node.site!r}{like(node.site, list(sites))}; there are {', '.join(sites)}",
            )
        if len(nodes) + node.count > NODES_AT_MOST:
            raise file.error(("node", number, "count"), f"more than {NODES_AT_MOST:,} nodes; give them more slots")
        for name in _names(node):
            if name in taken:
                raise file.error(
                    ("node", number, "name"), f"node {name!r} was there before, as number {taken[name] + 1}; rename one"
                )
            taken[name] = number
            nodes.append(_facts(name, node, sites[node.site]))
        costs += [node.hardware_usd_per_hour] * node.count
    return FleetOnFile(file, fleet.site, tuple(nodes), tuple(costs))


def _sites(file: TomlFile, fleet: Fleet) -> dict[str, FleetSite]:
    sites: dict[str, FleetSite] = {}
    for number, site in enumerate(fleet.site):
        if site.name in sites:
            raise file.error(("site", number, "name"), f"site {site.name!r} is described twice: leave one")
        sites[site.name] = site
    return sites


def _names(node: FleetNode) -> list[str]:
    return [node.name] if node.count == 1 else [f"{node.name}-{number}" for number in range(1, node.count + 1)]


def _facts(name: str, node: FleetNode, site: FleetSite) -> NodeFacts:
    rates = node.inference
    return NodeFacts(
        name=name,
        site=site.name,
        region=site.region,
        operator=site.operator or "",
        hub=site.tier == "hub",
        price_zone=site.price_zone or "",
        price_usd_per_kwh=site.price_usd_per_kwh or 0.0,
        price_source="feed" if site.price_zone else "operator",
        carbon_zone=site.carbon_zone or "",
        pue=site.pue or 1.0,
        idle_watts=node.idle_watts,
        max_watts=node.max_watts,
        slots=node.slots,
        bandwidth_mbps=site.bandwidth_mbps or inf,
        egress_usd_per_gb=site.egress_usd_per_gb,
        keep_private=node.keep_private,
        hashes_per_s=node.hash.hashes_per_s if node.hash else 0.0,
        requests_per_s=(rates.requests_per_s or 0.0) if rates else 0.0,
        prefill_tokens_per_s=(rates.prefill_tokens_per_s or 0.0) if rates else 0.0,
        tokens_per_s=(rates.tokens_per_s or 0.0) if rates else 0.0,
        coordinator_rtt_s=None if node.coordinator_rtt_ms is None else node.coordinator_rtt_ms / 1e3,
    )
