"""The node's half of the border, walked in both directions."""

from __future__ import annotations

import pytest

from node.executor.port import HashTask
from node.messages import (
    Announcement,
    Assign,
    Draining,
    Fenced,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Offer,
    Report,
    Reports,
    ReportsAck,
    Revoke,
    Welcome,
)
from node.wire import Malformed, decode, encode
from protos import nodes_pb2 as pb
from tests.node.world import FACTS


def test_hello_carries_every_fact_under_its_own_name() -> None:
    hello = encode(Hello(FACTS, (1, 2), (3,), 2**64 - 1)).hello
    assert {name: getattr(hello.facts, name) for name in FACTS._fields} == FACTS._asdict()
    assert {field.name for field in pb.NodeFacts.DESCRIPTOR.fields} == set(FACTS._fields)
    assert (list(hello.held_epochs), list(hello.reporting_epochs)) == ([1, 2], [3])
    assert hello.incarnation == 2**64 - 1


def test_price_that_is_not_declared_is_absent() -> None:
    silent = FACTS._replace(price_usd_per_kwh=None)
    assert not encode(Hello(silent, (), (), 1)).hello.facts.HasField("price_usd_per_kwh")


def test_reports_become_columns_with_sparse_nonces_and_errors() -> None:
    reports = (
        Report(5, "done", 100, 7, 3, 70, (), ""),
        Report(6, "done", 10, 8, 4, 80, (42, 43), ""),
        Report(7, "failed", 0, 1, 1, 10, (), "bad header"),
        Report(8, "released", 50, 2, 2, 20, (), ""),
    )
    message = encode(Reports(9, reports, False)).reports
    assert message.last_report == 9
    assert list(message.epochs) == [5, 6, 7, 8]
    assert list(message.outcomes) == [pb.OUTCOME_DONE, pb.OUTCOME_DONE, pb.OUTCOME_FAILED, pb.OUTCOME_RELEASED]
    assert list(message.units_done) == [100, 10, 0, 50]
    assert (list(message.run_us), list(message.waited_us)) == ([7, 8, 1, 2], [3, 4, 1, 2])
    assert list(message.energy_microjoules) == [70, 80, 10, 20]
    assert [(found.position, list(found.nonces)) for found in message.found] == [(1, [42, 43])]
    assert [(error.position, error.error) for error in message.errors] == [(2, "bad header")]


def test_small_messages_keep_their_fields() -> None:
    beat = encode(Heartbeat(3, 1, 2, 400, (9,), (77,))).heartbeat
    assert (beat.beat, beat.running, beat.waiting, beat.rtt_us) == (3, 1, 2, 400)
    assert (list(beat.epochs), list(beat.units_done)) == ([9], [77])
    assert encode(Draining(True)).draining.on
    offer = encode(Offer(1, 2, 3, 4, 5, 0.25, 6)).offer
    assert (offer.announcement, offer.running, offer.waiting, offer.free_slots) == (1, 2, 3, 4)
    assert (offer.queued_us, offer.price_usd_per_kwh, offer.price_age_ms) == (5, 0.25, 6)


def test_assign_becomes_one_task_a_row_with_what_many_share() -> None:
    assign = pb.Assign(
        work=[
            pb.HashShared(header=b"a" * 76, target=b"t" * 32, find_all=False),
            pb.HashShared(header=b"b" * 76, target=b"u" * 32, find_all=True),
        ],
        works=[0, 1, 0],
        epochs=[10, 11, 12],
        nonce_starts=[0, 5, 2**32 - 1],
        nonce_counts=[2**32, 6, 1],
    )
    assert decode(pb.CoordinatorMessage(assign=assign)) == Assign(
        [
            HashTask(10, b"a" * 76, b"t" * 32, 0, 2**32, False),
            HashTask(11, b"b" * 76, b"u" * 32, 5, 6, True),
            HashTask(12, b"a" * 76, b"t" * 32, 2**32 - 1, 1, False),
        ]
    )


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (pb.CoordinatorMessage(welcome=pb.Welcome(heartbeat_ms=2000, lease_ms=10_000)), Welcome(2000, 10_000)),
        (pb.CoordinatorMessage(heartbeat_ack=pb.HeartbeatAck(beat=4)), HeartbeatAck(4)),
        (pb.CoordinatorMessage(revoke=pb.Revoke(epochs=[1, 2])), Revoke((1, 2))),
        (pb.CoordinatorMessage(reports_ack=pb.ReportsAck(last_report=8)), ReportsAck(8)),
        (pb.CoordinatorMessage(announcement=pb.Announcement(announcement=3)), Announcement(3)),
        (pb.CoordinatorMessage(fenced=pb.Fenced(reason="again")), Fenced("again")),
        (pb.CoordinatorMessage(assign=pb.Assign()), Assign([])),
        (pb.CoordinatorMessage(), None),  # of a newer coordinator
    ],
)
def test_coordinator_message_becomes_its_value(message: pb.CoordinatorMessage, value: object) -> None:
    assert decode(message) == value


@pytest.mark.parametrize(
    "message",
    [
        pb.CoordinatorMessage(assign=pb.Assign(epochs=[1], works=[0], nonce_starts=[0], nonce_counts=[1])),
        pb.CoordinatorMessage(assign=pb.Assign(work=[pb.HashShared()], epochs=[1], works=[0], nonce_starts=[0])),
        pb.CoordinatorMessage(welcome=pb.Welcome(heartbeat_ms=2000, lease_ms=2000)),
        pb.CoordinatorMessage(welcome=pb.Welcome(heartbeat_ms=0, lease_ms=2000)),
    ],
)
def test_message_that_contradicts_itself_is_refused(message: pb.CoordinatorMessage) -> None:
    with pytest.raises(Malformed):
        decode(message)
