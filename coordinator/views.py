"""What can be seen: jobs, placements, nodes and sites as the wire's view messages, from memory or from the store."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator import identity, settlement
from coordinator.coordinator import Coordinator
from coordinator.explaining import Explained
from coordinator.moving import Move
from coordinator.ports import SettledJob
from coordinator.settle import PRICE_SOURCES, Closing, Tariffs
from coordinator.work import Attempt, Found, Job, Submission
from placement.explain import Considered
from placement.feasible import Survey
from placement.fleet_table import NodeTable
from placement.model import AttemptState, JobState, NodeFacts
from protos import cluster_pb2, types_pb2

MILLI = 1e3


class Views:
    """The coordinator's read side. Changes nothing."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    @property
    def _table(self) -> NodeTable:
        return self._coordinator.table

    # -- jobs

    def open_job(self, job: Job, *, attempts: bool = True) -> types_pb2.Job:
        """A job that is not settled; one whose settlement is not written yet still runs, to a reader."""
        closed = [Closing.unpack(packed) for packed in job.closed]
        state = min(job.state, JobState.RUNNING)
        message = self._job(job.number, job.submission, state, closed, dict(job.reasons), job.found, attempts)
        message.units_done = job.units_done + sum(attempt.units_seen for attempt in job.live.values())
        message.hash.hashes_done = job.units_done
        message.waiting_for = self._coordinator.waiting_for(job)
        if attempts:
            message.attempts.extend(self._live_attempt(attempt) for attempt in job.live.values())
        return message

    def settled_job(self, settled: SettledJob, *, attempts: bool = True) -> types_pb2.Job:
        """A job as it was settled."""
        body = settlement.unpack(settled.body)
        message = self._job(
            settled.job, settled.submission, settled.state, body.attempts, body.reasons, body.found, attempts
        )
        message.settled_us = settled.settled_us
        message.units_done = message.hash.hashes_done = body.units_done
        message.error = body.error
        return message

    def _job(
        self,
        number: int,
        submission: Submission,
        state: JobState,
        closed: list[Closing],
        reasons: dict[int, str],
        found: list[Found],
        attempts: bool,
    ) -> types_pb2.Job:
        item = number - submission.first
        message = types_pb2.Job(
            job_id=identity.key(number, submission.submitted_us, self._coordinator.salt),
            kind=submission.shape.kind,  # type: ignore[arg-type]  # one numbering, held together by a test
            state=state,  # type: ignore[arg-type]
            submitted_us=submission.submitted_us,
            origin=submission.shape.origin,
            strategy=submission.wishes.strategy or self._coordinator.strategy,
            key=submission.key,
            client=submission.client,
            hash=types_pb2.HashResult(nonces=[found_message(one) for one in found]),
            units=submission.work.count(item),
        )
        if closed:
            message.receipt.CopyFrom(total_receipt(closed))
            names = {self._table.names[closing.node] for closing in closed if closing.run_us or closing.units_done}
            message.nodes.extend(sorted(names))
        if attempts:
            message.attempts.extend(self._closed_attempt(one, reasons.get(one.epoch, "")) for one in closed)
        return message

    def _closed_attempt(self, closing: Closing, reason: str) -> types_pb2.Attempt:
        message = self._attempt(closing.epoch, closing.part, closing.node, closing.state, closing.placed_us)
        message.reason = reason
        message.ended_us = closing.ended_us
        if closing.started_us:
            message.started_us = closing.started_us
        message.receipt.CopyFrom(receipt(closing))
        message.price_usd_per_kwh = closing.price_usd_per_kwh
        message.price_source = PRICE_SOURCES[closing.price_source]
        return message

    def _live_attempt(self, attempt: Attempt) -> types_pb2.Attempt:
        piece = attempt.piece
        return self._attempt(attempt.epoch, piece.part, attempt.node, attempt.state, attempt.placed_us)

    def _attempt(self, epoch: int, part: int, node: int, state: AttemptState, placed_us: int) -> types_pb2.Attempt:
        facts = self._table.facts[node]
        return types_pb2.Attempt(
            attempt_id=identity.key(epoch, placed_us, self._coordinator.salt),
            part=part,
            node=facts.name,
            epoch=epoch,
            state=state,  # type: ignore[arg-type]
            placed_us=placed_us,
            site=facts.site,
            region=facts.region,
            path="relayed",
        )

    # -- placements

    def placement(self, explained: Explained, submission: Submission) -> types_pb2.Placement:
        """A placement with its reason and its runner-up: the next node by cost that could have taken it."""
        by_node = {one.node: one for one in explained.considered}
        chosen = by_node[explained.node]
        facts = explained.facts[explained.node]
        at_us = round(explained.at * 1e6)
        message = types_pb2.Placement(
            seq=explained.epoch,
            at_us=at_us,
            job_id=identity.key(explained.task.job, submission.submitted_us, self._coordinator.salt),
            part=explained.task.part,
            attempt_id=identity.key(explained.epoch, at_us, self._coordinator.salt),
            node=facts.name,
            site=facts.site,
            region=facts.region,
            strategy=explained.strategy,
            cost_usd=chosen.cost_usd,
            energy_usd=chosen.energy_usd,
            network_usd=chosen.network_usd,
            carbon_usd=chosen.carbon_usd,
            time_usd=chosen.time_usd,
            energy_joules=chosen.energy_joules,
            price_usd_per_kwh=explained.price_usd_per_kwh[explained.node],
            rtt_ms=chosen.path_s * MILLI,
            rtt_source=chosen.path_source.name.lower(),
            expected_ms=chosen.expected_s * MILLI,
            path=explained.demand.shape.path.value,
        )
        others = [one for one in explained.considered if one.rank is not None and one.node != explained.node]
        if others:
            next_best = others[0]
            message.runner_up.CopyFrom(
                types_pb2.RunnerUp(
                    node=explained.facts[next_best.node].name,
                    cost_usd=next_best.cost_usd,
                    expected_ms=next_best.expected_s * MILLI,
                    bill_usd=next_best.energy_usd + next_best.network_usd + next_best.carbon_usd,
                )
            )
        message.reason = _reason(explained.strategy, chosen, others)
        return message

    # -- the fleet

    def nodes(self, now: float) -> list[cluster_pb2.Node]:
        """Every registered node, by name."""
        tariffs = Tariffs(self._table, self._coordinator.world)
        return [self._node(name, tariffs, now) for name in sorted(self._coordinator.members)]

    def _node(self, name: str, tariffs: Tariffs, now: float) -> cluster_pb2.Node:
        member = self._coordinator.members[name]
        facts = self._table.facts[member.index]
        message = cluster_pb2.Node(
            name=name,
            state=facts.state.name.lower(),
            site=facts.site,
            region=facts.region,
            operator=facts.operator,
            tier="hub" if facts.hub else "edge",
            slots=facts.slots,
            busy=min(len(member.live), facts.slots),
            waiting=max(len(member.live) - facts.slots, 0),
            price_usd_per_kwh=tariffs.present(member.index, now)[0],
            price_source=facts.price_source,
            idle_watts=facts.idle_watts,
            max_watts=facts.max_watts,
            energy_source="measured" if facts.energy_measured else "modelled",
            extra_delay_ms=facts.extra_delay_s * MILLI,
            max_hashes_per_s=facts.max_hashes_per_s,
        )
        if facts.coordinator_rtt_s is not None:
            message.rtt_ms = facts.coordinator_rtt_s * MILLI
        if facts.hashes_per_s:
            message.hashes_per_s = facts.hashes_per_s
        return message

    def sites(self, now: float) -> list[cluster_pb2.Site]:
        """Every site with a registered node, by name."""
        tariffs = Tariffs(self._table, self._coordinator.world)
        sites: dict[str, cluster_pb2.Site] = {}
        for name in sorted(self._coordinator.members):
            index = self._coordinator.members[name].index
            facts = self._table.facts[index]
            if facts.site not in sites:
                sites[facts.site] = cluster_pb2.Site(
                    name=facts.site,
                    region=facts.region,
                    operator=facts.operator,
                    tier="hub" if facts.hub else "edge",
                    price_usd_per_kwh=tariffs.present(index, now)[0],
                    price_source=facts.price_source,
                    curtailed=facts.curtailed,
                )
            sites[facts.site].nodes.append(name)
        return [sites[name] for name in sorted(sites)]


