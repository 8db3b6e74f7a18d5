"""Stories of one agent: what it does when work comes, links break, leases end and people want it gone."""

from __future__ import annotations

import pytest

from node.actions import Cause, HangUp
from node.agent import MAX_OPEN, Agent
from node.executor.port import Ended
from node.messages import Announcement, Assign, Draining, Fenced, Heartbeat, Offer, Reports, ReportsAck, Revoke
from tests.node.world import FACTS, HEARTBEAT_S, LEASE_S, SECOND, World, task


@pytest.fixture
def world() -> World:
    """Connected and welcomed."""
    world = World()
    world.connect()
    return world


def test_task_assigned_runs_and_is_reported_with_its_energy(world: World) -> None:
    world.assign(11)
    world.end(11)
    world.talk()
    (report,) = world.reports.values()
    assert (report.epoch, report.outcome, report.units_done, report.nonces) == (11, "done", 1000, (42,))
    assert report.energy_microjoules == 10 * 5 * SECOND  # (30 - 10) W over 2 slots, for 5 s
    assert world.acknowledged == 1


def test_reports_of_one_pass_go_out_as_one_message(world: World) -> None:
    world.assign(*range(50))
    world.sent.clear()
    world.end(*range(50))
    (message,) = world.sent
    assert isinstance(message, Reports)
    assert message.last_report == 50


def test_heartbeats_go_out_on_time_and_carry_progress_and_the_round_trip(world: World) -> None:
    world.assign(1, 2, 3)
    world.sent.clear()
    world.wait(HEARTBEAT_S)
    (beat,) = world.sent
    assert isinstance(beat, Heartbeat)
    assert (beat.running, beat.waiting) == (2, 1)
    assert dict(zip(beat.epochs, beat.units_done, strict=True)) == {1: 10, 2: 10}
    world.now_us += 30_000
    world.talk()
    world.wait(HEARTBEAT_S)
    last = world.sent[-1]
    assert isinstance(last, Heartbeat)
    assert last.rtt_us == 30_000


def test_lease_counts_from_when_the_acknowledged_beat_was_sent(world: World) -> None:
    world.wait_and_talk(HEARTBEAT_S)
    sent_us = max(world.beat_sent.values())
    world.assign(1)
    world.now_us = sent_us + LEASE_S * SECOND - 1
    world.act(world.agent.tick(world.now_us, {}))
    assert not world.stopped
    world.now_us += 1
    world.act(world.agent.tick(world.now_us, {}))
    assert world.stopped == {1}


def test_lease_that_ends_unheard_stops_all_and_the_covered_range_is_told_later(world: World) -> None:
    world.assign(1, 2, 3)
    world.cut()
    world.wait(LEASE_S)
    world.executor_obeys()
    assert not world.running
    world.connect()
    assert world.outcomes() == {1: "released", 2: "released", 3: "released"}
    assert {report.units_done for report in world.reports.values()} == {100}


def test_short_cut_loses_nothing_and_hello_names_what_is_held(world: World) -> None:
    world.assign(1, 2)
    world.cut()
    world.end(2)
    world.wait(3)
    world.connect()
    assert world.last_hello().held_epochs == (1,)
    assert world.last_hello().reporting_epochs == (2,)
    assert world.outcomes() == {2: "done"}
    world.end(1)
    world.talk()
    assert world.outcomes() == {1: "done", 2: "done"}


def test_report_whose_ack_was_lost_is_repeated_unchanged(world: World) -> None:
    world.assign(1)
    world.end(1)
    world.hear_one()  # the coordinator has it; its acknowledgement dies with the stream
    world.cut()
    world.wait(1)
    world.connect()
    assert [message.last_report for message in world.sent if isinstance(message, Reports)] == [1, 1]
    assert len(world.reports) == 1


def test_report_that_was_acknowledged_is_not_repeated(world: World) -> None:
    world.assign(1)
    world.end(1)
    world.talk()
    world.cut()
    world.connect()
    assert world.last_hello().reporting_epochs == ()
    assert len([message for message in world.sent if isinstance(message, Reports)]) == 1


def test_task_that_arrives_after_the_lease_is_released_untouched(world: World) -> None:
    world.now_us += LEASE_S * SECOND
    world.assign(9)
    world.talk()
    assert world.started == []
    assert world.outcomes() == {9: "released"}


def test_assign_of_what_is_held_changes_nothing(world: World) -> None:
    world.assign(1)
    world.assign(1)
    assert world.started == [1]


def test_assign_of_what_ended_sends_its_report_again(world: World) -> None:
    world.assign(1, 2)
    world.end(2)
    world.end(1)
    world.sent.clear()
    world.assign(1)
    (message,) = world.sent
    assert isinstance(message, Reports)
    assert (message.last_report, message.reports[0].epoch) == (2, 1)
    assert world.started == [1, 2]


