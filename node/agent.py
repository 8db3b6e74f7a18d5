"""The node's side of the protocol: what happened goes in, what to do comes out. No clock, no sockets, no chance.

Moments are microseconds of a clock that runs through suspend (CLOCK_BOOTTIME) and come in by the door. The promises:

- Nothing starts, and nothing is kept running, past the lease. It counts from when the acknowledged beat was *sent*, so
  it always ends here before it ends at the coordinator.
- Every task that was taken is reported under one outcome. The report is repeated, unchanged, after every reconnect
  until it is acknowledged, and forgotten then.
- A task that cannot be taken (lease run out, draining, another stream on its way) is released at once, nothing done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from node.actions import Action, Cause, ExtendLease, HangUp, Quit, RunTasks, Send, StopTasks
from node.executor.port import Ended, HashTask
from node.messages import (
    Announcement,
    Assign,
    Draining,
    Facts,
    Fenced,
    FromCoordinator,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Offer,
    Report,
    ReportsAck,
    Revoke,
    Welcome,
)
from node.meter import Meter
from node.outbox import Outbox

MAX_OPEN = 200_000  # tasks held plus reports kept, some 100 MB: a coordinator that asks for more is not reading
MAX_ERROR_CHARACTERS = 256
MAX_BEATS_OUT = 32


class Agent:
    """One node's agent. Every input returns the actions to take, in order and all of them before the next input."""

    def __init__(self, facts: Facts, meter: Meter, *, incarnation: int) -> None:
        self.facts = facts
        self._meter = meter
        self._incarnation = incarnation
        self._linked = False
        self._hello_us: int | None = None  # when a Hello was sent that waits for its Welcome
        self._heartbeat_us = self._lease_us = 0
        self._lease_until_us = 0
        self._beat = 0
        self._next_beat_us = 0
        self._beats_out: dict[int, int] = {}  # sent, not acknowledged: beat -> when
        self._rtt_us = 0
        self._held: dict[int, int] = {}  # epoch -> units
        self._held_units = 0
        self._stopping: set[int] = set()
        self._progress: dict[int, int] = {}  # as of the last beat
        self._outbox = Outbox(meter.measured)
        self._drain_until_us: int | None = None
        self._over = False

    # ---- what the session may ask

    @property
    def due_us(self) -> int | None:
        """When `tick` has something to do at the latest; None if nothing waits for time."""
        moments = []
        if self._linked:
            moments.append(self._next_beat_us)
        if len(self._held) > len(self._stopping):
            moments.append(self._lease_until_us)
        if self._drain_until_us is not None:
            moments.append(self._drain_until_us)
        return min(moments, default=None)

    @property
    def rtt_us(self) -> int:
        """Of the beat acknowledged last; 0: none yet."""
        return self._rtt_us

    # ---- what happened

    def connected(self, now_us: int) -> list[Action]:
        """A stream stands; the Hello belongs on it. One that is linked already stays so until the Welcome comes."""
        if self._over:
            return []
        self._hello_us = now_us
        return [Send(Hello(self.facts, tuple(self._held), self._outbox.epochs(), self._incarnation))]

    def abandoned(self, now_us: int) -> list[Action]:
        """The stream that waited for its Welcome was given up; the linked one, if any, goes on."""
        self._hello_us = None
        return self._settled([], now_us)

    def disconnected(self, now_us: int, *, another: bool = False) -> list[Action]:
        """The linked stream broke. `another`: a second one, which has said Hello, still waits for its Welcome."""
        self._linked = False
        if not another:
            self._hello_us = None
        return self._settled([], now_us)

    def received(self, message: FromCoordinator, now_us: int) -> list[Action]:
        if self._over:
            return []
        match message:
            case Assign(tasks):
                actions = self._assigned(tasks, now_us)
            case HeartbeatAck(beat):
                actions = self._acknowledged(beat, now_us)
            case ReportsAck(last_report):
                self._outbox.acknowledge(last_report)
                actions = []
            case Revoke(epochs):
                actions = self._revoked(epochs)
            case Announcement(number):
                actions = [Send(self._offer(number))]
            case Welcome():
                actions = self._welcomed(message, now_us)
            case Fenced(reason):
                return self._quit(Cause.FENCED, reason)
        return self._settled(actions, now_us)

    def ended(self, ended: Iterable[Ended], now_us: int) -> list[Action]:
        """The executor closed these attempts. What is not held, because it was closed before, is ignored."""
        if self._over:
            return []
        reports = [self._report(one) for one in ended if self._let_go(one.epoch)]
        return self._settled(self._tell(reports), now_us)

    def tick(self, now_us: int, progress: Mapping[int, int]) -> list[Action]:
        """Time passed. `progress`: units done of running attempts."""
        if self._over:
            return []
        actions: list[Action] = []
        if self._linked and now_us >= self._next_beat_us:
            self._progress = {epoch: done for epoch, done in progress.items() if epoch in self._held}
            actions.append(self._heartbeat(now_us))
        return self._settled(actions, now_us)

    def drain(self, now_us: int, grace_us: int) -> list[Action]:
        """Take no more work, hand back what is here, leave once all of it is acknowledged or `grace_us` has passed."""
        if self._over or self._drain_until_us is not None:
            return []
        self._drain_until_us = now_us + grace_us
        actions: list[Action] = [Send(Draining(True))] if self._linked else []
        return self._settled(actions + self._stop(list(self._held)), now_us)

    # ---- the link and the lease

    def _welcomed(self, welcome: Welcome, now_us: int) -> list[Action]:
        if self._hello_us is None:
            return []
        self._linked = True
        self._heartbeat_us, self._lease_us = welcome.heartbeat_ms * 1000, welcome.lease_ms * 1000
        self._beats_out.clear()
        actions = self._extend(self._hello_us)
        self._hello_us = None
        actions += [Send(message) for message in self._outbox.everything()]
        if self._drain_until_us is not None:
            actions.append(Send(Draining(True)))
        return [*actions, self._heartbeat(now_us)]  # at once: its ack tells the round trip

    def _heartbeat(self, now_us: int) -> Send:
        self._beat += 1
        self._beats_out[self._beat] = now_us
        if len(self._beats_out) > MAX_BEATS_OUT:
            del self._beats_out[next(iter(self._beats_out))]
        self._next_beat_us = now_us + self._heartbeat_us
        running = min(self.facts.slots, len(self._held))
        epochs, units_done = tuple(self._progress), tuple(self._progress.values())
        return Send(Heartbeat(self._beat, running, len(self._held) - running, self._rtt_us, epochs, units_done))

    def _acknowledged(self, beat: int, now_us: int) -> list[Action]:
        sent_us = self._beats_out.get(beat)
        if sent_us is None:
            return []
        for earlier in [b for b in self._beats_out if b <= beat]:
            del self._beats_out[earlier]
        known, self._rtt_us = self._rtt_us > 0, max(1, now_us - sent_us)
        actions = self._extend(sent_us)
        # the first round trip is told at once: until it is known, the node gets no work
        return actions if known else [*actions, self._heartbeat(now_us)]

    def _extend(self, sent_us: int) -> list[Action]:
        until_us = sent_us + self._lease_us
        if until_us <= self._lease_until_us:
            return []
        self._lease_until_us = until_us
        return [ExtendLease(until_us)]

    # ---- the work

    def _assigned(self, tasks: list[HashTask], now_us: int) -> list[Action]:
        """A task that is held, or ended with its report on the way, is not run again: the report is sent again.

        While another stream has said Hello, work that still comes over this one is released: that Hello did not name
        it, so the coordinator may be giving it to another node already.
        """
        if len(self._held) + len(self._outbox) + len(tasks) > MAX_OPEN:
            return [HangUp(f"more than {MAX_OPEN:,} tasks are held here or reported without an acknowledgement")]
        reported = [task.epoch for task in tasks if task.epoch in self._outbox]
        actions: list[Action] = [Send(message) for message in self._outbox.again(dict.fromkeys(reported))]
        new = {task.epoch: task for task in tasks if task.epoch not in self._held and task.epoch not in self._outbox}
        if not new:
            return actions
        ready = self._linked and self._hello_us is None and self._drain_until_us is None
        if not ready or now_us >= self._lease_until_us:
            return actions + self._tell([_nothing_done(epoch) for epoch in new])
        taken = list(new.values())
        self._held.update((task.epoch, task.nonce_count) for task in taken)
        self._held_units += sum(task.nonce_count for task in taken)
        return [*actions, RunTasks(taken)]

    def _revoked(self, epochs: Sequence[int]) -> list[Action]:
        """Stop what is held. An unknown epoch is released with nothing done: its Assign was lost with an older stream.

        One that ended and is not acknowledged keeps its report: two outcomes for an epoch would contradict each other.
        One that was acknowledged is unknown again; the coordinator closed it then, and its fence refuses the release.
        """
        unknown = [e for e in dict.fromkeys(epochs) if e not in self._held and e not in self._outbox]
        return self._stop([e for e in epochs if e in self._held]) + self._tell([_nothing_done(e) for e in unknown])

    def _stop(self, epochs: list[int]) -> list[Action]:
        fresh = [epoch for epoch in epochs if epoch not in self._stopping]
        if not fresh:
            return []
        self._stopping.update(fresh)
        return [StopTasks(fresh)]

    def _let_go(self, epoch: int) -> bool:
        units = self._held.pop(epoch, None)
        if units is None:
            return False
        self._held_units -= units
        self._stopping.discard(epoch)
        self._progress.pop(epoch, None)
        return True

    def _report(self, one: Ended) -> Report:
        energy = self._meter.microjoules(one.run_us)
        error = one.error[:MAX_ERROR_CHARACTERS]
        return Report(one.epoch, one.outcome, one.units_done, one.run_us, one.waited_us, energy, one.nonces, error)

    def _tell(self, reports: list[Report]) -> list[Action]:
        messages = self._outbox.add(reports)
        return [Send(message) for message in messages] if self._linked else []

    def _offer(self, announcement: int) -> Offer:
        facts = self.facts
        running = min(facts.slots, len(self._held))
        units = max(0, self._held_units - sum(self._progress.values()))
        queued_us = round(units / facts.hashes_per_s * 1e6) if facts.hashes_per_s > 0 else 0
        waiting, free = len(self._held) - running, facts.slots - running
        return Offer(announcement, running, waiting, free, queued_us, facts.price_usd_per_kwh, 0)

    # ---- after every input

    def _settled(self, actions: list[Action], now_us: int) -> list[Action]:
        """`actions`, and what the moment asks for: stop all once the lease has run out, leave once drained."""
        if self._over:
            return []
        if now_us >= self._lease_until_us:
            actions = actions + self._stop(list(self._held))
        if self._drain_until_us is None:
            return actions
        if not self._held and not len(self._outbox):
            return actions + self._quit(Cause.DRAINED, "drained: all work is handed back and acknowledged")
        if now_us >= self._drain_until_us:
            left = f"{len(self._held)} tasks held and {len(self._outbox)} reports not acknowledged"
            return actions + self._quit(Cause.GRACE, f"the drain took too long; left with {left}")
        return actions

    def _quit(self, cause: Cause, sentence: str) -> list[Action]:
        actions = self._stop(list(self._held))
        self._over = True
        return [*actions, Quit(cause, sentence)]


def _nothing_done(epoch: int) -> Report:
    return Report(epoch, "released", 0, 0, 0, 0, (), "")
