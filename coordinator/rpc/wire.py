"""The coordinator's half of the border with nodes: their messages to our values, our leases to messages."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.judging import Report
from coordinator.lifecycle import AttemptEvent
from coordinator.orders import PRICE_AT_MOST
from coordinator.work import Attempt, Found, HashWork
from placement.model import NodeFacts
from protos import nodes_pb2, types_pb2

OUTCOMES = {
    nodes_pb2.OUTCOME_DONE: AttemptEvent.DONE,
    nodes_pb2.OUTCOME_FAILED: AttemptEvent.FAILED,
    nodes_pb2.OUTCOME_RELEASED: AttemptEvent.RELEASED,
}
TEXT_AT_MOST = 256
SLOTS_AT_MOST = 4096
WATTS_AT_MOST = 1e7  # of one node
RATE_AT_MOST = 1e18
ASSUMED_USD_PER_KWH = 0.15  # of a node that declares no price: a common tariff, so that silence is never the cheapest


class Malformed(ValueError):
    """A message whose parts do not fit together."""


def facts(message: nodes_pb2.NodeFacts) -> NodeFacts:
    """What a node declares. Raises `Malformed` for what no machine can be."""
    if not message.name or not 1 <= message.slots <= SLOTS_AT_MOST:
        raise Malformed(f"a node needs a name and 1 to {SLOTS_AT_MOST} slots")
    for name, value, least, most in (
        ("idle_watts", message.idle_watts, 0.0, message.max_watts),
        ("max_watts", message.max_watts, 0.0, WATTS_AT_MOST),
        ("pue", message.pue or 1.0, 1.0, 10.0),
        ("price_usd_per_kwh", message.price_usd_per_kwh, -PRICE_AT_MOST, PRICE_AT_MOST),
        ("hashes_per_s", message.hashes_per_s or 1.0, 1.0, RATE_AT_MOST),
        ("max_hashes_per_s", message.max_hashes_per_s, 0.0, RATE_AT_MOST),
        ("extra_delay_ms", message.extra_delay_ms, 0.0, 60_000.0),
    ):
        if not least <= value <= most:  # false for what is no number as well
            raise Malformed(f"{name} of {value:g} is not between {least:g} and {most:g}")
    site = text(message.site) or text(message.name)
    return NodeFacts(
        name=text(message.name),
        site=site,
        region=text(message.region) or site,
        operator=text(message.operator),
        hub=message.hub,
        price_zone=text(message.price_zone),
        price_usd_per_kwh=(message.price_usd_per_kwh if message.HasField("price_usd_per_kwh") else ASSUMED_USD_PER_KWH),
        pue=message.pue or 1.0,
        idle_watts=message.idle_watts,
        max_watts=message.max_watts,
        slots=message.slots,
        keep_private=message.keep_private,
        hashes_per_s=message.hashes_per_s,
        extra_delay_s=message.extra_delay_ms / 1e3,
        max_hashes_per_s=message.max_hashes_per_s,
        energy_measured=message.energy_measured,
    )


def text(told: str) -> str:
    """A peer's words, short and without control characters."""
    return "".join(c if c.isprintable() else "?" for c in told[:TEXT_AT_MOST])


def reports(message: nodes_pb2.Reports) -> Iterator[Report]:
    """The reports in a message. Raises `Malformed` where its columns differ in length."""
    n = len(message.epochs)
    columns = (message.outcomes, message.units_done, message.run_us, message.energy_microjoules)
    if any(len(column) != n for column in columns):
        raise Malformed("the columns of a report differ in length")
    nonces = {found.position: tuple(found.nonces) for found in message.found}
    errors = {one.position: text(one.error) for one in message.errors}
    for position, (epoch, outcome, units, run_us, energy) in enumerate(zip(message.epochs, *columns, strict=True)):
        yield Report(
            epoch,
            OUTCOMES.get(outcome, AttemptEvent.FAILED),
            units,
            run_us,
            energy,
            message.energy_measured,
            nonces.get(position, ()),
            errors.get(position, ""),
        )


def assign(attempts: list[Attempt]) -> nodes_pb2.CoordinatorMessage:
    """Tasks for a node, in columns; what many tasks share is told once."""
    message = nodes_pb2.CoordinatorMessage()
    columns = message.assign
    shared: dict[tuple[bytes, bytes, bool, int], int] = {}
    works: list[int] = []
    starts: list[int] = []
    for attempt in attempts:
        piece = attempt.piece
        work, item = piece.job.submission.work, piece.job.item
        if not isinstance(work, HashWork):
            raise TypeError("only searches are dispatched over the wire so far")
        same = (work.header(item), work.target(item), work.find_all, piece.job.submission.wishes.priority)
        if same not in shared:
            shared[same] = len(shared)
            columns.work.add(header=same[0], target=same[1], find_all=same[2], priority=same[3])
        works.append(shared[same])
        starts.append(work.start(item) + piece.start)
    columns.works.extend(works)
    columns.epochs.extend([attempt.epoch for attempt in attempts])
    columns.nonce_starts.extend(starts)
    columns.nonce_counts.extend([attempt.piece.units for attempt in attempts])
    return message


def found(one: Found) -> types_pb2.FoundNonce:
    return types_pb2.FoundNonce(nonce=one.nonce, hash=one.hash)