def _reason(strategy: str, chosen: Considered, others: list[Considered]) -> str:
    """One sentence on why here."""
    if not others:
        return f"{strategy}: the only node that could take it"
    best = others[0]
    if chosen.rank == 1:
        return f"{strategy}: least cost, {best.cost_usd - chosen.cost_usd:.2g} USD under the next"
    return f"{strategy}: by its rule; the least cost was {chosen.cost_usd - best.cost_usd:.2g} USD less elsewhere"


def considered_message(one: Considered, facts: list[NodeFacts]) -> types_pb2.Considered:
    """One node's account, on the wire."""
    return types_pb2.Considered(
        node=facts[one.node].name,
        rank=one.rank,
        rejections=[types_pb2.Rejection(rule=why.reason.value, sentence=why.sentence) for why in one.rejections],
        cost_usd=one.cost_usd,
        energy_usd=one.energy_usd,
        network_usd=one.network_usd,
        carbon_usd=one.carbon_usd,
        time_usd=one.time_usd,
        energy_joules=one.energy_joules,
        expected_ms=one.expected_s * MILLI,
        rtt_ms=one.path_s * MILLI,
        transfer_ms=one.transfer_s * MILLI,
        queue_ms=one.wait_s * MILLI,
        service_ms=one.run_s * MILLI,
    )


