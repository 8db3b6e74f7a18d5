"""Reads a scenario, with everything that it names, and refuses what does not hold together before anything runs.

    scenario = load(Path("scenario.toml"))

Paths in the file are relative to it. Every refusal is one `InvalidConfiguration` whose sentence names file, line and
column.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np

from coordinator.config import Strategies, like
from coordinator.errors import InvalidConfiguration
from coordinator.feeds.file import read_latency, read_series
from coordinator.feeds.series import Series
from coordinator.simulator.fleet_file import FleetOnFile, read_fleet
from coordinator.simulator.market_files import Used, use
from coordinator.simulator.model import Counted, Event, EventKind, Floats, Jobs, Mining, Scenario
from coordinator.simulator.scenario_files import ScenarioFile
from coordinator.simulator.toml_file import TomlFile, Where
from coordinator.simulator.trace import Regions, no_jobs, read_jobs, read_requests
from placement.cost import Money, World
from placement.energy import Curves
from placement.model import Kind, NodeFacts
from placement.model import Path as Way
from placement.network import Network


def load(path: Path, seed: int | None = None, *, needs_jobs: bool = True) -> Scenario:
    """The scenario in a file. `seed` outranks the file's; without `needs_jobs` (for mining) it may have none.

    Raises InvalidConfiguration.
    """
    return _Reading(path, seed).scenario(needs_jobs)


@dataclass(frozen=True)
class _Names:
    """What a scenario's names may refer to."""

    sites: list[str]
    nodes: list[str]
    regions: list[str]  # of the fleet
    zones: list[str]  # whose market price the fleet pays


class _Reading:
    """One scenario as it is read: the files first, then what follows from them, each step in the order of the file."""

    def __init__(self, path: Path, seed: int | None) -> None:
        if path.is_dir():
            raise InvalidConfiguration(f"{path} is a directory: name the scenario file in it, such as scenario.toml")
        self.file = TomlFile(path)
        self.given = self.file.read(ScenarioFile)
        self.seed = self.given.seed if seed is None else seed
        self.start = self.given.start.timestamp()
        self.parameters = self._strategies()
        self.fleet: FleetOnFile = read_fleet(TomlFile(self._path("fleet", self.given.fleet)))
        self.network = self._network()

    def scenario(self, needs_jobs: bool) -> Scenario:
        given = self.given
        jobs = self._jobs(needs_jobs)
        until = self.start + _needed_until(jobs, self.fleet.nodes)
        prices, carbon = self._prices(until), self._carbon(until)
        return Scenario(
            name=given.name or self.file.path.resolve().parent.name,
            seed=self.seed,
            start=self.start,
            nodes=self.fleet.nodes,
            world=World(
                prices=prices.curves,
                carbon=carbon.curves,
                network=self.network,
                money=Money(**given.money.model_dump()),
                path=Way(given.path),
            ),
            jobs=jobs,
            events=self._events(),
            strategy=self.parameters.name,
            parameters={name: self.parameters.parameters(name) for name in sorted(self.parameters.model_extra or {})},
            heartbeat_s=given.knowledge.heartbeat_s,
            horizon_s=given.knowledge.horizon_s,
            mining=Mining(**given.mining.model_dump()) if given.mining else None,
            hardware_usd_per_hour=self.fleet.hardware_usd_per_hour,
            known_until=min(prices.known_until, carbon.known_until),
            counted=Counted(
                predicted_pairs=_predicted_pairs(self.network, jobs.origins, self.fleet.regions),
                held_price_rows=prices.held,
                held_carbon_rows=carbon.held,
            ),
        )

    def _path(self, key: str, name: str) -> Path:
        path = self.file.path.parent / name
        if not path.is_file():
            raise self.file.error(tuple(key.split(".")), f"there is no file {path}; correct the name")
        return path

    def _strategies(self) -> Strategies:
        """All at once for the values, one at a time for the place of a complaint."""
        for name, table in self.given.strategy.items():
            where: Where = ("strategy", name)
            try:
                Strategies.model_validate({name: table})
            except ValueError as wrong:
                complaint = wrong.errors()[0]["msg"].removeprefix("Value error, ")  # type: ignore[attr-defined]
                keys = [key for key in table if f"{name}.{key}" in complaint] if isinstance(table, dict) else []
                raise self.file.error((*where, *keys[:1]), complaint) from None
        return Strategies.model_validate(self.given.strategy)

    def _network(self) -> Network:
        hubs = [facts for facts in self.fleet.nodes if facts.hub]
        region = self.given.coordinator_region or (hubs or list(self.fleet.nodes))[0].region
        if self.given.latency is None:
            return Network(region)
        path = self._path("latency", self.given.latency)
        network = Network(region, read_latency(path))
        known = network.regions
        for number, site in enumerate(self.fleet.sites):
            if site.region not in known and site.region != region:
                raise self.fleet.file.error(
                    ("site", number, "region"), f"{site.region!r} is not in {path}{like(site.region, sorted(known))}"
                )
        if region not in known | self.fleet.regions:
            raise self.file.error(
                ("coordinator_region",),
                f"{region!r} is neither in {path} nor a region of the fleet{like(region, sorted(known))}",
            )
        return network

    def _jobs(self, needed: bool) -> Jobs:
        known = self.network.regions | self.fleet.regions | {self.network.coordinator_region}
        regions = Regions(frozenset(known), self.network.coordinator_region)
        if self.given.jobs is not None:
            return read_jobs(self._path("jobs", self.given.jobs), regions)
        requests = self.given.requests
        if requests is None:
            if needed:
                raise InvalidConfiguration(f'{self.file.path} has no jobs: add jobs = "jobs.csv" or a [requests] table')
            return no_jobs()
        shares = requests.origins or {regions.default: 1.0}
        for name in shares:
            if name not in known:
                raise self.file.error(
                    ("requests", "origins", name),
                    f"{name!r} is neither in the latency file nor a region of the fleet{like(name, sorted(known))}",
                )
        path = self._path("requests.file", requests.file)
        return read_requests(path, shares, self.seed, requests.objective_ms, requests.second_usd)

    def _prices(self, until: float) -> Used:
        zones = {facts.price_zone for facts in self.fleet.nodes if facts.price_zone}
        for number, site in enumerate(self.fleet.sites):
            if self.given.prices is None and site.price_zone in zones:
                raise self.fleet.file.error(
                    ("site", number, "price_zone"),
                    f'no file has the price of zone {site.price_zone!r}: add prices = "prices.csv" to {self.file.path}',
                )
        if self.given.prices is None:
            return NOTHING_USED
        return self._used(read_series(self._path("prices", self.given.prices)), "price_zone", zones, until)

    def _carbon(self, until: float) -> Used:
        if self.given.carbon is None:
            return NOTHING_USED
        zones = {facts.carbon_zone or facts.price_zone for facts in self.fleet.nodes} - {""}
        series = read_series(self._path("carbon", self.given.carbon), minimum=0)
        return self._used(series, "carbon_zone", zones, until)

    def _used(self, series: Series, key: str, zones: set[str], until: float) -> Used:
        for number, site in enumerate(self.fleet.sites):
            zone = getattr(site, key) or site.price_zone
            if zone in zones and zone not in series.values:
                known = sorted(series.values)
                hint = like(zone, known) or f"; there are {', '.join(known[:30])}"
                more = "; name the one meant with carbon_zone" if key == "carbon_zone" and not site.carbon_zone else ""
                raise self.fleet.file.error(
                    ("site", number, key if getattr(site, key) else "price_zone"),
                    f"zone {zone!r} has no column in {series.source}{hint}{more}",
                )
        return use(series, sorted(zones), self.given.price_gaps, self.start, until)

    def _events(self) -> tuple[Event, ...]:
        names = _Names(
            sites=[site.name for site in self.fleet.sites],
            nodes=[facts.name for facts in self.fleet.nodes],
            regions=sorted(self.fleet.regions),
            zones=sorted({facts.price_zone for facts in self.fleet.nodes} - {""}),
        )
        events = [self._event(number, names) for number in range(len(self.given.event))]
        return tuple(sorted(events, key=lambda event: event.at_s))

    def _event(self, number: int, names: _Names) -> Event:
        given = self.given.event[number].model_dump(exclude_unset=True)
        for key in ("zone", "region", "site", "node"):
            known: list[str] = getattr(names, f"{key}s")
            if key in given and given[key] not in known:
                shown = ", ".join(known[:20]) + ", ..." * (len(known) > 20)
                raise self.file.error(
                    ("event", number, key),
                    f"the fleet has no {key} {given[key]!r}{like(given[key], known)}; there are {shown or 'none'}",
                )
        event = Event(**given | {"kind": EventKind(given["kind"])})
        if event.kind is EventKind.LINK:
            for one, other in ((event.source, event.destination), (event.destination, event.source)):
                if self.network.between(one, other) is None:
                    raise self.file.error(
                        ("event", number, "source"),
                        f"the latency file gives no round trip between {one} and {other}; add the pair",
                    )
        return event


