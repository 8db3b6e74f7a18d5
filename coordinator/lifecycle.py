"""The lives, as tables: what may happen to a job and to an attempt, and what it is then.

A move that is not in a table is a bug of ours, never of the world: late and foreign reports are refused before.
"""

from __future__ import annotations

from enum import Enum

from placement.model import AttemptState, JobState


class AttemptEvent(Enum):
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    RELEASED = "released"
    LEASE_LAPSED = "lease lapsed"
    CANCELLED = "cancelled"


class JobEvent(Enum):
    PLACED = "placed"
    UNPLACED = "nothing of it is on a node any more"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEADLINE_PASSED = "deadline passed"


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
        raise IllegalMove(f"an attempt that is {state.name} cannot be {event.value}") from None


def job_after(state: JobState, event: JobEvent) -> JobState:
    """The state that follows; raises `IllegalMove`."""
    try:
        return JOB_MOVES[state, event]
    except KeyError:
        raise IllegalMove(f"a job that is {state.name} cannot be {event.value}") from None
