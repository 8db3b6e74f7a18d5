"""A world for one agent: a coordinator that is honest, streams that break, an executor that takes its time, a clock.

It checks, whatever is done to it, what the agent promises: nothing runs without a lease, numbers rise without a gap, a
report never changes once it was sent.
"""

from __future__ import annotations

from collections import deque

from node.actions import Action, ExtendLease, HangUp, Quit, RunTasks, Send, StopTasks
from node.agent import Agent
from node.executor.port import Ended, HashTask, Outcome
from node.messages import (
    Assign,
    Facts,
    FromCoordinator,
    FromNode,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Report,
    Reports,
    ReportsAck,
    Welcome,
)
from node.meter import ModelledMeter

SECOND = 1_000_000
HEARTBEAT_S, LEASE_S = 2, 10

FACTS = Facts(
    name="edge-1",
    site="paris",
    region="Paris",
    operator="ops",
    hub=False,
    price_zone="FR",
    price_usd_per_kwh=0.2,
    pue=1.1,
    idle_watts=10.0,
    max_watts=30.0,
    slots=2,
    keep_private=False,
    hashes_per_s=1000.0,
    energy_measured=False,
    extra_delay_ms=0.0,
    max_hashes_per_s=0.0,
    memory_bytes=1 << 30,
    version="test",
)


def task(epoch: int, units: int = 1000) -> HashTask:
    return HashTask(epoch, bytes(76), bytes(32), 0, units, False)


class Wire:
    """One stream: what is on its way, in both directions."""

    def __init__(self) -> None:
        self.up: deque[FromNode] = deque()
        self.down: deque[FromCoordinator] = deque()


