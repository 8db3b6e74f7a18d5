"""The four places of the demo, all of them this machine: what each is said to be, to pay and to draw.

Distances are injected (real delay on the node's traffic), speeds are braked, watts and prices are stated. The work,
its answers and every measured second are real.
"""

from dataclasses import dataclass

ORIGIN = "Paris"  # where the answers are wanted; the coordinator stands there as well


@dataclass(frozen=True, slots=True)
class Place:
    """One node, alone at its site; both carry the same name."""

    name: str
    region: str
    tier: str
    what: str
    price_usd_per_kwh: float
    pue: float
    slots: int
    idle_watts: float
    max_watts: float
    hashes_per_s: float  # of a slot, braked
    delay_ms: float  # round trip, injected

    def arguments(self) -> list[str]:
        """For `edgeward node`."""
        flags = {
            "name": self.name,
            "site": self.name,
            "region": self.region,
            "tier": self.tier,
            "price-usd-per-kwh": self.price_usd_per_kwh,
            "pue": self.pue,
            "slots": self.slots,
            "idle-watts": self.idle_watts,
            "max-watts": self.max_watts,
            "max-hashes-per-s": self.hashes_per_s,
            "extra-delay-ms": self.delay_ms,
        }
        return [f"--{flag}={value}" for flag, value in flags.items()]


# The speeds add up to about three quarters of one core, so that two cores play all four without crowding each other.
PLACES = (
    Place("dam", "SaoPaulo", "hub", "a hall beside a dam", 0.03, 1.1, 3, 90, 270, 120_000, 180),
    Place("city", "Frankfurt", "hub", "a hall in a city", 0.16, 1.3, 2, 60, 160, 80_000, 40),
    Place("paris", "Paris", "edge", "an edge box", 0.27, 1.0, 1, 10, 65, 120_000, 2),
    Place("lyon", "Lyon", "edge", "a smaller edge box", 0.24, 1.0, 1, 8, 38, 60_000, 8),
)
