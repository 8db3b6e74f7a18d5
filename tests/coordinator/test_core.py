"""The synchronous coordinator: what a submit, a report, an order and the passing of time do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator import settlement
from coordinator.coordinator import Report
from coordinator.errors import InvalidSubmission, KeyConflict, UnknownName
from coordinator.lifecycle import AttemptEvent
from coordinator.ordering import Order, carry_out
from coordinator.planning import Planned, outdated, plan
from coordinator.reading import Reading
from placement.feasible import Survey
from placement.model import AttemptState, JobState, NodeState
from placement.strategy import load
from tests.builders import GRAIN, TRIVIAL, Running, coordinator, node, submission

CHEAP = node("cheap", price_usd_per_kwh=0.03)
DEAR = node("dear", price_usd_per_kwh=0.30)


def settled_state(running: Running, number: int = 1) -> JobState:
    (found,) = running.store.settled([number])
    return found.state


def report_run(running: Running, epoch: int, units: int, run_us: int, **told: object) -> None:
    name = next(name for name, member in running.core.members.items() if epoch in member.live)
    one = Report(epoch, AttemptEvent.DONE, units, run_us, -1, False)
    running.core.report(name, [replace_report(one, told)], running.now)


def replace_report(one: Report, told: dict[str, object]) -> Report:
    return one._replace(**told)  # type: ignore[arg-type]


# -- submitting


def test_submit_with_the_same_key_and_body_is_the_same_jobs_and_another_body_a_conflict() -> None:
    running = coordinator(None, CHEAP)
    first = running.core.submit(submission("k", units=5), running.now)
    running.turn()
    again = running.core.submit(submission("k", units=5), running.now, running.store.submission_of_key("client", "k"))
    assert not isinstance(first, Survey) and not isinstance(again, Survey)
    assert again.repeated and again.submission.first == first.submission.first
    with pytest.raises(KeyConflict, match="take a new key"):
        running.core.submit(submission("k", units=6), running.now, running.store.submission_of_key("client", "k"))


def test_submit_that_no_registered_node_could_run_is_refused_with_what_would_admit_it() -> None:
    running = coordinator(None, CHEAP)
    refused = running.core.submit(submission(keep_in=["Mars"]), running.now)
    assert isinstance(refused, Survey)
    assert "Paris is not in Mars" in refused.reason
    assert refused.survivors[-2:] == (("residency", 0), ("private", 0))
    assert "Paris" in refused.relaxation


def test_submit_before_any_node_waits_and_runs_when_one_joins() -> None:
    running = coordinator()
    running.core.submit(submission(), running.now)
    running.turn()
    (job,) = running.core.jobs.values()
    assert running.core.waiting_for(job) == "a node to join"
    running.join(CHEAP)
    running.turn()
    assert running.live() == [("cheap", 1)]


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"origin": "Nowhere"}, "no region is called 'Nowhere'"),
        ({"priority": 101}, "not between -100 and 100"),
        ({"objective_ms": -1.0}, "objective_ms must be a number that is not negative"),
        ({"replicas": 2}, "more than one replica is not offered yet"),
    ],
)
def test_submit_that_makes_no_sense_changes_nothing(wish: dict[str, object], sentence: str) -> None:
    running = coordinator(None, CHEAP)
    with pytest.raises(InvalidSubmission, match=sentence):
        running.core.submit(submission(**wish), running.now)  # type: ignore[arg-type]
    assert not running.core.jobs and not running.core.turn.submissions


def test_higher_priority_is_placed_first_whatever_came_before() -> None:
    running = coordinator(None, replace(CHEAP, hub=True))
    running.core.set_strategy("hub")  # holds what has no slot
    for key, priority in (("first", 0), ("low", -1), ("high", 5), ("second", 0)):
        running.core.submit(submission(key, priority=priority), running.now)
    order = []
    for _ in range(4):
        running.turn()
        ((_, epoch),) = running.live()
        order.append(running.core.members["cheap"].live[epoch].piece.job.submission.key)
        running.report(epoch)
    assert order == ["high", "first", "second", "low"]


def test_deadline_that_passes_settles_as_expired_and_stops_what_runs() -> None:
    running = coordinator(None, CHEAP)
    running.core.submit(submission(deadline_s=5.0), running.now)
    running.turn()
    turn = running.turn(passed_s=5.0)
    assert settled_state(running) is JobState.EXPIRED
    assert turn.revoke == {"cheap": [1]}


def test_job_that_cannot_be_done_by_its_deadline_is_never_placed() -> None:
    running = coordinator(None, CHEAP)
    running.core.submit(submission(deadline_s=1.0), running.now)  # it would take two seconds
    running.turn()
    assert running.live() == []


# -- reports


def test_first_hit_ends_the_job_and_stops_the_other_tasks() -> None:
    running = coordinator(None, CHEAP, DEAR)
    running.core.submit(submission(units=3 * GRAIN, target=TRIVIAL), running.now)
    running.turn()
    assert len(running.live()) == 3
    running.report(1, units_done=1, nonces=(0,))
    turn = running.turn()
    assert settled_state(running) is JobState.SUCCEEDED
    assert sorted(epoch for epochs in turn.revoke.values() for epoch in epochs) == [2, 3]


def test_attempts_that_waited_when_their_job_ended_cost_nothing() -> None:
    running = coordinator(None, CHEAP)  # one slot
    running.core.submit(submission(units=4 * GRAIN, target=TRIVIAL), running.now)
    running.turn()
    running.turn(passed_s=1.0)
    running.core.cancel([1], running.now)
    running.turn()
    (found,) = running.store.settled([1])
    ran = {closing.epoch: closing.run_us for closing in settlement.unpack(found.body).attempts}
    assert ran == {1: 1_000_000, 2: 0, 3: 0, 4: 0}


def test_claimed_nonce_that_does_not_meet_the_target_fails_the_attempt_and_is_tried_again() -> None:
    running = coordinator(None, CHEAP)
    running.core.submit(submission(), running.now)
    running.turn()
    running.report(1, nonces=(7,))
    running.turn()
    assert running.live() == [("cheap", 2)]
    (job,) = running.core.jobs.values()
    assert job.units_done == 0 and "does not meet the target" in job.reasons[0][1]


def test_task_that_fails_time_after_time_fails_its_job_with_the_reasons() -> None:
    running = coordinator(None, CHEAP)
    running.core.submit(submission(), running.now)
    for epoch in range(1, running.limits.max_attempts + 1):
        running.turn()
        running.report(epoch, AttemptEvent.FAILED, units_done=0, error=f"reason {epoch}")
    running.turn()
    (found,) = running.store.settled([1])
    body = settlement.unpack(found.body)
    assert found.state is JobState.FAILED
    assert body.error.startswith("task 0 failed 5 times: reason 1; ") and body.error.endswith("reason 5")
    assert [closing.state for closing in body.attempts] == [AttemptState.FAILED] * 5


def test_report_of_another_node_is_not_heard() -> None:
    running = coordinator(None, CHEAP, DEAR)
    running.core.submit(submission(), running.now)
    running.turn()
    running.core.report("dear", [Report(1, AttemptEvent.DONE, GRAIN, 1, -1, False)], running.now)
    assert running.live() == [("cheap", 1)] and running.core.stale_reports == 1


def test_speed_is_learned_from_what_runs_and_one_outlier_changes_nothing() -> None:
    running = coordinator(None, CHEAP)  # says 500 hashes a second
    running.core.submit(submission(units=8 * GRAIN), running.now)
    running.turn()
    for epoch, seconds in ((1, 2.0), (2, 2.0), (3, 40.0)):
        report_run(running, epoch, GRAIN, int(seconds * 1e6))
    assert running.core.table.facts[0].hashes_per_s == 500.0
    for epoch in (4, 5, 6, 7):
        report_run(running, epoch, GRAIN, 500_000)
    assert running.core.table.facts[0].hashes_per_s == 2000.0


# -- orders


def test_drained_node_gives_back_its_work_and_gets_none_until_it_is_resumed() -> None:
    running = coordinator(None, CHEAP, DEAR)
    running.core.submit(submission(), running.now)
    running.turn()
    moves = carry_out(running.core, Order(node="cheap"), running.now, plan=False)
    turn = running.turn()
    assert [(move.attempt.epoch, running.core.table.names[move.to or 0]) for move in moves] == [(1, "dear")]
    assert turn.revoke == {"cheap": [1]}
    running.report(1, AttemptEvent.RELEASED, units_done=400)
    running.turn()
    assert running.live() == [("dear", 2)]
    assert running.core.members["dear"].live[2].piece.units == GRAIN - 400
    carry_out(running.core, Order(node="cheap", on=False), running.now, plan=False)
    running.turn()
    assert running.core.table.facts[0].state is NodeState.READY


def test_order_that_is_only_planned_changes_nothing() -> None:
    running = coordinator(None, CHEAP, DEAR)
    running.core.submit(submission(), running.now)
    running.turn()
    before = list(running.core.table.facts)
    for order in (Order(node="cheap"), Order(site="cheap-site"), Order(site="cheap-site", price_usd_per_kwh=9.0)):
        (move,) = carry_out(running.core, order, running.now, plan=True)
        assert move.attempt.epoch == 1
        assert running.core.table.facts == before
        assert not running.turn().durable


def test_price_moves_running_work_only_where_that_saves_more_than_a_tenth() -> None:
    running = coordinator(None, CHEAP, DEAR)
    running.core.submit(submission(), running.now)
    running.turn()
    assert carry_out(running.core, Order(site="dear-site", price_usd_per_kwh=0.028), running.now, plan=False) == []
    (move,) = carry_out(running.core, Order(site="dear-site", price_usd_per_kwh=0.01), running.now, plan=False)
    assert running.core.table.names[move.to or 0] == "dear"
    assert move.cost_there == pytest.approx(move.cost_here / 3)


def test_orders_outlive_the_process_and_a_node_that_says_hello_again() -> None:
    running = coordinator(None, CHEAP, DEAR)
    carry_out(running.core, Order(site="cheap-site", price_usd_per_kwh=0.5), running.now, plan=False)
    carry_out(running.core, Order(site="dear-site"), running.now, plan=False)
    running.turn()
    running.restart()
    running.core.hello(CHEAP, [], [], 2, running.now)
    running.turn()
    facts = {one.name: one for one in running.core.table.facts}
    assert (facts["cheap"].price_usd_per_kwh, facts["cheap"].price_source) == (0.5, "operator")
    assert facts["dear"].curtailed


def test_order_to_somebody_nobody_knows_is_refused_by_name() -> None:
    running = coordinator(None, CHEAP)
    with pytest.raises(UnknownName, match="no site is called 'moon'"):
        carry_out(running.core, Order(site="moon"), running.now, plan=False)


# -- plans and other strategies


def test_plan_is_what_the_run_then_does_and_holds_until_the_choice_changes() -> None:
    running = coordinator(None, CHEAP, DEAR)
    planned = plan(running.core, submission(units=2 * GRAIN + 1), running.now)
    assert isinstance(planned, Planned)
    chosen = [running.core.table.names[one.node] for one in planned.placements]
    assert outdated(running.core, submission(units=2 * GRAIN + 1), planned.plan_id, running.now) is None
    running.core.submit(submission(units=2 * GRAIN + 1), running.now)
    running.turn()
    assert [name for name, _ in running.live()] == chosen
    carry_out(running.core, Order(node="cheap"), running.now, plan=False)
    moved = outdated(running.core, submission(units=2 * GRAIN + 1), planned.plan_id, running.now)
    assert moved is not None and "would go to dear now" in moved.reason


def test_whatif_tells_what_another_strategy_would_have_done_with_what_was_known_then() -> None:
    near = replace(DEAR, coordinator_rtt_s=0.001)
    far = replace(CHEAP, region="SaoPaulo", coordinator_rtt_s=0.2)
    running = coordinator(None, near, far)
    running.core.submit(submission(origin="Paris"), running.now)
    running.turn()
    running.core.put_facts(replace(near, price_usd_per_kwh=0.0001))  # later, and no part of it
    running.turn()
    answer = Reading(running.core, running.store).whatif(1, ["nearest", "weighted"], load)
    (nearest,) = answer.others
    assert (answer.actual.strategy, answer.actual.node) == ("weighted", "cheap")
    assert nearest.node == "dear"
    assert nearest.energy_usd == pytest.approx(10 * answer.actual.energy_usd)