class World:
    def __init__(self, now_us: int = 1_000 * SECOND) -> None:
        self.agent = Agent(FACTS, ModelledMeter.of(10.0, 30.0, 2), incarnation=7)
        self.now_us = now_us
        self.wire: Wire | None = None  # welcomed
        self.dialled: Wire | None = None  # said Hello
        self.lease_until_us = 0  # as a ruler outside the agent would measure it
        self.beat_sent: dict[int, int] = {}
        self.hello_sent_us = 0
        self.sent: list[FromNode] = []
        self.running: dict[int, HashTask] = {}  # with the executor, queued or running
        self.stopped: set[int] = set()
        self.started: list[int] = []
        self.quit: Quit | None = None
        # what the coordinator knows
        self.taken: set[int] = set()  # epochs whose Assign arrived
        self.reports: dict[int, Report] = {}
        self.acknowledged = 0

    # ---- what the agent asks for

    def act(self, actions: list[Action]) -> None:
        for action in actions:
            assert self.quit is None, f"{action} after the agent had quit"
            match action:
                case Send(message):
                    self._sent(message)
                case RunTasks(tasks):
                    assert self.now_us < self.lease_until_us, "work was started without a lease"
                    for one in tasks:
                        assert one.epoch not in self.started, "an epoch was started twice"
                        self.started.append(one.epoch)
                        self.running[one.epoch] = one
                case StopTasks(epochs):
                    assert set(epochs) <= set(self.running) - self.stopped
                    self.stopped |= set(epochs)
                case ExtendLease(until_us):
                    assert until_us <= self.lease_until_us, "the lease was stretched past what was acknowledged"
                case HangUp():
                    self.cut()
                case Quit():
                    self.quit = action
        if self.now_us >= self.lease_until_us:
            assert set(self.running) <= self.stopped, "work goes on past the lease"

    def _sent(self, message: FromNode) -> None:
        self.sent.append(message)
        if isinstance(message, Hello):
            assert self.dialled is not None
            self.hello_sent_us = self.now_us
            self.dialled.up.append(message)
            return
        assert self.wire is not None, f"{message} was sent without a link"
        if isinstance(message, Heartbeat):
            self.beat_sent[message.beat] = self.now_us
        self.wire.up.append(message)

    # ---- what happens to it

    def dial(self) -> None:
        self.dialled = Wire()
        self.act(self.agent.connected(self.now_us))

    def give_up_dial(self) -> None:
        self.dialled = None
        self.act(self.agent.abandoned(self.now_us))

    def cut(self) -> None:
        self.wire = None
        self.act(self.agent.disconnected(self.now_us, another=self.dialled is not None))

    def connect(self) -> None:
        """Dial, and let everything through until nothing more is said."""
        self.dial()
        self.talk()

    def talk(self) -> None:
        while self.hear_one() or self.tell_one():
            pass

    def hear_one(self) -> bool:
        """The coordinator takes one message and answers it."""
        if self.dialled and self.dialled.up:
            assert isinstance(self.dialled.up.popleft(), Hello)
            self.dialled.down.append(Welcome(HEARTBEAT_S * 1000, LEASE_S * 1000))
            return True
        if not self.wire or not self.wire.up:
            return False
        message = self.wire.up.popleft()
        if isinstance(message, Heartbeat):
            self.wire.down.append(HeartbeatAck(message.beat))
        elif isinstance(message, Reports):
            self._reported(message)
            self.wire.down.append(ReportsAck(message.last_report))
        return True

    def _reported(self, message: Reports) -> None:
        first = message.last_report - len(message.reports) + 1
        for number, report in enumerate(message.reports, first):
            assert self.reports.setdefault(number, report) == report, "a report changed when it was repeated"
        assert sorted(self.reports) == list(range(1, len(self.reports) + 1)), "numbers have a gap"
        self.acknowledged = max(self.acknowledged, message.last_report)

    def tell_one(self) -> bool:
        """One message of the coordinator arrives."""
        if self.dialled and self.dialled.down:
            message = self.dialled.down.popleft()
            assert isinstance(message, Welcome)
            self.wire, self.dialled = self.dialled, None
            self.lease_until_us = max(self.lease_until_us, self.hello_sent_us + LEASE_S * SECOND)
            self.act(self.agent.received(message, self.now_us))
            return True
        if not self.wire or not self.wire.down:
            return False
        self.arrive(self.wire.down.popleft())
        return True

    def arrive(self, message: FromCoordinator) -> None:
        if isinstance(message, HeartbeatAck):
            self.lease_until_us = max(self.lease_until_us, self.beat_sent[message.beat] + LEASE_S * SECOND)
        if isinstance(message, Assign):
            self.taken |= {one.epoch for one in message.tasks}
        self.act(self.agent.received(message, self.now_us))

    def assign(self, *epochs: int, units: int = 1000) -> None:
        """On the link, at once."""
        self.arrive(Assign([task(epoch, units) for epoch in epochs]))

    def wait(self, seconds: float) -> None:
        """Time passes in steps of a quarter second, as the session looks."""
        end_us = self.now_us + round(seconds * SECOND)
        while self.now_us < end_us:
            self.now_us = min(end_us, self.now_us + SECOND // 4)
            progress = dict.fromkeys(list(self.running)[: FACTS.slots], 10)
            self.act(self.agent.tick(self.now_us, progress))

    def wait_and_talk(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.wait(0.25)
            self.talk()

    def end(self, *epochs: int, outcome: Outcome = "done", units: int = 1000) -> None:
        ended = [Ended(e, outcome, units, 5 * SECOND, SECOND, (42,) if outcome == "done" else (), "") for e in epochs]
        for epoch in epochs:
            self.running.pop(epoch, None)
            self.stopped.discard(epoch)
        self.act(self.agent.ended(ended, self.now_us))

    def executor_obeys(self) -> None:
        """Everything that was stopped comes back, with a tenth of it done."""
        if self.stopped:
            self.end(*sorted(self.stopped), outcome="released", units=100)

    def drain(self, grace_s: float = 10) -> None:
        self.act(self.agent.drain(self.now_us, round(grace_s * SECOND)))

    # ---- what can be asked

    def outcomes(self) -> dict[int, str]:
        """By epoch, as the coordinator was told; fails if it was told twice."""
        epochs = [report.epoch for report in self.reports.values()]
        assert len(set(epochs)) == len(epochs), "an epoch was reported under two numbers"
        return {report.epoch: report.outcome for report in self.reports.values()}

    def last_hello(self) -> Hello:
        return next(message for message in reversed(self.sent) if isinstance(message, Hello))
