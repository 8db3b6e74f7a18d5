"""Whatever happens in whatever order: the promises of the agent hold. `world.py` checks them at every step."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from node.actions import Cause
from node.messages import Assign, Revoke
from tests.node.world import LEASE_S, World, task


class AgentLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.connect()
        self.next_epoch = 1

    def linked(self) -> bool:
        return self.world.wire is not None and self.world.quit is None

    def alive(self) -> bool:
        return self.world.quit is None

    @precondition(lambda self: self.alive() and self.world.dialled is None)
    @rule()
    def a_stream_is_dialled(self) -> None:
        self.world.dial()

    @precondition(lambda self: self.alive() and self.world.dialled is not None)
    @rule()
    def the_dial_fails(self) -> None:
        self.world.give_up_dial()

    @precondition(linked)
    @rule()
    def the_stream_breaks(self) -> None:
        self.world.cut()

    @precondition(alive)
    @rule(seconds=st.sampled_from([0.001, 1, 5, LEASE_S]))
    def the_stream_breaks_and_is_dialled_again(self, seconds: float) -> None:
        if self.world.dialled is not None:
            self.world.give_up_dial()
        if self.world.wire is not None:
            self.world.cut()
        self.world.dial()
        self.world.wait(seconds)
        self.world.hear_one()
        if self.alive():
            self.world.tell_one()

    @precondition(alive)
    @rule(steps=st.integers(1, 4))
    def the_coordinator_hears(self, steps: int) -> None:
        for _ in range(steps):
            self.world.hear_one()

    @precondition(alive)
    @rule(steps=st.integers(1, 4))
    def the_agent_hears(self, steps: int) -> None:
        for _ in range(steps):
            if self.alive():
                self.world.tell_one()

    @precondition(linked)
    @rule(count=st.integers(1, 4))
    def work_is_assigned(self, count: int) -> None:
        assert self.world.wire is not None
        epochs = range(self.next_epoch, self.next_epoch + count)
        self.next_epoch += count
        self.world.wire.down.append(Assign([task(epoch) for epoch in epochs]))

    @precondition(linked)
    @rule(count=st.integers(1, 4))
    def work_arrives(self, count: int) -> None:
        epochs = range(self.next_epoch, self.next_epoch + count)
        self.next_epoch += count
        self.world.assign(*epochs)

    @precondition(linked)
    @rule(data=st.data())
    def an_assign_is_repeated(self, data: st.DataObject) -> None:
        told = {report.epoch for report in self.world.reports.values()}
        if open_epochs := sorted(self.world.taken - told):
            self.world.assign(data.draw(st.sampled_from(open_epochs)))

    @precondition(linked)
    @rule(data=st.data())
    def work_is_revoked(self, data: st.DataObject) -> None:
        told = {report.epoch for report in self.world.reports.values()}
        if open_epochs := sorted(self.world.taken - told):
            self.world.arrive(Revoke((data.draw(st.sampled_from(open_epochs)),)))

    @precondition(linked)
    @rule()
    def work_that_was_lost_with_a_stream_is_revoked(self) -> None:
        self.world.arrive(Revoke((self.next_epoch,)))
        self.next_epoch += 1

    @precondition(lambda self: self.world.running)
    @rule(data=st.data())
    def a_task_ends(self, data: st.DataObject) -> None:
        epoch = data.draw(st.sampled_from(sorted(self.world.running)))
        self.world.end(epoch, outcome=data.draw(st.sampled_from(["done", "failed", "released"])))

    @rule()
    def the_executor_obeys(self) -> None:
        self.world.executor_obeys()

    @precondition(alive)
    @rule(seconds=st.sampled_from([0.001, 0.25, 1, 3, LEASE_S - 0.001, LEASE_S]))
    def time_passes(self, seconds: float) -> None:
        self.world.wait(seconds)

    @precondition(alive)
    @rule(chance=st.integers(0, 9))
    def it_is_told_to_drain(self, chance: int) -> None:
        if not chance:
            self.world.drain(grace_s=1000)

    @invariant()
    def told_at_most_once(self) -> None:
        self.world.outcomes()

    def teardown(self) -> None:
        """The world heals: all that was taken must be told, and nothing be left."""
        world = self.world
        if world.quit is None:
            if world.dialled is not None:
                world.give_up_dial()
            if world.wire is not None:
                world.cut()
            world.connect()
        if world.running:
            world.end(*world.running)
        if world.quit is None:
            world.talk()
        assert world.taken <= set(world.outcomes())
        if world.quit is not None:
            assert world.quit.cause is Cause.DRAINED
            return
        world.dial()
        assert world.last_hello().held_epochs == ()
        assert world.last_hello().reporting_epochs == ()


AgentLife.TestCase.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
TestAgentLife = AgentLife.TestCase
