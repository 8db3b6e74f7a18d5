"""`/metrics`: what happened since this process started, counted turn by turn, and how things stand at this moment.

Labels take their values from what is installed (states, strategies), never from what users name, so a scrape stays
small whatever they do.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from coordinator.coordinator import Coordinator
from coordinator.lifecycle import SETTLED
from coordinator.ports import Turn
from coordinator.settle import MICRO, PICO, Closing
from coordinator.work import Job
from placement.model import AttemptState, JobState, NodeState

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
OPEN = [state for state in JobState if state not in SETTLED]
ENDED = [state for state in AttemptState if state not in (AttemptState.LEASED, AttemptState.RUNNING)]


class Metrics:
    """An observer of turns with a registry of its own; every name begins with `edgeward_`."""

    def __init__(self, coordinator: Callable[[], Coordinator], write_error: Callable[[], str]) -> None:
        """`coordinator`: the present one (a failed write replaces it). `write_error`: empty while all is well."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, which Prometheus does not read
        self._registry = registry = CollectorRegistry()
        self._jobs = Counter("edgeward_jobs_settled", "Jobs settled.", ["state"], registry=registry)
        self._attempts = Counter("edgeward_attempts_ended", "Attempts that are over.", ["state"], registry=registry)
        self._placements = Counter("edgeward_placements", "Tasks placed.", ["strategy"], registry=registry)
        self._joules = Counter("edgeward_settled_energy_joules", "Joules of settled jobs.", registry=registry)
        self._cost = Counter("edgeward_settled_cost_usd", "Cost of jobs that cost something.", registry=registry)
        self._credit = Counter(
            "edgeward_settled_credit_usd",
            "What jobs at negative prices brought in; to be taken off.",
            registry=registry,
        )
        self._turns = Histogram(
            "edgeward_turn_seconds",
            "Turns that were written, from first input to last answer.",
            buckets=SECONDS,
            registry=registry,
        )
        self._writes = Histogram(
            "edgeward_commit_seconds", "Writes of a turn, until it was durable.", buckets=SECONDS, registry=registry
        )
        for settled in sorted(SETTLED):
            self._jobs.labels(_label(settled))
        for ended in ENDED:
            self._attempts.labels(_label(ended))
        Info("edgeward_build", "What runs here.", registry=registry).info({"version": version("edgeward")})
        ProcessCollector(namespace="edgeward", registry=registry)
        registry.register(_Present(coordinator, write_error))

    def turned(self, turn: Turn, took_s: float, writing_s: float) -> None:
        """Count a turn that is durable. `took_s` contains `writing_s`."""
        self._turns.observe(took_s)
        self._writes.observe(writing_s)
        for decision in turn.decisions:
            if decision.nodes:
                self._placements.labels(decision.strategy).inc(len(decision.nodes))
        for ended, attempts in Tally(_attempts_ended(turn)).items():
            self._attempts.labels(_label(ended)).inc(attempts)
        if turn.settlements:
            self._settled(turn)

    def _settled(self, turn: Turn) -> None:
        for settled, jobs in Tally(one.state for one in turn.settlements).items():
            self._jobs.labels(_label(settled)).inc(jobs)
        self._joules.inc(sum(one.energy_microjoules for one in turn.settlements) / MICRO)
        self._cost.inc(sum(max(one.cost_picodollars, 0) for one in turn.settlements) / PICO)
        self._credit.inc(sum(max(-one.cost_picodollars, 0) for one in turn.settlements) / PICO)

    def text(self) -> bytes:
        """The exposition, in the text format 0.0.4."""
        return generate_latest(self._registry)


class _Present(Collector):
    """How things stand when somebody asks."""

    def __init__(self, coordinator: Callable[[], Coordinator], write_error: Callable[[], str]) -> None:
        self._coordinator = coordinator
        self._write_error = write_error

    def collect(self) -> Iterator[Metric]:
        now = self._coordinator()
        yield _by_state("edgeward_jobs_open", "Jobs not settled.", OPEN, (job.state for job in now.jobs.values()))
        states = (now.table.facts[member.index].state for member in now.members.values())
        yield _by_state("edgeward_nodes", "Registered nodes.", NodeState, states)
        yield CounterMetricFamily(
            "edgeward_stale_reports", "Reports by others than the lease's holder, ignored.", now.stale_reports
        )
        yield GaugeMetricFamily(
            "edgeward_store_write_error", "1 while turns cannot be made durable.", int(bool(self._write_error()))
        )


_State = JobState | AttemptState | NodeState


def _attempts_ended(turn: Turn) -> Iterator[AttemptState]:
    """The end of every attempt that ended in this turn, once each."""
    settled = {job.number for job in turn.settled}
    for closing in turn.closings:
        if closing.job not in settled:  # else it is among those of its job
            yield Closing.unpack(closing.packed).state
    for job in turn.settled:
        yield from _ended_at(job, turn.now_us)


def _ended_at(job: Job, now_us: int) -> Iterator[AttemptState]:
    """Of a settled job's attempts those that ended with it; earlier ones were counted in their own turn."""
    for packed in reversed(job.closed):
        closing = Closing.unpack(packed)
        if closing.ended_us != now_us:
            return
        yield closing.state


def _by_state(name: str, text: str, possible: Iterable[_State], present: Iterable[_State]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["state"])
    found = Tally(present)
    for state in possible:
        family.add_metric([_label(state)], found[state])
    return family


def _label(state: _State) -> str:
    return state.name.lower()
