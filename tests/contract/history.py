"""Random lives of a coordinator: what may happen to it, drawn by Hypothesis and carried out one turn at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import strategies as st

from coordinator.lifecycle import AttemptEvent
from coordinator.work import HashWork, Piece
from tests.builders import GRAIN, IMPOSSIBLE, TRIVIAL, Running, fleet, submission


class Submit(NamedTuple):
    count: int
    units: int
    find_all: bool
    trivial: bool
    deadline_s: float | None
    strategy: str
    priority: int


class Tell(NamedTuple):
    """A node reports one of the live attempts."""

    which: int
    outcome: AttemptEvent
    share: float  # of the task's units, that were done
    hit: bool  # whether it claims the first nonce; true only where every hash counts


class Cancel(NamedTuple):
    which: int


class Silence(NamedTuple):
    """Some nodes are not heard for longer than a lease."""

    nodes: frozenset[int]


class Restart(NamedTuple):
    """The process ends and goes on from the store."""


class Step(NamedTuple):
    event: Submit | Tell | Cancel | Silence | Restart | None
    passed_s: float
    keep: bool  # a keyframe with the turn


NODES = 4
_SUBMITS = st.builds(
    Submit,
    st.integers(1, 3),
    st.sampled_from([1, GRAIN - 1, GRAIN, GRAIN + 1, 2 * GRAIN, 5 * GRAIN + 7]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, None, None, 0.5, 6.0]),
    st.sampled_from(["", "", "hub", "nearest", "weighted"]),
    st.sampled_from([0, 0, 5]),
)
_TELLS = st.builds(
    Tell,
    st.integers(0, 20),
    st.sampled_from([AttemptEvent.DONE, AttemptEvent.DONE, AttemptEvent.RELEASED, AttemptEvent.FAILED]),
    st.sampled_from([0.0, 0.3, 1.0, 1.0]),
    st.booleans(),
)
_EVENTS = st.one_of(
    _SUBMITS,
    _SUBMITS,
    _TELLS,
    _TELLS,
    _TELLS,
    st.builds(Cancel, st.integers(0, 20)),
    st.builds(Silence, st.frozensets(st.integers(0, NODES - 1), min_size=1)),
    st.just(Restart()),
    st.none(),
)
STEPS = st.lists(
    st.builds(Step, _EVENTS, st.floats(0.0, 2.0, allow_subnormal=False), st.sampled_from([False, False, False, True])),
    min_size=1,
    max_size=25,
)


def begun(running: Running) -> Running:
    """Two hubs and two edge boxes have joined; one slot or two, near and far, cheap and dear."""
    running.join(*fleet(NODES, _particulars))
    running.turn()
    return running


def _particulars(i: int) -> dict[str, object]:
    return {
        "hub": i < 2,
        "slots": 1 + i % 2,
        "price_zone": "north" if i % 3 == 0 else "",
        "price_usd_per_kwh": 0.05 * (i + 1),
        "max_watts": 1e5,
        "hashes_per_s": 500.0 + i,
        "coordinator_rtt_s": 0.01 * (i + 1),
    }


def lived(running: Running, steps: list[Step]) -> Iterator[Running]:
    """Carry out the steps; yields after every turn."""
    yield begun(running)
    for number, step in enumerate(steps):
        _happen(running, step.event, number)
        running.turn(passed_s=step.passed_s, keep=step.keep)
        yield running


def _happen(running: Running, event: Submit | Tell | Cancel | Silence | Restart | None, number: int) -> None:
    core = running.core
    if isinstance(event, Submit):
        deadline = {} if event.deadline_s is None else {"deadline_s": event.deadline_s}
        request = submission(
            f"key-{number}",
            count=event.count,
            units=event.units,
            find_all=event.find_all,
            target=TRIVIAL if event.trivial else IMPOSSIBLE,
            strategy=event.strategy,
            priority=event.priority,
            objective_ms=40.0,
            second_usd=0.001,
            **deadline,
        )
        core.submit(request, running.now)
    elif isinstance(event, Tell):
        live = running.live()
        if live:
            _tell(running, *live[event.which % len(live)], event)
    elif isinstance(event, Cancel) and core.jobs:
        numbers = sorted(core.jobs)
        core.cancel([numbers[event.which % len(numbers)]], running.now)
    elif isinstance(event, Silence):
        heard = [f"n-{i:03d}" for i in range(NODES) if i not in event.nodes]
        for _ in range(3):
            running.turn(passed_s=4.0, beats=heard)
    elif isinstance(event, Restart):
        running.restart()


def _tell(running: Running, name: str, epoch: int, told: Tell) -> None:
    piece = running.core.members[name].live[epoch].piece
    units = int(piece.units * told.share)
    nonces: tuple[int, ...] = ()
    work = piece.job.submission.work
    if told.hit and units and work.targets[0] == TRIVIAL:
        nonces = (first_nonce(work, piece),)
    running.report(epoch, told.outcome, units_done=units, nonces=nonces, error="it broke")


def first_nonce(work: HashWork, piece: Piece) -> int:
    return work.start(piece.job.item) + piece.start
