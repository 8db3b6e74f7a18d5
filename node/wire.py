"""The node's half of the border: own values to messages of the wire and back."""

from __future__ import annotations

from itertools import starmap

from node.executor.port import HashTask, Outcome
from node.messages import (
    Announcement,
    Assign,
    Draining,
    Facts,
    Fenced,
    FromCoordinator,
    FromNode,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Offer,
    Reports,
    ReportsAck,
    Revoke,
    Welcome,
)
from protos import nodes_pb2 as pb

OUTCOMES: dict[Outcome, pb.Outcome.ValueType] = {
    "done": pb.OUTCOME_DONE,
    "failed": pb.OUTCOME_FAILED,
    "released": pb.OUTCOME_RELEASED,
}


class Malformed(ValueError):
    """A message from the coordinator that contradicts itself; the sentence says how."""


def encode(message: FromNode) -> pb.NodeMessage:
    match message:
        case Reports():
            return pb.NodeMessage(reports=_reports(message))
        case Heartbeat():
            return pb.NodeMessage(heartbeat=pb.Heartbeat(**message._asdict()))
        case Offer():
            return pb.NodeMessage(offer=pb.Offer(**message._asdict()))
        case Draining(on):
            return pb.NodeMessage(draining=pb.Draining(on=on))
        case Hello(facts, held, reporting, incarnation):
            hello = pb.Hello(facts=_facts(facts), held_epochs=held, reporting_epochs=reporting, incarnation=incarnation)
            return pb.NodeMessage(hello=hello)


def decode(message: pb.CoordinatorMessage) -> FromCoordinator | None:
    """None for a kind of message that this version does not know. Raises `Malformed`."""
    match message.WhichOneof("message"):
        case "assign":
            return _assign(message.assign)
        case "heartbeat_ack":
            return HeartbeatAck(message.heartbeat_ack.beat)
        case "reports_ack":
            return ReportsAck(message.reports_ack.last_report)
        case "revoke":
            return Revoke(tuple(message.revoke.epochs))
        case "announcement":
            return Announcement(message.announcement.announcement)
        case "welcome":
            return _welcome(message.welcome)
        case "fenced":
            return Fenced(message.fenced.reason)
        case _:
            return None


def _facts(facts: Facts) -> pb.NodeFacts:
    return pb.NodeFacts(**facts._asdict())


def _reports(message: Reports) -> pb.Reports:
    reports = message.reports
    return pb.Reports(
        last_report=message.last_report,
        epochs=[report.epoch for report in reports],
        outcomes=[OUTCOMES[report.outcome] for report in reports],
        units_done=[report.units_done for report in reports],
        run_us=[report.run_us for report in reports],
        waited_us=[report.waited_us for report in reports],
        energy_microjoules=[report.energy_microjoules for report in reports],
        energy_measured=message.energy_measured,
        found=[
            pb.ReportedNonces(position=i, nonces=report.nonces) for i, report in enumerate(reports) if report.nonces
        ],
        errors=[pb.ReportedError(position=i, error=report.error) for i, report in enumerate(reports) if report.error],
    )


def _welcome(welcome: pb.Welcome) -> Welcome:
    if not 0 < welcome.heartbeat_ms < welcome.lease_ms:
        raise Malformed(
            f"a welcome with heartbeats every {welcome.heartbeat_ms} ms and leases of {welcome.lease_ms} ms"
        )
    return Welcome(welcome.heartbeat_ms, welcome.lease_ms)


def _assign(assign: pb.Assign) -> Assign:
    """Whether a header or a target makes sense is for the engine to say, task by task; here the columns must agree."""
    columns = (assign.epochs, assign.nonce_starts, assign.nonce_counts, assign.works)
    if len({len(column) for column in columns}) != 1:
        raise Malformed("an assignment whose columns differ in length")
    shared = [(work.header, work.target, work.find_all, work.priority) for work in assign.work]
    if assign.works and max(assign.works) >= len(shared):
        raise Malformed("an assignment that names work which it does not carry")
    headers, targets, finds, priorities = zip(*shared, strict=True) if shared else ((), (), (), ())
    works = assign.works
    rows = zip(
        assign.epochs,
        map(headers.__getitem__, works),
        map(targets.__getitem__, works),
        assign.nonce_starts,
        assign.nonce_counts,
        map(finds.__getitem__, works),
        map(priorities.__getitem__, works),
        strict=True,
    )
    return Assign(list(starmap(HashTask, rows)))
