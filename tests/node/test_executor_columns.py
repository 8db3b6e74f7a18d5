"""Tasks and their ends go into columns and come out the same."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.executor import columns
from node.executor.columns import QueuedTask
from node.executor.port import Ended, HashTask, Outcome

words = st.integers(0, 2**64 - 1)
header, target = st.binary(min_size=76, max_size=76), st.binary(min_size=32, max_size=32)
queued = st.builds(QueuedTask, words, header, target, words, words, st.booleans(), words, st.integers(-100, 100))
ended = st.builds(
    Ended,
    words,
    st.sampled_from(get_args(Outcome)),
    words,
    words,
    words,
    st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple),
    st.text(max_size=20),
)


@given(st.lists(queued, max_size=20))
def test_tasks_written_and_read_are_the_same(rows: list[QueuedTask]):
    assert list(columns.read_tasks(columns.tasks(rows))) == rows


@given(st.lists(ended, max_size=20))
def test_ends_written_and_read_are_the_same(rows: list[Ended]):
    assert columns.read_ended(columns.ended(rows)) == rows


def test_block_cut_short_is_an_error_and_not_fewer_tasks():
    block = columns.tasks([QueuedTask(1, bytes(76), bytes(32), 0, 1, False, 5)])
    with pytest.raises(ValueError, match="ends 1 bytes early"):
        list(columns.read_tasks(block[:-1]))


def test_task_that_no_column_can_hold_fails_alone_with_a_sentence():
    good = HashTask(1, bytes(76), bytes(32), 0, 10, False)
    short, wide, empty = (
        good._replace(epoch=2, header=bytes(80)),
        good._replace(epoch=3, target=bytes(31)),
        good._replace(epoch=4, nonce_count=0),
    )
    accepted, failed = columns.accept([short, good, wide, empty], handed_us=77)
    assert accepted == [QueuedTask(*good[:6], 77, good.priority)]
    assert [(end.epoch, end.outcome) for end in failed] == [(2, "failed"), (3, "failed"), (4, "failed")]
    assert "not 80, 32, 10 and 0" in failed[0].error
