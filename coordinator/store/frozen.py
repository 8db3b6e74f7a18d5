"""Facts and worlds as text: what the turn log refers to by version and by digest."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import asdict
from math import inf
from typing import Any

from placement.cost import Money, World
from placement.energy import Curves
from placement.model import NodeFacts, NodeState, Path
from placement.network import Network


def facts_to_text(facts: NodeFacts) -> str:
    """JSON; an unlimited bandwidth is null."""
    values = asdict(facts)
    values["state"] = int(facts.state)
    values["bandwidth_mbps"] = None if facts.bandwidth_mbps == inf else facts.bandwidth_mbps
    return json.dumps(values, separators=(",", ":"))


def facts_from_text(text: str) -> NodeFacts:
    values: dict[str, Any] = json.loads(text)
    values["state"] = NodeState(values["state"])
    if values["bandwidth_mbps"] is None:
        values["bandwidth_mbps"] = inf
    return NodeFacts(**values)


def world_to_bytes(world: World) -> bytes:
    """Compressed JSON: curves, round trips and the operator's own prices."""
    network = world.network
    document = {
        "prices": world.prices.to_steps(),
        "carbon": world.carbon.to_steps(),
        "region": network.coordinator_region,
        "rtt_ms": [[*pair, rtt] for pair, rtt in sorted(network.rtt_ms.items())],
        "money": asdict(world.money),
        "path": world.path.value,
    }
    return zlib.compress(json.dumps(document).encode(), 1)


def world_from_bytes(data: bytes) -> World:
    document = json.loads(zlib.decompress(data))
    return World(
        prices=Curves(document["prices"]),
        carbon=Curves(document["carbon"]),
        network=Network(document["region"], {(a, b): rtt for a, b, rtt in document["rtt_ms"]}),
        money=Money(**document["money"]),
        path=Path(document["path"]),
    )


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