def proposed_move(move: Move, coordinator: Coordinator) -> cluster_pb2.ProposedMove:
    """A move, on the wire."""
    job, names = move.attempt.piece.job, coordinator.table.names
    return cluster_pb2.ProposedMove(
        job_id=identity.key(job.number, job.submission.submitted_us, coordinator.salt),
        part=move.attempt.piece.part,
        from_node=names[move.attempt.node],
        to_node="" if move.to is None else names[move.to],
        cost_here_usd=move.cost_here,
        cost_there_usd=None if move.to is None else move.cost_there,
    )


def refusal_message(survey: Survey) -> types_pb2.Refusal:
    return types_pb2.Refusal(
        reason=survey.reason,
        survivors=[types_pb2.Survivors(rule=rule, left=left) for rule, left in survey.survivors],
        relaxation=survey.relaxation,
    )


def found_message(found: Found) -> types_pb2.FoundNonce:
    return types_pb2.FoundNonce(nonce=found.nonce, hash=found.hash)


def receipt(closing: Closing) -> types_pb2.Receipt:
    """An attempt's receipt."""
    return types_pb2.Receipt(
        energy_microjoules=closing.energy_microjoules,
        energy_measured=closing.energy_measured,
        energy_picodollars=closing.energy_picodollars,
        network_picodollars=closing.network_picodollars,
        carbon_picodollars=closing.carbon_picodollars,
        carbon_micrograms=closing.carbon_micrograms,
        queue_us=closing.queue_us,
        network_us=closing.network_us,
        run_us=closing.run_us,
        total_us=closing.total_us,
    )


def total_receipt(closings: Iterable[Closing]) -> types_pb2.Receipt:
    """A job's receipt: the sum of its attempts'; measured only if all of them were."""
    total = types_pb2.Receipt(energy_measured=True)
    for closing in closings:
        one = receipt(closing)
        total.energy_measured &= one.energy_measured
        for field in _SUMMED:
            setattr(total, field, getattr(total, field) + getattr(one, field))
    return total


_SUMMED = tuple(name for name in types_pb2.Receipt.DESCRIPTOR.fields_by_name if name != "energy_measured")
