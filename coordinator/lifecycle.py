"""The lives, as tables: what may happen to a job and to an attempt, and what it is then.

A move that is not in a table is a bug of ours, never of the world: late and foreign reports are refused before.
"""

from __future__ import annotations

from enum import IntEnum

from placement.model import AttemptState, JobState


class AttemptEvent(IntEnum):  # an IntEnum hashes as fast as its number, and every settlement looks up two moves
    """What can happen to an attempt."""

    STARTED = 1
    DONE = 2
    FAILED = 3
    RELEASED = 4
    LEASE_LAPSED = 5
    CANCELLED = 6


class JobEvent(IntEnum):
    """What can happen to a job. UNPLACED: nothing of it is on a node any more."""

    PLACED = 1
    UNPLACED = 2
    COMPLETED = 3
    FAILED = 4
    CANCELLED = 5
    DEADLINE_PASSED = 6


class IllegalMove(Exception):
    """An event that the state does not allow."""


ATTEMPT_MOVES: dict[tuple[AttemptState, AttemptEvent], AttemptState] = {
    (AttemptState.LEASED, AttemptEvent.STARTED): AttemptState.RUNNING,
    **{
        (state, event): then
        for state in (AttemptState.LEASED, AttemptState.RUNNING)
        for event, then in (
            (AttemptEvent.DONE, AttemptState.SUCCEEDED),
            (AttemptEvent.FAILED, AttemptState.FAILED),
            (AttemptEvent.RELEASED, AttemptState.RELEASED),
            (AttemptEvent.LEASE_LAPSED, AttemptState.LOST),
            (AttemptEvent.CANCELLED, AttemptState.CANCELLED),
        )
    },
}

JOB_MOVES: dict[tuple[JobState, JobEvent], JobState] = {
    (JobState.PENDING, JobEvent.PLACED): JobState.RUNNING,
    (JobState.RUNNING, JobEvent.PLACED): JobState.RUNNING,
    (JobState.RUNNING, JobEvent.UNPLACED): JobState.PENDING,
    (JobState.PENDING, JobEvent.UNPLACED): JobState.PENDING,
    **{
        (state, event): then
        for state in (JobState.PENDING, JobState.RUNNING)
        for event, then in (
            (JobEvent.COMPLETED, JobState.SUCCEEDED),
            (JobEvent.FAILED, JobState.FAILED),
            (JobEvent.CANCELLED, JobState.CANCELLED),
            (JobEvent.DEADLINE_PASSED, JobState.EXPIRED),
        )
    },
}

SETTLED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED, JobState.REFUSED})


def attempt_after(state: AttemptState, event: AttemptEvent) -> AttemptState:
    """The state that follows; raises `IllegalMove`."""
    try:
        return ATTEMPT_MOVES[state, event]
    except KeyError:
        raise IllegalMove(f"an attempt that is {state.name} cannot be {event.name}") from None


def job_after(state: JobState, event: JobEvent) -> JobState:
    """The state that follows; raises `IllegalMove`."""
    try:
        return JOB_MOVES[state, event]
    except KeyError:
        raise IllegalMove(f"a job that is {state.name} cannot be {event.name}") from None
