"""Messages as the JSON documents of the contract: the one place that knows their shape.

The command line's `--json` and the coordinator's HTTP API both print what stands here. Moments are RFC 3339 in UTC with
milliseconds, ids are UUIDs with dashes, what is absent is None, settled money and energy are divided once, at the end.
"""

import math
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from protos import cluster_pb2, jobs_pb2, types_pb2

Document = dict[str, Any]

EPOCH = datetime(1970, 1, 1)
PICO = 10**12
MICRO = 10**6


def job(message: types_pb2.Job) -> Document:
    """A job that is open has no result yet, whatever was found so far; one that ended badly may have a partial one."""
    job_id, ended = identity(message.job_id), message.state >= types_pb2.JOB_STATE_SUCCEEDED
    return {
        "job_id": job_id,
        "kind": kind(message.kind),
        "state": job_state(message.state),
        "submitted_at": moment(message.submitted_us),
        "settled_at": moment(message.settled_us) if message.HasField("settled_us") else None,
        "origin": message.origin or None,
        "strategy": message.strategy or None,
        "key": message.key or None,
        "client": message.client or None,
        "result": hash_result(message.hash) if ended and message.WhichOneof("result") == "hash" else None,
        "error": message.error or None,
        "waiting_for": message.waiting_for or None,
        "units_done": message.units_done,
        "units": message.units,
        "receipt": receipt(message.receipt) | {"nodes": sorted(message.nodes)} if message.HasField("receipt") else None,
        "attempts": [attempt(each, job_id) for each in message.attempts],
    }


def hash_result(message: types_pb2.HashResult) -> Document:
    return {
        "nonces": [{"nonce": found.nonce, "hash": found.hash.hex()} for found in message.nonces],
        "hashes_done": message.hashes_done,
    }


def attempt(message: types_pb2.Attempt, job_id: str | None) -> Document:
    closed = receipt(message.receipt) | _charged(message) if message.HasField("receipt") else None
    return {
        "attempt_id": identity(message.attempt_id),
        "task_id": task_id(job_id, message.part),
        "node": message.node,
        "epoch": message.epoch,
        "state": attempt_state(message.state),
        "placed_at": moment(message.placed_us),
        "started_at": moment(message.started_us) if message.HasField("started_us") else None,
        "ended_at": moment(message.ended_us) if message.HasField("ended_us") else None,
        "reason": message.reason or None,
        "receipt": closed,
    }


def _charged(message: types_pb2.Attempt) -> Document:
    """Where an attempt ran and what a kilowatt-hour cost there, as its receipt repeats it."""
    return {
        "node": message.node,
        "site": message.site or None,
        "region": message.region or None,
        "price_usd_per_kwh": message.price_usd_per_kwh,
        "price_source": message.price_source or None,
        "path": message.path or None,
    }


def receipt(message: types_pb2.Receipt) -> Document:
    """The sums that a job and an attempt share. `cost_usd` is energy + network + carbon, added as integers."""
    cost = message.energy_picodollars + message.network_picodollars + message.carbon_picodollars
    return {
        "energy_joules": message.energy_microjoules / MICRO,
        "energy_source": "measured" if message.energy_measured else "modelled",
        "cost_usd": cost / PICO,
        "energy_usd": message.energy_picodollars / PICO,
        "network_usd": message.network_picodollars / PICO,
        "carbon_usd": message.carbon_picodollars / PICO,
        "carbon_g": message.carbon_micrograms / MICRO,
        "queue_ms": message.queue_us / 1000,
        "network_ms": message.network_us / 1000,
        "run_ms": message.run_us / 1000,
        "total_ms": message.total_us / 1000,
    }


def placement(message: types_pb2.Placement) -> Document:
    job_id = identity(message.job_id)
    return {
        "seq": message.seq,
        "at": moment(message.at_us),
        "job_id": job_id,
        "task_id": task_id(job_id, message.part),
        "attempt_id": identity(message.attempt_id),
        "node": message.node,
        "site": message.site or None,
        "region": message.region or None,
        "strategy": message.strategy or None,
        "cost_usd": number(message.cost_usd),
        "energy_usd": number(message.energy_usd),
        "network_usd": number(message.network_usd),
        "carbon_usd": number(message.carbon_usd),
        "time_usd": number(message.time_usd),
        "energy_joules": number(message.energy_joules),
        "price_usd_per_kwh": number(message.price_usd_per_kwh),
        "rtt_ms": number(message.rtt_ms),
        "rtt_source": message.rtt_source or None,
        "expected_ms": number(message.expected_ms),
        "path": message.path or None,
        "runner_up": _runner_up(message.runner_up) if message.HasField("runner_up") else None,
        "reason": message.reason or None,
    }


def _runner_up(message: types_pb2.RunnerUp) -> Document:
    return {
        "node": message.node,
        "cost_usd": number(message.cost_usd),
        "expected_ms": number(message.expected_ms),
        "bill_usd": number(message.bill_usd),
    }


def considered(message: types_pb2.Considered) -> Document:
    """One node as a strategy saw it. A figure that is not finite (no road to the node, say) is None."""
    return {
        "node": message.node,
        "rank": message.rank if message.HasField("rank") else None,
        "rejections": [{"rule": each.rule, "sentence": each.sentence} for each in message.rejections],
        "cost_usd": number(message.cost_usd),
        "energy_usd": number(message.energy_usd),
        "network_usd": number(message.network_usd),
        "carbon_usd": number(message.carbon_usd),
        "time_usd": number(message.time_usd),
        "energy_joules": number(message.energy_joules),
        "expected_ms": number(message.expected_ms),
        "parts_ms": {
            "rtt": number(message.rtt_ms),
            "transfer": number(message.transfer_ms),
            "queue": number(message.queue_ms),
            "service": number(message.service_ms),
        },
    }


