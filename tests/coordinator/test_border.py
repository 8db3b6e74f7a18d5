"""What peers may not make the coordinator believe: absurd facts, endless columns, figures that no integer holds."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path

import pytest

from coordinator.errors import InvalidSubmission, StoreUnavailable
from coordinator.judging import NONCES_AT_MOST, Report
from coordinator.lifecycle import AttemptEvent
from coordinator.ordering import Order, carry_out
from coordinator.rpc import wire
from coordinator.store.sqlite import SqliteStore
from placement.model import JobState
from protos import nodes_pb2
from tests.builders import GRAIN, TRIVIAL, coordinator, node, submission


def told(**facts: object) -> nodes_pb2.NodeFacts:
    ordinary: dict[str, object] = {"name": "n", "slots": 1, "max_watts": 100.0, "hashes_per_s": 1e6}
    return nodes_pb2.NodeFacts(**(ordinary | facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "absurd",
    [
        {"price_usd_per_kwh": nan},
        {"price_usd_per_kwh": 1e300},
        {"extra_delay_ms": nan},
        {"extra_delay_ms": inf},
        {"max_hashes_per_s": nan},
        {"hashes_per_s": 5e-324},
        {"max_watts": 9e8},
        {"idle_watts": -1.0},
        {"idle_watts": 101.0},
        {"pue": 99.9},
        {"pue": 0.5},
        {"slots": 2**31},
        {"slots": 0},
    ],
)
def test_facts_that_no_machine_can_have_are_refused_by_name(absurd: dict[str, object]) -> None:
    wire.facts(told())
    with pytest.raises(wire.Malformed, match=next(iter(absurd))):
        wire.facts(told(**absurd))


def test_price_beyond_every_market_is_refused_and_changes_nothing() -> None:
    running = coordinator(None, node())
    with pytest.raises(InvalidSubmission, match="lies between -1000 and 1000"):
        carry_out(running.core, Order(site="node-site", price_usd_per_kwh=1e300), running.now, plan=False)
    assert not running.turn().durable


def test_energy_that_no_integer_holds_is_settled_at_the_largest_and_stops_nobody() -> None:
    running = coordinator(None, node(max_watts=1e7, price_usd_per_kwh=1e15))
    running.core.submit(submission(), running.now)
    running.turn()
    running.now += 3600.0
    claimed = Report(1, AttemptEvent.DONE, GRAIN, 3_600_000_000, 10**18, True)
    running.core.report("node", [claimed], running.now)
    running.turn(beats=[])
    (found,) = running.store.settled([1])
    assert found.state is JobState.SUCCEEDED


def test_nonce_that_is_claimed_many_times_is_found_once() -> None:
    running = coordinator(None, node())
    running.core.submit(submission(units=10, target=TRIVIAL, find_all=True), running.now)
    running.turn()
    running.report(1, nonces=(5,) * 100_000)
    running.turn()
    (job,) = running.store.settled([1])
    assert job.state is JobState.SUCCEEDED and job.body.count(bytes.fromhex("05000000")) == 1


def test_more_nonces_than_are_kept_fail_the_task_with_what_to_do() -> None:
    running = coordinator(None, node())
    running.core.submit(submission(units=GRAIN * 20, target=TRIVIAL, find_all=True), running.now)
    running.turn()
    running.report(1, nonces=tuple(range(NONCES_AT_MOST + 1)))
    (job,) = running.core.jobs.values()
    assert "choose a harder target" in job.reasons[0][1]


def test_submission_of_more_items_than_the_limit_is_refused_before_anything_is_made_of_it() -> None:
    running = coordinator(None, node())
    with pytest.raises(InvalidSubmission, match="the limit is 100000"):
        running.core.submit(submission(count=100_001), running.now)
    assert not running.core.jobs


def test_store_behind_a_link_is_locked_like_the_file_itself(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    with pytest.raises(StoreUnavailable, match="in use"):
        SqliteStore(tmp_path / "link.db")
    store.close()
