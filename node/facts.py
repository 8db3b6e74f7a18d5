"""What this machine is: as configured, as measured by the executor, as the system tells."""

from __future__ import annotations

from importlib.metadata import version

import psutil

from node.config import NodeConfig
from node.executor.port import Capability
from node.messages import Facts


def gather(config: NodeConfig, capability: Capability, *, energy_measured: bool) -> Facts:
    return Facts(
        name=config.name,
        site=config.site,
        region=config.region,
        operator=config.operator,
        hub=config.tier == "hub",
        price_zone=config.price_zone or "",
        price_usd_per_kwh=config.price_usd_per_kwh,
        pue=config.pue,
        idle_watts=config.idle_watts,
        max_watts=config.max_watts,
        slots=capability.slots,
        keep_private=config.keep_private,
        hashes_per_s=capability.hashes_per_s,
        energy_measured=energy_measured,
        extra_delay_ms=config.extra_delay_ms,
        max_hashes_per_s=config.max_hashes_per_s,
        memory_bytes=psutil.virtual_memory().total,
        version=version("edgeward"),
    )
