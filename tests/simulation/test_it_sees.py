"""The judge is judged: each of these bugs, planted into the real code, must be found within a few schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from coordinator import coordinator as heart
from coordinator import restore
from coordinator.coordinator import Coordinator
from coordinator.judging import Report, judge
from coordinator.lifecycle import AttemptEvent
from coordinator.ports import OpenState, Turn
from coordinator.store.memory import MemoryStore
from coordinator.turn import TurnLoop
from coordinator.work import Attempt, HashWork, Member, Piece, absorb
from node.actions import Action
from node.agent import Agent
from placement.model import AttemptState
from tests.simulation.simulate import judged

SCHEDULES = 300

Plant = Callable[[pytest.MonkeyPatch], None]


def a_stale_report_counts(patch: pytest.MonkeyPatch) -> None:
    report, close = Coordinator.report, Coordinator._close
    closed: dict[tuple[int, int], Attempt] = {}

    def remember(self: Coordinator, attempt: Attempt, *rest: Any) -> None:
        closed[id(self), attempt.epoch] = attempt
        close(self, attempt, *rest)

    def believe(self: Coordinator, name: str, reports: Iterable[Report], now: float) -> None:
        told = list(reports)
        for one in told:
            late = closed.get((id(self), one.epoch))
            if late is not None and late.piece.job.number in self.jobs:
                late.state = AttemptState.RUNNING
                late.piece.job.live[one.epoch] = self.members[name].live[one.epoch] = late
        report(self, name, told, now)

    patch.setattr(Coordinator, "_close", remember)
    patch.setattr(Coordinator, "report", believe)


def a_turn_acts_before_it_is_written(patch: pytest.MonkeyPatch) -> None:
    write = TurnLoop._write

    async def eager(self: TurnLoop, turn: Turn) -> None:
        self._outlets().acted(turn)
        await write(self, turn)

    patch.setattr(TurnLoop, "_write", eager)


def a_restart_gives_no_grace(patch: pytest.MonkeyPatch) -> None:
    def unheard(index: int, name: str, heard_at: float, **known: Any) -> Member:
        return Member(index, name, heard_at - 3600, **known)

    patch.setattr(restore, "Member", unheard)


def what_is_left_of_a_task_is_lost(patch: pytest.MonkeyPatch) -> None:
    def forgetful(piece: Piece, state: AttemptState, units_done: int, found: list[Any]) -> Piece | None:
        rest = absorb(piece, state, units_done, found)
        return None if units_done else rest

    patch.setattr(heart, "absorb", forgetful)


def a_restart_forgets_the_last_epoch(patch: pytest.MonkeyPatch) -> None:
    load_open = MemoryStore.load_open

    def forgetful(self: MemoryStore) -> OpenState:
        return load_open(self)._replace(next_epoch=1)

    patch.setattr(MemoryStore, "load_open", forgetful)


def a_node_stretches_its_lease(patch: pytest.MonkeyPatch) -> None:
    extend = Agent._extend

    def generous(self: Agent, sent_us: int) -> list[Action]:
        return extend(self, sent_us + 5_000_000)

    patch.setattr(Agent, "_extend", generous)


def a_liar_is_believed(patch: pytest.MonkeyPatch) -> None:
    def gullible(attempt: Attempt, told: Report) -> tuple[AttemptEvent, int, tuple[int, ...], str]:
        work = attempt.piece.job.submission.work
        if told.nonces and told.outcome is AttemptEvent.DONE and isinstance(work, HashWork) and work.find_all:
            return AttemptEvent.DONE, attempt.piece.units, told.nonces, ""
        return judge(attempt, told)

    patch.setattr(heart, "judge", gullible)


def a_repeated_key_is_another_job(patch: pytest.MonkeyPatch) -> None:
    submit = Coordinator.submit

    def forgetful(self: Coordinator, request: Any, now: float, earlier: Any = None) -> Any:
        self._keys.clear()
        return submit(self, request, now, None)

    patch.setattr(Coordinator, "submit", forgetful)


def a_silent_node_keeps_its_work(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Coordinator, "_sweep", lambda self, member, now: None)


def a_restart_forgets_what_was_covered(patch: pytest.MonkeyPatch) -> None:
    def forgetful(piece: Piece, state: AttemptState, units_done: int, found: list[Any]) -> Piece | None:
        absorb(piece, state, units_done, found)
        return piece

    patch.setattr(restore, "absorb", forgetful)


def a_job_is_nowhere_while_its_settlement_is_written(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Coordinator, "settling", lambda self: {})


PLANTS: dict[Plant, set[str]] = {
    a_stale_report_counts: {"I4", "I7"},
    a_turn_acts_before_it_is_written: {"I1", "I4", "I11"},
    a_restart_gives_no_grace: {"I11"},
    what_is_left_of_a_task_is_lost: {"I7"},
    a_restart_forgets_the_last_epoch: {"I4"},
    a_node_stretches_its_lease: {"I11"},
    a_liar_is_believed: {"I3"},
    a_repeated_key_is_another_job: {"I1", "I2"},
    a_silent_node_keeps_its_work: {"I6"},
    a_restart_forgets_what_was_covered: {"I7"},
    a_job_is_nowhere_while_its_settlement_is_written: {"a process ended by UnknownName"},
}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in range(SCHEDULES):
        if any(sentence.split(":")[0] in PLANTS[plant] for sentence in judged(seed)):
            return
    pytest.fail(f"not found in {SCHEDULES} schedules")