def test_assign_over_the_old_stream_after_the_second_said_hello_is_released(world: World) -> None:
    world.dial()
    world.assign(5)
    assert world.started == []
    world.talk()
    assert world.outcomes() == {5: "released"}


def test_second_stream_given_up_leaves_the_first_in_charge(world: World) -> None:
    world.dial()
    world.give_up_dial()
    world.assign(5)
    assert world.started == [5]


def test_first_stream_breaks_while_the_second_waits_and_the_second_takes_over(world: World) -> None:
    world.assign(5)
    world.dial()
    world.cut()
    world.end(5)
    world.talk()
    assert world.wire is not None
    assert world.outcomes() == {5: "done"}


def test_revoke_of_a_running_task_reports_how_far_it_came(world: World) -> None:
    world.assign(1)
    world.arrive(Revoke((1,)))
    world.arrive(Revoke((1,)))
    world.executor_obeys()
    world.talk()
    assert world.outcomes() == {1: "released"}


def test_revoke_of_a_task_never_seen_is_released_with_nothing_done(world: World) -> None:
    world.arrive(Revoke((77, 77)))
    world.talk()
    assert world.outcomes() == {77: "released"}
    assert world.reports[1].units_done == 0


def test_revoke_that_crosses_a_report_does_not_contradict_it(world: World) -> None:
    world.assign(1)
    world.end(1)
    world.arrive(Revoke((1,)))
    world.talk()
    assert world.outcomes() == {1: "done"}


def test_executor_that_ends_a_task_twice_is_heard_once(world: World) -> None:
    world.assign(1)
    world.end(1)
    world.act(world.agent.ended([Ended(1, "released", 0, 0, 0, (), "")], world.now_us))
    world.talk()
    assert world.outcomes() == {1: "done"}


def test_drain_hands_back_what_is_here_and_leaves_when_it_is_acknowledged(world: World) -> None:
    world.assign(1, 2, 3)
    world.drain()
    assert Draining(True) in world.sent
    world.executor_obeys()
    assert world.quit is None
    world.assign(4)
    world.talk()
    assert world.outcomes() == {1: "released", 2: "released", 3: "released", 4: "released"}
    assert world.started == [1, 2, 3]
    assert world.quit is not None
    assert world.quit.cause is Cause.DRAINED


def test_drain_with_nothing_here_leaves_at_once(world: World) -> None:
    world.drain()
    assert world.quit is not None
    assert world.quit.cause is Cause.DRAINED


def test_drain_without_a_link_waits_for_it_and_says_so_again(world: World) -> None:
    world.assign(1)
    world.cut()
    world.drain(grace_s=5)
    world.executor_obeys()
    world.wait(2)
    assert world.quit is None
    world.sent.clear()
    world.connect()
    assert Draining(True) in world.sent
    assert world.quit is not None
    assert world.quit.cause is Cause.DRAINED


def test_drain_that_nobody_acknowledges_ends_with_its_grace(world: World) -> None:
    world.assign(1)
    world.cut()
    world.drain(grace_s=5)
    world.executor_obeys()
    world.wait(5)
    assert world.quit is not None
    assert world.quit.cause is Cause.GRACE
    assert "1 reports not acknowledged" in world.quit.sentence


def test_fenced_agent_stops_all_and_says_no_more(world: World) -> None:
    world.assign(1)
    world.arrive(Fenced("started again on another machine"))
    assert world.stopped == {1}
    assert world.quit is not None
    assert world.quit.cause is Cause.FENCED
    world.end(1)
    world.wait(10)


def test_announcement_is_answered_with_the_facts_of_this_moment(world: World) -> None:
    world.assign(1, 2, 3, units=500)
    world.wait_and_talk(HEARTBEAT_S)  # progress: 10 units of each of the two that run
    world.arrive(Announcement(4))
    offer = world.sent[-1]
    assert offer == Offer(4, 2, 1, 0, (3 * 500 - 20) * SECOND // 1000, FACTS.price_usd_per_kwh, 0)


def test_coordinator_that_never_acknowledges_is_hung_up_on(world: World) -> None:
    agent: Agent = world.agent
    agent.received(Assign([task(epoch) for epoch in range(MAX_OPEN)]), world.now_us)
    (action,) = agent.received(Assign([task(MAX_OPEN)]), world.now_us)
    assert isinstance(action, HangUp)
    agent.ended([Ended(epoch, "done", 1, 1, 1, (), "") for epoch in range(MAX_OPEN)], world.now_us)
    agent.received(ReportsAck(1), world.now_us)
    assert not any(isinstance(a, HangUp) for a in agent.received(Assign([task(MAX_OPEN)]), world.now_us))


def test_error_of_an_engine_is_cut_to_a_length_that_fits_the_wire(world: World) -> None:
    world.assign(1)
    world.running.clear()
    world.act(world.agent.ended([Ended(1, "failed", 0, 1, 1, (), "x" * 10_000)], world.now_us))
    world.talk()
    assert len(world.reports[1].error) == 256