NOTHING_USED = Used(Curves({}), {}, inf)


def _needed_until(jobs: Jobs, nodes: tuple[NodeFacts, ...]) -> float:
    """Seconds from the start by which the last job can have run, at the earliest: so far at least prices are used."""
    if not len(jobs):
        return 0.0
    rates = {
        (facts.hashes_per_s, facts.requests_per_s, facts.prefill_tokens_per_s, facts.tokens_per_s) for facts in nodes
    }
    least = np.full(len(jobs), inf)
    hashing = jobs.kind == Kind.HASH
    for hashes_per_s, *inference in rates:
        if hashes_per_s:
            np.minimum(least, jobs.units / hashes_per_s, out=least, where=hashing)
        if any(inference):
            np.minimum(least, _inference_s(jobs, *inference), out=least, where=~hashing)
    least[np.isinf(least)] = 0.0  # nobody can do these
    return float((jobs.arrival_s + least).max())


def _inference_s(jobs: Jobs, requests_per_s: float, prefill_tokens_per_s: float, tokens_per_s: float) -> Floats:
    seconds = np.full(len(jobs), 1 / requests_per_s if requests_per_s else 0.0)
    if prefill_tokens_per_s:
        seconds += jobs.context_tokens / prefill_tokens_per_s
    if tokens_per_s:
        seconds += jobs.units / tokens_per_s
    return seconds


def _predicted_pairs(network: Network, origins: tuple[str, ...], regions: frozenset[str]) -> int:
    """Pairs that answers may travel between and the latency file lacks."""
    here = network.coordinator_region
    pairs = {
        frozenset(pair)
        for pair in [(here, r) for r in {*origins, *regions}] + [(o, r) for o in origins for r in regions]
    }
    return sum(network.between(min(pair), max(pair)) is None for pair in pairs)