def why(message: jobs_pb2.WhyResponse) -> Document:
    return {
        "job_id": identity(message.job_id),
        "placements": [
            {"placement": placement(each.placement), "considered": [considered(node) for node in each.considered]}
            for each in message.explanations
        ],
    }


def plan(message: jobs_pb2.PlanResponse) -> Document:
    return {
        "feasible": message.feasible,
        "plan_id": message.plan_id or None,
        "placements": [placement(each) for each in message.placements],
        "considered": [considered(each) for each in message.considered],
        "refusal": refusal(message.refusal) if message.HasField("refusal") else None,
    }


def whatif(message: jobs_pb2.WhatIfResponse) -> Document:
    return {
        "job_id": identity(message.job_id),
        "actual": _alternative(message.actual),
        "alternatives": [_alternative(each) for each in message.alternatives],
        "tasks": message.tasks,
        "tasks_of": message.tasks_of,
    }


def _alternative(message: jobs_pb2.Alternative) -> Document:
    return {
        "strategy": message.strategy,
        "node": message.node or None,
        "cost_usd": message.cost_usd,
        "energy_usd": message.energy_usd,
        "expected_ms": message.expected_ms,
        "held": message.held,
    }


def move(message: cluster_pb2.ProposedMove) -> Document:
    job_id = identity(message.job_id)
    return {
        "job_id": job_id,
        "task_id": task_id(job_id, message.part),
        "from_node": message.from_node,
        "to_node": message.to_node or None,
        "cost_here_usd": number(message.cost_here_usd),
        "cost_there_usd": number(message.cost_there_usd) if message.HasField("cost_there_usd") else None,
    }


def refusal(message: types_pb2.Refusal) -> Document:
    return {
        "reason": message.reason,
        "survivors": [{"rule": each.rule, "left": each.left} for each in message.survivors],
        "relaxation": message.relaxation or None,
    }


def node(message: cluster_pb2.Node) -> Document:
    return {
        "name": message.name,
        "state": message.state,
        "site": message.site or None,
        "region": message.region or None,
        "operator": message.operator or None,
        "tier": message.tier or None,
        "slots": message.slots,
        "busy": message.busy,
        "waiting": message.waiting,
        "price_usd_per_kwh": number(message.price_usd_per_kwh),
        "price_source": message.price_source or None,
        "rtt_ms": number(message.rtt_ms) if message.HasField("rtt_ms") else None,
        "hashes_per_s": number(message.hashes_per_s) if message.HasField("hashes_per_s") else None,
        "models": sorted(message.models),
        "idle_watts": message.idle_watts,
        "max_watts": message.max_watts,
        "energy_source": message.energy_source or None,
        "injected": _injected(message),
    }


def _injected(message: cluster_pb2.Node) -> Document | None:
    """What makes this node slower than its machine is, for demonstrations; None on an honest node."""
    if not message.extra_delay_ms and not message.max_hashes_per_s:
        return None
    return {
        "extra_delay_ms": message.extra_delay_ms or None,
        "max_hashes_per_s": message.max_hashes_per_s or None,
    }


def site(message: cluster_pb2.Site) -> Document:
    return {
        "name": message.name,
        "region": message.region or None,
        "operator": message.operator or None,
        "tier": message.tier or None,
        "price_usd_per_kwh": number(message.price_usd_per_kwh),
        "price_source": message.price_source or None,
        "price_note": message.price_note or None,
        "curtailed": message.curtailed,
        "nodes": sorted(message.nodes),
    }


def strategy(message: cluster_pb2.Strategy) -> Document:
    return {"name": message.name, "family": message.family, "rule": message.rule, "live": message.live}


def token(message: cluster_pb2.Token) -> Document:
    return {
        "id": message.id,
        "role": message.role,
        "name": message.name or None,
        "bearer": message.bearer,
        "uses_left": message.uses_left,
        "expires_at": moment(message.expires_us),
    }


def created_token(message: cluster_pb2.CreateTokenResponse) -> Document:
    """The only time that the secret is shown: `join`, a line to paste, or `bearer`, for HTTP."""
    secret = {"bearer": message.bearer} if message.bearer else {"join": message.join}
    return {"id": message.id, **secret, "expires_at": moment(message.expires_us)}


def by_name(documents: Iterable[Document]) -> list[Document]:
    return sorted(documents, key=lambda document: document["name"])


def moment(microseconds: int) -> str:
    """Microseconds since 1970 UTC as RFC 3339 with milliseconds (cut, not rounded) and Z."""
    return (EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="milliseconds") + "Z"


def identity(sixteen: bytes) -> str | None:
    return str(uuid.UUID(bytes=sixteen)) if sixteen else None


def task_id(job_id: str | None, part: int) -> str | None:
    return f"{job_id}.{part}" if job_id else None


def number(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None


def kind(value: types_pb2.Kind.ValueType) -> str:
    return types_pb2.Kind.Name(value).removeprefix("KIND_").lower()


def job_state(value: types_pb2.JobState.ValueType) -> str:
    return types_pb2.JobState.Name(value).removeprefix("JOB_STATE_").lower()


def attempt_state(value: types_pb2.AttemptState.ValueType) -> str:
    return types_pb2.AttemptState.Name(value).removeprefix("ATTEMPT_STATE_").lower()
