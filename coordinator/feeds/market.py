"""From the configuration's files to the `World` that placing knows, and the sentences about what is wrong with them."""

from dataclasses import dataclass
from pathlib import Path

from coordinator.config import Config
from coordinator.errors import InvalidConfiguration
from coordinator.feeds.file import read_latency, read_series
from coordinator.feeds.series import Gaps, Series, Steps
from placement.cost import Money, World
from placement.energy import Curves
from placement.network import Network

NOWHERE = "local"  # the region of a coordinator that names none


@dataclass(frozen=True)
class Market:
    """What the feeds said when they were read. Read again, it is a new one."""

    world: World
    prices: Series | None
    carbon: Series | None
    held: dict[str, int]  # price zone: rows without a price, bridged by the last; only zones with any

    def note(self, price_zone: str, now: float) -> str:
        """What an operator should know of a zone's price at `now` (unix seconds); empty when all is well."""
        if self.prices is None or price_zone not in self.world.prices.zones:
            return ""
        count = self.held.get(price_zone, 0)
        bridged = f"no price of its own in {count} row{'s' * (count > 1)}, the last one stands" if count else ""
        return "; ".join(filter(None, [self.prices.note(now), bridged]))


def read_market(config: Config, now: float) -> Market:
    """Read the files that the configuration names, as far as they matter from `now` on (unix seconds).

    Zones that `[[site]]` tables name must be there. The others are for nodes that declare one; of those, a zone with
    gaps that the policy refuses is left out. Raises InvalidConfiguration.
    """
    prices = read_series(config.prices) if config.prices else None
    carbon = read_series(config.carbon, minimum=0) if config.carbon else None
    price_zones = {site.price_zone for site in config.site if site.price_zone}
    carbon_zones = {site.carbon_zone for site in config.site if site.carbon_zone}
    price_steps = _steps(prices, price_zones, config.price_gaps, now)
    world = World(
        prices=Curves(price_steps.curves),
        carbon=Curves(_steps(carbon, carbon_zones, config.price_gaps, now).curves),
        network=_network(config.region, config.latency),
        money=Money(**config.money.model_dump()),
    )
    return Market(world, prices, carbon, price_steps.held)


def _steps(series: Series | None, named: set[str], gaps: Gaps, now: float) -> Steps:
    if series is None:
        return Steps({}, {})
    series.note(now)  # refuses a file that has not begun, whether or not anybody named a zone of it
    steps = series.steps(sorted(named), gaps, since=now)
    for zone in sorted(series.values.keys() - named):
        _add_if_whole(steps, series, zone, gaps, now)
    return steps


def _add_if_whole(steps: Steps, series: Series, zone: str, gaps: Gaps, now: float) -> None:
    try:
        one = series.steps([zone], gaps, since=now)
    except InvalidConfiguration:
        return  # nobody named it, so its gaps are nobody's mistake; a node that declares it is told there is no price
    steps.curves.update(one.curves)
    steps.held.update(one.held)


def _network(region: str | None, latency: Path | None) -> Network:
    return Network(region or NOWHERE, read_latency(latency) if latency else None)
