"""The live shell around the agent: gathers what happened, lets the agent decide, acts: the coordinator's turn in small.

**Why heartbeats cannot be starved.** A node's process runs nobody else's code: engines live in Ray's workers. What is
left that could hold a heartbeat up is our own waiting: a terminal that blocks the log, a slow disk, a signal. So the
session has a thread and an event loop of its own (`app.py` starts it), on which nothing but sockets is served: the
stream, the executor's socket, the injected delay. A timer thread beside that loop would gain nothing, for the stream is
written on the loop. Time is CLOCK_BOOTTIME; the loop's own timers stand still while the machine is suspended, so it
looks at least every 250 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import grpc

from node.actions import Action, Cause, ExtendLease, HangUp, Quit, RunTasks, Send, StopTasks
from node.agent import Agent
from node.executor.port import Ended, Executor
from node.executor.slot import boottime_us
from node.messages import Fenced, FromCoordinator, Hello, Welcome
from node.redial import Redial
from node.stream import Closed, Crashed, Opened, Received, Stream

LOOK_US = 250_000

REFUSED = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
}


class Drain(NamedTuple):
    grace_us: int


Input = Opened | Received | Closed | Crashed | Drain
Say = Callable[[str, dict[str, object]], None]


class Session:
    """Keeps one agent linked to its coordinator until it quits. All methods are for the event loop's thread.

    `dial` gives a fresh channel that shares no connection with an earlier one. `say` takes one event for people: a name
    and fields; it must not block.
    """

    def __init__(
        self,
        dial: Callable[[], grpc.aio.Channel],
        *,
        say: Say,
        redial: Redial,
        clock: Callable[[], int] = boottime_us,
    ) -> None:
        self._dial = dial
        self._say = say
        self._clock = clock
        self._redial = redial
        self._inputs: list[Input] = []
        self._ended: list[Ended] = []
        self._something = asyncio.Event()
        self._linked: Stream | None = None
        self._dialling: Stream | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._told_down = False
        self._quit: Quit | None = None

    async def run(self, agent: Agent, executor: Executor) -> Quit:
        """Until the agent quits, or the coordinator refuses this node. Does not close the executor."""
        self._agent, self._executor = agent, executor
        try:
            while self._quit is None:
                self._turn()
                if self._quit is None:
                    await self._until_due()
            if self._linked is not None:
                await self._linked.finish()
            return self._quit
        finally:
            for stream in (self._linked, self._dialling):
                if stream is not None:
                    self._close(stream)
            await asyncio.gather(*self._closing)

    def ended(self, ended: list[Ended]) -> None:
        """For the executor: what ended in one pass of the loop goes out as one message."""
        self._ended += ended
        self._something.set()

    def drain(self, grace_us: int) -> None:
        self._put(Drain(grace_us))

    def _put(self, happened: Input) -> None:
        self._inputs.append(happened)
        self._something.set()

    async def _until_due(self) -> None:
        now_us = self._clock()
        due_us = min(self._redial.due_us(), now_us + LOOK_US)
        if self._agent.due_us is not None:
            due_us = min(due_us, self._agent.due_us)
        timer = asyncio.get_running_loop().call_later(max(0, due_us - now_us) / 1e6, self._something.set)
        await self._something.wait()
        timer.cancel()
        self._something.clear()

    # ---- one turn: gather, decide, act

    def _turn(self) -> None:
        now_us = self._clock()
        if self._ended:
            ended, self._ended = self._ended, []
            self._act(self._agent.ended(ended, now_us))
        inputs, self._inputs = self._inputs, []
        for happened in inputs:
            match happened:
                case Received(stream, message):
                    self._received(stream, message, now_us)
                case Opened(stream):
                    if stream is self._dialling:
                        self._act(self._agent.connected(now_us))
                case Closed(stream, code, sentence):
                    self._closed(stream, code, sentence, now_us)
                case Crashed(error):
                    raise error
                case Drain(grace_us):
                    self._say("draining", {"grace_s": grace_us / 1e6})
                    self._act(self._agent.drain(now_us, grace_us))
        if self._agent.due_us is None or self._agent.due_us <= now_us:
            self._act(self._agent.tick(now_us, self._executor.progress()))
        self._look_after_link(now_us)

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(message):
                    stream = self._dialling if isinstance(message, Hello) else self._linked
                    if stream is not None:
                        stream.send(message)
                case RunTasks(tasks):
                    self._executor.run(tasks)
                case StopTasks(epochs):
                    self._executor.stop(epochs)
                case ExtendLease(until_us):
                    self._executor.lease(until_us)
                case HangUp(sentence):
                    if self._linked is not None:
                        self._closed(self._linked, grpc.StatusCode.RESOURCE_EXHAUSTED, sentence, self._clock())
                case Quit():
                    self._quit = action

    # ---- streams

    def _look_after_link(self, now_us: int) -> None:
        if self._dialling is not None and self._redial.should_give_up(now_us):
            self._closed(self._dialling, grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time", now_us)
        if self._quit is None and self._dialling is None and self._redial.should_dial(now_us):
            if self._linked is not None:
                self._say("silent", {"advice": "the coordinator missed a beat; dialling a second time beside it"})
            self._dialling = Stream(self._dial(), self._put)
            self._redial.dialled(now_us)

    def _received(self, stream: Stream, message: FromCoordinator, now_us: int) -> None:
        if stream is self._dialling:
            self._first_answer(stream, message, now_us)
        elif stream is self._linked:
            if isinstance(message, Fenced) and self._dialling is not None and self._dialling.opened:
                # Our own second stream may be what fenced the first; another agent would fence us on both.
                self._closed(stream, grpc.StatusCode.ABORTED, message.reason, now_us)
                return
            self._redial.heard(now_us)
            if self._dialling is not None and not self._dialling.opened:
                self._closed(self._dialling, grpc.StatusCode.CANCELLED, "the first stream is heard again", now_us)
            self._act(self._agent.received(message, now_us))

    def _first_answer(self, stream: Stream, message: FromCoordinator, now_us: int) -> None:
        if not isinstance(message, Welcome | Fenced):
            self._closed(stream, grpc.StatusCode.INTERNAL, "the coordinator spoke before its welcome", now_us)
            return
        if isinstance(message, Welcome):
            if self._linked is not None:
                self._close(self._linked)
            self._linked, self._dialling = stream, None
            self._redial.welcomed(now_us, message.heartbeat_ms * 1000)
            self._told_down = False
            self._say("connected", {"heartbeat_s": message.heartbeat_ms / 1000, "lease_s": message.lease_ms / 1000})
        self._act(self._agent.received(message, now_us))

    def _closed(self, stream: Stream, code: grpc.StatusCode, sentence: str, now_us: int) -> None:
        """The stream is over, whoever ended it; one that was replaced or given up before is nobody's loss."""
        if stream is self._linked:
            self._linked = None
            self._redial.link_lost(now_us)
            another = self._dialling is not None and self._dialling.opened
            self._act(self._agent.disconnected(now_us, another=another))
        elif stream is self._dialling:
            self._dialling = None
            self._redial.dial_failed(now_us)
            self._act(self._agent.abandoned(now_us))
        else:
            return
        self._close(stream)
        if code in REFUSED and self._quit is None:
            self._quit = Quit(Cause.REFUSED, f"the coordinator does not take this node: {sentence}")
        elif self._linked is None and not self._told_down:
            self._told_down = True
            self._say("unreachable", {"reason": sentence, "advice": "trying again, at least once a second"})

    def _close(self, stream: Stream) -> None:
        stream.close()
        closing = asyncio.create_task(stream.closed())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
