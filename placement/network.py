"""Round trips: measured where they were measured, else from a table of regions, else predicted, and said so.

All in seconds. The coordinator stands in one region; nodes and origins stand in regions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from placement.energy import Floats, Ints
from placement.fleet_table import NodeTable
from placement.model import Path, RttSource

WITHIN_REGION_S = 0.001


class Network:
    """What is known of round trips between regions, and where the coordinator stands. Immutable."""

    def __init__(self, coordinator_region: str, rtt_ms: Mapping[tuple[str, str], float] | None = None) -> None:
        """`rtt_ms`: (source region, destination region) -> round trip; one way given holds both ways."""
        self.coordinator_region = coordinator_region
        self.rtt_ms = dict(rtt_ms or {})
        self._seconds: dict[tuple[str, str], float] = {}
        for (source, destination), milliseconds in self.rtt_ms.items():
            self._seconds[source, destination] = milliseconds / 1e3
            if (destination, source) not in self.rtt_ms:
                self._seconds[destination, source] = milliseconds / 1e3
        self.regions: frozenset[str] = frozenset(region for pair in self._seconds for region in pair)

    def between(self, source: str, destination: str) -> float | None:
        """The table's round trip between two regions; 1 ms within one unless the table says otherwise."""
        known = self._seconds.get((source, destination))
        if known is None and source == destination:
            return WITHIN_REGION_S
        return known

    def knows(self, region: str, table: NodeTable) -> bool:
        """Whether a region can be an origin: the table has it, a node stands there, or the coordinator does."""
        return region == self.coordinator_region or region in self.regions or region in table.regions

    def coordinator_legs(self, table: NodeTable) -> tuple[Floats, Ints]:
        """Round trip coordinator - node for every node, and how each is known."""
        legs = table.coordinator_rtt_s.copy()
        sources = np.full(len(legs), int(RttSource.MEASURED), dtype=np.int64)
        sources[table.extra_delay_s > 0] = int(RttSource.INJECTED)
        for i in np.flatnonzero(np.isnan(legs)):
            known = self.between(self.coordinator_region, table.region_names[i])
            legs[i] = WITHIN_REGION_S if known is None else known
            sources[i] = int(RttSource.PREDICTED if known is None else RttSource.TABLE)
        return legs, sources

    def to_coordinator(self, origin: str, table: NodeTable) -> float:
        """Round trip origin - coordinator: the table's, else the least measured to a node in the origin's region."""
        known = self.between(origin, self.coordinator_region)
        if known is not None:
            return known
        neighbours = table.coordinator_rtt_s[table.in_region(origin)]
        neighbours = neighbours[~np.isnan(neighbours)]
        return float(neighbours.min()) if len(neighbours) else WITHIN_REGION_S

    def path(self, origin: str, path: Path, table: NodeTable) -> tuple[Floats, Ints]:
        """Round trip that an answer really travels from every node to `origin`, and how each is known.

        Relayed: origin - coordinator plus coordinator - node. Direct: origin - node; a pair that the table lacks is
        predicted by way of the coordinator, which by the triangle is at least as long as the way itself would be.
        """
        legs, sources = self.coordinator_legs(table)
        if path is Path.RELAYED:
            return self.to_coordinator(origin, table) + legs, sources
        direct = self.to_coordinator(origin, table) + legs
        sources = np.full(len(legs), int(RttSource.PREDICTED), dtype=np.int64)
        for region in table.regions:
            known = self.between(origin, region)
            if known is not None:
                here = table.in_region(region)
                direct[here] = known + table.extra_delay_s[here]
                sources[here] = int(RttSource.TABLE)
        sources[table.extra_delay_s > 0] = int(RttSource.INJECTED)
        return direct, sources
