"""When the node dials, by a clock of the test's own."""

from __future__ import annotations

import random

import pytest

from node.redial import LEAST_SILENCE_US, LONGEST_PAUSE_US, Redial

SECOND = 1_000_000
START = 50 * SECOND


@pytest.fixture
def redial() -> Redial:
    return Redial(random.Random(1))


def linked(redial: Redial, now_us: int = START) -> Redial:
    redial.dialled(now_us)
    redial.welcomed(now_us, heartbeat_us=2 * SECOND)
    return redial


def test_first_dial_is_at_once(redial: Redial) -> None:
    assert redial.should_dial(START)
    redial.dialled(START)
    assert not redial.should_dial(START)


def test_pauses_grow_to_a_second_and_no_further(redial: Redial) -> None:
    now, pauses = START, []
    for _ in range(12):
        redial.dialled(now)
        redial.dial_failed(now)
        pauses.append(redial.due_us() - now)
        now = redial.due_us()
    assert pauses[0] <= 50_000
    assert all(LONGEST_PAUSE_US / 2 <= pause <= LONGEST_PAUSE_US for pause in pauses[5:])


def test_link_that_is_heard_is_left_alone_and_a_silent_one_gets_company(redial: Redial) -> None:
    linked(redial)
    redial.heard(START + 2 * SECOND)
    assert not redial.should_dial(START + 2 * SECOND + LEAST_SILENCE_US - 1)
    assert redial.should_dial(START + 2 * SECOND + LEAST_SILENCE_US)


def test_coordinator_that_beats_slowly_is_not_taken_for_silent(redial: Redial) -> None:
    redial.dialled(START)
    redial.welcomed(START, heartbeat_us=4 * SECOND)
    assert not redial.should_dial(START + 6 * SECOND - 1)
    assert redial.should_dial(START + 6 * SECOND)


def test_dial_without_a_welcome_is_given_up_after_a_second_then_later(redial: Redial) -> None:
    redial.dialled(START)
    assert not redial.should_give_up(START + SECOND - 1)
    assert redial.should_give_up(START + SECOND)
    redial.dial_failed(START + SECOND)
    redial.dialled(START + 2 * SECOND)
    assert not redial.should_give_up(START + 3 * SECOND)
    assert redial.should_give_up(START + 4 * SECOND)


def test_injected_delay_is_granted_to_a_dial() -> None:
    redial = Redial(random.Random(1), slack_us=800_000)
    redial.dialled(START)
    assert not redial.should_give_up(START + 1_799_999)


def test_link_that_stood_is_dialled_again_at_once_but_one_that_did_not_is_not(redial: Redial) -> None:
    for now in (START, START + SECOND, START + 2 * SECOND, START + 3 * SECOND):
        redial.dialled(now)
        redial.dial_failed(now)
    now = START + 10 * SECOND
    linked(redial, now)
    redial.link_lost(now + 10)
    assert redial.due_us() - now > 200_000
    linked(redial, now)
    redial.link_lost(now + 5 * SECOND)
    assert redial.due_us() - (now + 5 * SECOND) <= 50_000
