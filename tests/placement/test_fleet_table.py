"""Nodes as columns: registering, queues in absolute time, and lending without being changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.fleet_table import Debits, NodeTable
from placement.model import NodeState
from placement.quote import waiting_s
from tests.builders import START, fleet, node

NOW = START


def wait(table: NodeTable, now: float = NOW, run_s: float = 1.0) -> float:
    """Expected seconds until a task of `run_s` would start at the first node."""
    return float(waiting_s(np.array([run_s] * len(table)), table.load(), now)[0])


# -- facts


def test_node_keeps_its_number_when_its_facts_change() -> None:
    table = NodeTable(fleet(3))
    version = table.version
    assert table.put(node("n-001", slots=7, region="Rome")) == 1
    assert (len(table), table.slots.tolist(), table.version) == (3, [1, 7, 1], version + 1)
    assert table.in_region("Rome").tolist() == [False, True, False]
    assert table.regions == {"Paris", "Rome"}


def test_table_grows_past_any_size_and_keeps_every_queue() -> None:
    table = NodeTable()
    for i, facts in enumerate(fleet(100, lambda i: {"price_usd_per_kwh": i / 100})):
        table.put(facts)
        table.debit(i, float(i), NOW)
    assert table.price_usd_per_kwh.tolist() == [i / 100 for i in range(100)]
    assert table.tasks.tolist() == [1] * 100
    assert table.queue_of(40) == (1, NOW + 40.0)


def test_names_rank_in_their_own_order_whatever_the_order_of_joining() -> None:
    assert NodeTable([node("b"), node("a10"), node("a9")]).name_rank.tolist() == [2, 0, 1]


# -- queue ahead


def test_nobody_waits_while_a_slot_is_free() -> None:
    table = NodeTable([node(slots=2)])
    table.debit(0, 10.0, NOW)
    assert wait(table) == 0.0


def test_full_node_is_free_again_when_its_work_is_through_by_all_slots() -> None:
    table = NodeTable([node(slots=2)])
    for run_s in (10.0, 4.0, 6.0):
        table.debit(0, run_s, NOW)
    assert wait(table) == pytest.approx(10.0)
    assert wait(table, NOW + 7.0) == pytest.approx(3.0)  # it drains with time


def test_overdue_busy_node_does_not_look_free() -> None:
    table = NodeTable([node(slots=2)])
    table.debit(0, 1.0, NOW)
    table.debit(0, 1.0, NOW)
    assert wait(table, NOW + 60.0, run_s=3.0) == pytest.approx(1.5)


def test_credit_frees_a_slot_at_once() -> None:
    table = NodeTable([node(slots=2)])
    table.debit(0, 10.0, NOW)
    table.debit(0, 10.0, NOW)
    table.credit(0, 10.0, NOW + 10.0, NOW + 1.0)
    assert wait(table, NOW + 1.0) == 0.0
    assert table.tasks.tolist() == [1]


def test_last_credit_leaves_an_idle_node() -> None:
    table = NodeTable([node()])
    table.debit(0, 10.0, NOW)
    table.credit(0, 10.0, NOW + 10.0, NOW + 25.0)
    assert table.queue_of(0) == (0, 0.0)
    assert (table.clear_at[0], table.overdue_share[0]) == (0.0, 0.0)


def test_early_end_takes_what_was_left_of_it_off_the_queue() -> None:
    table = NodeTable([node()])
    table.debit(0, 10.0, NOW)
    table.debit(0, 5.0, NOW)
    table.credit(0, 10.0, NOW + 10.0, NOW + 2.0)  # 8 s early
    assert wait(table, NOW + 2.0) == pytest.approx(5.0)


def test_late_end_leaves_what_still_waits_undrained() -> None:
    table = NodeTable([node()])
    for _ in range(3):
        table.debit(0, 10.0, NOW)
    table.credit(0, 10.0, NOW + 10.0, NOW + 50.0)  # 40 s late: two are left, one of them waits
    assert wait(table, NOW + 50.0) == pytest.approx(10.0)


@given(
    slots=st.integers(1, 4),
    runs=st.lists(st.sampled_from([0.5, 1.0, 8.0]), min_size=1, max_size=12),
    ends=st.permutations(range(12)),
    pace=st.floats(0.2, 3.0),
)
def test_queue_is_never_negative_and_empty_when_all_is_over(
    slots: int, runs: list[float], ends: list[int], pace: float
) -> None:
    table = NodeTable([node(slots=slots)])
    for run_s in runs:
        table.debit(0, run_s, NOW)
    now = NOW
    for k in [k for k in ends if k < len(runs)]:
        now += pace
        table.credit(0, runs[k], NOW + runs[k], now)
        tasks, drained_at = table.queue_of(0)
        assert (tasks == 0) == (drained_at == 0.0)
        assert wait(table, now) >= (1.0 / slots if tasks >= slots else 0.0)
    assert table.queue_of(0) == (0, 0.0)


@given(slots=st.integers(1, 3), runs=st.lists(st.floats(0.1, 9.0), max_size=8))
def test_put_back_queue_is_the_queue(slots: int, runs: list[float]) -> None:
    table, copy = NodeTable([node(slots=slots)]), NodeTable([node(slots=slots)])
    for run_s in runs:
        table.debit(0, run_s, NOW)
    copy.set_load(0, *table.queue_of(0))
    assert [column.tolist() for column in copy.load()] == [column.tolist() for column in table.load()]


def test_more_slots_open_a_full_node() -> None:
    table = NodeTable([node(slots=1)])
    table.debit(0, 10.0, NOW)
    table.put(replace(table.facts[0], slots=2))
    assert wait(table) == 0.0


def test_changed_names_the_nodes_whose_load_changed() -> None:
    table = NodeTable(fleet(4))
    table.changed.clear()
    table.debit(2, 1.0, NOW)
    table.credit(2, 1.0, NOW + 1.0, NOW)
    table.debit(3, 1.0, NOW)
    assert table.changed == {2, 3}


# -- lending


def test_view_that_was_only_read_is_the_table_itself() -> None:
    table = NodeTable(fleet(3))
    view = Debits(table, NOW)
    assert all(np.shares_memory(mine, its) for mine, its in zip(view.load, table.load(), strict=True))


def test_write_through_a_borrowed_view_raises() -> None:
    view = Debits(NodeTable(fleet(3)), NOW)
    for column in view.load:
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1


def test_first_take_copies_and_the_table_is_untouched() -> None:
    table = NodeTable(fleet(3))
    table.debit(1, 2.0, NOW)
    before = [column.copy() for column in table.load()]
    view = Debits(table, NOW)
    view.take(1, 5.0)
    view.take(0, 5.0)
    assert not any(np.shares_memory(mine, its) for mine, its in zip(view.load, table.load(), strict=True))
    assert all((now == then).all() for now, then in zip(table.load(), before, strict=True))
    assert view.load.tasks.tolist() == [1, 2, 0]


@given(taken=st.lists(st.tuples(st.integers(0, 2), st.floats(0.1, 9.0)), max_size=12))
def test_view_takes_as_the_table_debits(taken: list[tuple[int, float]]) -> None:
    """So that a log reader, which debits, stands where the strategy stood, which took."""
    table = NodeTable(fleet(3, lambda i: {"slots": i + 1}))
    view = Debits(table, NOW)
    for i, run_s in taken:
        view.take(i, run_s)
    for i, run_s in taken:
        table.debit(i, run_s, NOW)
    assert [column.tolist() for column in view.load] == [column.tolist() for column in table.load()]


def test_state_of_a_node_is_a_column() -> None:
    table = NodeTable([node("a"), node("b", state=NodeState.SILENT)])
    assert table.ready.tolist() == [True, False]
