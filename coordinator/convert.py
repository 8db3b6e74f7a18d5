"""The coordinator's half of the border: submissions between the wire's messages and our values."""

from __future__ import annotations

from math import inf

from coordinator.admit import Request
from coordinator.errors import InvalidSubmission
from coordinator.work import HashWork, Submission, Wishes
from placement.model import Kind, Shape
from protos import records_pb2, types_pb2

HEADER_BYTES = 76
TARGET_BYTES = 32


def request_from(message: types_pb2.Submission, client: str) -> Request:
    """What a client sent, in our values. Raises `InvalidSubmission` where a column cannot be cut into items."""
    if message.WhichOneof("work") != "hash":
        raise InvalidSubmission("a submission needs work; this coordinator takes hash searches")
    if message.options.replicas > 1:
        raise InvalidSubmission("more than one replica is not offered yet: leave replicas out")
    body = message.SerializeToString(deterministic=True)
    return Request(message.key, client, message.count, _wishes(message.options), _hash_work(message.hash), body)


def _wishes(options: types_pb2.Options) -> Wishes:
    return Wishes(
        origin=options.origin,
        objective_s=options.objective_ms / 1e3 if options.HasField("objective_ms") else None,
        second_usd=options.second_usd if options.HasField("second_usd") else None,
        deadline_s=options.deadline_s if options.HasField("deadline_s") else None,
        priority=options.priority,
        budget_usd=options.budget_usd if options.HasField("budget_usd") else None,
        keep_in=tuple(options.keep_in),
        strategy=options.strategy,
    )


def _hash_work(message: types_pb2.HashWork) -> HashWork:
    return HashWork(
        _cut(message.headers, HEADER_BYTES, "headers"),
        _cut(message.targets, TARGET_BYTES, "targets"),
        tuple(message.nonce_starts),
        tuple(message.nonce_counts),
        message.find_all,
    )


def _cut(column: bytes, size: int, name: str) -> tuple[bytes, ...]:
    if len(column) % size:
        raise InvalidSubmission(f"{name} holds {len(column)} bytes, which is no multiple of {size}")
    return tuple(column[at : at + size] for at in range(0, len(column), size))


def submission_to_bytes(submission: Submission) -> bytes:
    """What the store keeps of a submission beside its row's own columns."""
    record = records_pb2.AdmittedSubmission(
        grain=submission.grain,
        second_usd=submission.second_usd,
        objective_s=submission.objective_s,
        before_s=None if submission.before == inf else submission.before,
        origin=submission.shape.origin,
        client=submission.client,
    )
    record.submission.MergeFromString(submission.body)
    return record.SerializeToString()


def submission_from_bytes(data: bytes, first: int, submitted_us: int) -> Submission:
    """The inverse of `submission_to_bytes`."""
    record = records_pb2.AdmittedSubmission.FromString(data)
    request = request_from(record.submission, record.client)
    return Submission(
        first=first,
        count=request.count,
        key=request.key,
        client=request.client,
        body=request.body,
        wishes=request.wishes,
        work=request.work,
        submitted_us=submitted_us,
        shape=Shape(Kind.HASH, record.origin, tuple(sorted(set(request.wishes.keep_in)))),
        grain=record.grain,
        second_usd=record.second_usd,
        objective_s=record.objective_s,
        before=record.before_s if record.HasField("before_s") else inf,
    )
