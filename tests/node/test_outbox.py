"""Reports are numbered without gaps, cut to messages that fit, and forgotten only when acknowledged."""

from __future__ import annotations

from node.messages import Report
from node.outbox import MESSAGE_BYTES, Outbox


def report(epoch: int, nonces: int = 0, error: str = "") -> Report:
    return Report(epoch, "done", 1, 1, 1, 1, tuple(range(nonces)), error)


def test_messages_of_many_reports_stay_small_and_keep_the_numbers() -> None:
    outbox = Outbox(energy_measured=False)
    outbox.add([report(1)])
    messages = outbox.add([report(epoch) for epoch in range(2, 30_002)])
    assert len(messages) > 1
    numbered = [
        (number, each.epoch)
        for message in messages
        for number, each in enumerate(message.reports, message.last_report - len(message.reports) + 1)
    ]
    assert numbered == [(number, number) for number in range(2, 30_002)]


def test_report_with_more_nonces_than_a_message_should_hold_travels_alone() -> None:
    huge = report(2, nonces=MESSAGE_BYTES // 4)
    messages = Outbox(energy_measured=False).add([report(1), huge, report(3)])
    assert [[each.epoch for each in message.reports] for message in messages] == [[1], [2], [3]]


def test_acknowledgement_forgets_up_to_its_number_and_not_beyond() -> None:
    outbox = Outbox(energy_measured=True)
    outbox.add([report(10), report(20), report(30)])
    outbox.acknowledge(2)
    assert outbox.epochs() == (30,)
    outbox.acknowledge(1)
    outbox.acknowledge(99)
    assert len(outbox) == 0
    (message,) = outbox.add([report(40)])
    assert message.last_report == 4


def test_report_sent_again_has_the_number_it_had() -> None:
    outbox = Outbox(energy_measured=False)
    outbox.add([report(10), report(20), report(30)])
    outbox.acknowledge(1)
    (message,) = outbox.again([20])
    assert (message.last_report, message.reports[0].epoch) == (2, 20)
