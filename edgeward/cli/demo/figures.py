"""What the rounds of the demo came to: one line a strategy, and the sentence that says what the figures show."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgeward.cli.demo.work import OBJECTIVE_MS, SECOND_USD, Round
from edgeward.jobs import Found
from edgeward.tables import duration
from edgeward.views import Considered, Explained, Job


@dataclass(frozen=True, slots=True)
class Figures:
    """One strategy. Energy is modelled and marginal, PUE included; latency and `patient_s` are measured."""

    strategy: str
    energy_joules: float
    energy_usd: float
    time_usd: float  # measured latency past the objective, at the client's price of a second
    cost_usd: float  # energy + network + carbon + time: the bill
    latency_ms: dict[str, float]  # p50 and p95 of the urgent jobs, nearest-rank
    waiting_ms: dict[str, float]  # the same of what was neither travel nor run
    objective_met: float  # share of the urgent jobs
    patient_s: float
    share_by_site: dict[str, float]  # of busy slot-seconds
    share_by_kind: dict[str, dict[str, float]]  # the same for the patient and the urgent work apart
    found: list[Found]


def figures(of: Round) -> Figures:
    """The figures of one round."""
    jobs = [*of.patient, *of.urgent]
    receipts = [job.receipt for job in jobs if job.receipt is not None]
    late_s = sum(max(latency_ms - OBJECTIVE_MS, 0) / 1e3 for latency_ms in of.urgent_ms)
    return Figures(
        strategy=of.strategy,
        energy_joules=sum(receipt.energy_joules for receipt in receipts),
        energy_usd=sum(receipt.energy_usd for receipt in receipts),
        time_usd=SECOND_USD * late_s,
        cost_usd=sum(receipt.cost_usd for receipt in receipts) + SECOND_USD * late_s,
        latency_ms=_quantiles(of.urgent_ms),
        waiting_ms=_quantiles([_waited(ms, job) for ms, job in zip(of.urgent_ms, of.urgent, strict=True)]),
        objective_met=sum(latency_ms <= OBJECTIVE_MS for latency_ms in of.urgent_ms) / len(of.urgent_ms),
        patient_s=of.patient_s,
        share_by_site=shares(jobs),
        share_by_kind={"patient": shares(of.patient), "urgent": shares(of.urgent)},
        found=[found for job in of.patient if job.result is not None for found in job.result.nonces],
    )


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    return {"p50": nearest_rank(values, 0.50), "p95": nearest_rank(values, 0.95)}


def _waited(latency_ms: float, job: Job) -> float:
    travelled_and_ran = job.receipt.network_ms + job.receipt.run_ms if job.receipt is not None else 0.0
    return max(latency_ms - travelled_and_ran, 0.0)


def nearest_rank(values: Sequence[float], quantile: float) -> float:
    """The least of the values that at least this share of them does not exceed."""
    return sorted(values)[max(math.ceil(quantile * len(values)), 1) - 1]


def shares(jobs: Iterable[Job]) -> dict[str, float]:
    """Share of busy slot-seconds by site, largest first."""
    busy: Counter[str] = Counter()
    for job in jobs:
        for attempt in job.attempts:
            if attempt.receipt is not None and attempt.receipt.site is not None:
                busy[attempt.receipt.site] += attempt.receipt.run_ms  # type: ignore[assignment]  # counts may be floats
    total = sum(busy.values())
    return {site: milliseconds / total for site, milliseconds in busy.most_common()} if total else {}


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """One kind of work where `weighted` put most of it, and as quoted, then, for where it put the other kind."""

    here: str
    there: str
    share_here: float
    usd_here: float  # a job
    usd_there: float
    ms_here: float  # expected, a task
    ms_there: float
    queue_ms_there: float  # of that


def elsewhere(of: Round) -> dict[str, Elsewhere]:
    """The patient and the urgent work of a round, each against the other's place; from the log of `why`."""
    places = {kind: shares(jobs) for kind, jobs in (("patient", of.patient), ("urgent", of.urgent))}
    patient, urgent = (next(iter(place)) for place in places.values())
    return {
        "patient": _compared(of.patient_why, patient, urgent, places["patient"][patient]),
        "urgent": _compared(of.urgent_why, urgent, patient, places["urgent"][urgent]),
    }


def _compared(explained: Sequence[Explained], here: str, there: str, share: float) -> Elsewhere:
    jobs = len({each.placement.job_id for each in explained})
    at = {site: [_considered(each, site) for each in explained] for site in (here, there)}

    def usd(site: str) -> float:
        return sum(node.cost_usd or 0.0 for node in at[site]) / jobs

    def ms(site: str) -> float:
        return nearest_rank([node.expected_ms or 0.0 for node in at[site]], 0.5)

    queue_ms = nearest_rank([node.parts_ms["queue"] or 0.0 for node in at[there]], 0.5)
    return Elsewhere(here, there, share, usd(here), usd(there), ms(here), ms(there), queue_ms)


def _considered(explained: Explained, node: str) -> Considered:
    return next(each for each in explained.considered if each.node == node)


def sentence(table: Sequence[Figures], kinds: dict[str, Elsewhere]) -> str:
    """What the figures show, whatever they are."""
    patient, urgent = kinds["patient"], kinds["urgent"]
    by_name = {each.strategy: each for each in table}
    weighted = by_name.pop("weighted")
    if patient.here == urgent.here:
        told = f"One rule, the least cost in money, sent both kinds of work to {patient.here}"
    else:
        told = (
            f"One rule, the least cost in money, sent {patient.share_here:.0%} of the patient work to {patient.here}, "
            f"where a search costs {micro(patient.usd_here)} (at {patient.there} {micro(patient.usd_there)}), "
            f"and {urgent.share_here:.0%} of the urgent work to {urgent.here}, "
            f"where a job costs {micro(urgent.usd_here)}, its time included (at {urgent.there} "
            f"{micro(urgent.usd_there)}: {duration(urgent.ms_there)}, {duration(urgent.queue_ms_there)} of it in the "
            f"queue, instead of {duration(urgent.ms_here)})"
        )
    bills = " and ".join(f"{name}'s {micro(each.cost_usd)}" for name, each in by_name.items())
    least = min(table, key=lambda each: each.cost_usd).strategy
    verdict = "the least of all" if least == "weighted" else f"the least was {least}'s"
    return f"{told}; its bill was {micro(weighted.cost_usd)} against {bills}: {verdict}."


def micro(usd: float) -> str:
    """In millionths of a dollar: the work is small."""
    return f"{1e6 * usd:,.3g} µ$" if abs(usd) < 1e-3 else f"{1e6 * usd:,.0f} µ$"
