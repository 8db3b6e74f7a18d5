"""What the coordinator tells, as values, named as in the JSON documents; `as_document` gives those back.

Moments are RFC 3339 strings in UTC (`datetime.fromisoformat` reads them).
"""

from dataclasses import asdict, dataclass
from typing import Any

from edgeward.jobs import Found, HashFound
from protos import cluster_pb2, document, jobs_pb2, types_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was settled so far. `cost_usd` is energy + network + carbon; `energy_joules` is marginal, PUE included."""

    energy_joules: float
    energy_source: str  # measured, modelled
    cost_usd: float
    energy_usd: float
    network_usd: float
    carbon_usd: float
    carbon_g: float
    queue_ms: float
    network_ms: float
    run_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReceipt(Receipt):
    nodes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReceipt(Receipt):
    node: str
    site: str | None
    region: str | None
    price_usd_per_kwh: float
    price_source: str | None  # feed, operator, declared
    path: str | None  # relayed, direct


@dataclass(frozen=True, slots=True)
class Attempt:
    attempt_id: str
    task_id: str
    node: str
    epoch: int
    state: str
    placed_at: str
    started_at: str | None
    ended_at: str | None
    reason: str | None
    receipt: AttemptReceipt | None


@dataclass(frozen=True, slots=True)
class Job:
    job_id: str
    kind: str
    state: str
    submitted_at: str
    settled_at: str | None
    origin: str | None
    strategy: str | None
    key: str | None
    client: str | None
    result: HashFound | None
    error: str | None
    waiting_for: str | None
    units_done: int
    units: int
    receipt: JobReceipt | None
    attempts: list[Attempt]

    @classmethod
    def of(cls, message: types_pb2.Job) -> "Job":
        fields = document.job(message)
        if fields["result"]:
            found = [Found(**each) for each in fields["result"]["nonces"]]
            fields["result"] = HashFound(found, fields["result"]["hashes_done"])
        if fields["receipt"]:
            fields["receipt"] = JobReceipt(**fields["receipt"])
        fields["attempts"] = [_attempt(each) for each in fields["attempts"]]
        return cls(**fields)


def _attempt(fields: document.Document) -> Attempt:
    if fields["receipt"]:
        fields["receipt"] = AttemptReceipt(**fields["receipt"])
    return Attempt(**fields)


@dataclass(frozen=True, slots=True)
class RunnerUp:
    node: str
    cost_usd: float | None
    expected_ms: float | None
    bill_usd: float | None  # the cost without the client's time


@dataclass(frozen=True, slots=True)
class Placement:
    seq: int
    at: str
    job_id: str
    task_id: str
    attempt_id: str
    node: str
    site: str | None
    region: str | None
    strategy: str | None
    cost_usd: float
    energy_usd: float
    network_usd: float
    carbon_usd: float
    time_usd: float
    energy_joules: float
    price_usd_per_kwh: float
    rtt_ms: float
    rtt_source: str | None
    expected_ms: float
    path: str | None
    runner_up: RunnerUp | None
    reason: str | None

    @classmethod
    def of(cls, message: types_pb2.Placement) -> "Placement":
        return cls.read(document.placement(message))

    @classmethod
    def read(cls, fields: document.Document) -> "Placement":
        if fields["runner_up"]:
            fields["runner_up"] = RunnerUp(**fields["runner_up"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Rejection:
    rule: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Considered:
    node: str
    rank: int | None  # 1 is best; None if rejected
    rejections: list[Rejection]
    cost_usd: float | None
    energy_usd: float | None
    network_usd: float | None
    carbon_usd: float | None
    time_usd: float | None
    energy_joules: float | None
    expected_ms: float | None
    parts_ms: dict[str, float | None]  # rtt, transfer, queue, service

    @classmethod
    def read(cls, fields: document.Document) -> "Considered":
        fields["rejections"] = [Rejection(**each) for each in fields["rejections"]]
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Explained:
    placement: Placement
    considered: list[Considered]


@dataclass(frozen=True, slots=True)
class Why:
    """Why a job went where it went: every placement, and with each every node that was considered. Prints as tables."""

    job_id: str
    placements: list[Explained]

    @property
    def considered(self) -> list[Considered]:
        """The nodes of the latest placement, best first, the rejected last."""
        return self.placements[-1].considered if self.placements else []

    @classmethod
    def of(cls, message: jobs_pb2.WhyResponse) -> "Why":
        fields = document.why(message)
        explained = [
            Explained(Placement.read(each["placement"]), [Considered.read(node) for node in each["considered"]])
            for each in fields["placements"]
        ]
        return cls(fields["job_id"], explained)

    def __str__(self) -> str:
        from edgeward import tables  # late: who never prints never loads Rich

        return tables.text(tables.why(self))


@dataclass(frozen=True, slots=True)
class Survivors:
    rule: str
    left: int


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: str
    survivors: list[Survivors]
    relaxation: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What would happen to a job if it were submitted now. Prints as a table."""

    feasible: bool
    plan_id: str | None
    placements: list[Placement]
    considered: list[Considered]
    refusal: Refusal | None

    @classmethod
    def of(cls, message: jobs_pb2.PlanResponse) -> "Plan":
        fields = document.plan(message)
        refusal = fields["refusal"]
        return cls(
            feasible=fields["feasible"],
            plan_id=fields["plan_id"],
            placements=[Placement.read(each) for each in fields["placements"]],
            considered=[Considered.read(each) for each in fields["considered"]],
            refusal=refusal
            and Refusal(refusal["reason"], [Survivors(**each) for each in refusal["survivors"]], refusal["relaxation"]),
        )

    def __str__(self) -> str:
        from edgeward import tables

        return tables.text(tables.plan(self))


@dataclass(frozen=True, slots=True)
class Alternative:
    """A strategy's way with a job: the node of its first task, and costs over all tasks that it would have placed."""

    strategy: str
    node: str | None
    cost_usd: float
    energy_usd: float
    expected_ms: float
    held: int


@dataclass(frozen=True, slots=True)
class WhatIf:
    job_id: str
    actual: Alternative
    alternatives: list[Alternative]
    tasks: int  # that were asked about, the job's first
    tasks_of: int

    @classmethod
    def of(cls, message: jobs_pb2.WhatIfResponse) -> "WhatIf":
        fields = document.whatif(message)
        return cls(
            fields["job_id"],
            Alternative(**fields["actual"]),
            [Alternative(**each) for each in fields["alternatives"]],
            fields["tasks"],
            fields["tasks_of"],
        )

    def __str__(self) -> str:
        from edgeward import tables

        return tables.text(tables.whatif(self))


@dataclass(frozen=True, slots=True)
class Move:
    """One attempt that goes elsewhere, and what is left of it costs here and there; `to_node` None: it waits."""

    job_id: str
    task_id: str
    from_node: str
    to_node: str | None
    cost_here_usd: float
    cost_there_usd: float | None

    @classmethod
    def of(cls, message: cluster_pb2.ProposedMove) -> "Move":
        return cls(**document.move(message))


@dataclass(frozen=True, slots=True)
class Injected:
    """What makes a node slower than its machine is, for demonstrations."""

    extra_delay_ms: float | None
    max_hashes_per_s: float | None


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    state: str
    site: str | None
    region: str | None
    operator: str | None
    tier: str | None
    slots: int
    busy: int
    waiting: int
    price_usd_per_kwh: float
    price_source: str | None
    rtt_ms: float | None
    hashes_per_s: float | None  # a slot
    models: list[str]
    idle_watts: float
    max_watts: float
    energy_source: str | None
    injected: Injected | None

    @classmethod
    def of(cls, message: cluster_pb2.Node) -> "Node":
        fields = document.node(message)
        if fields["injected"]:
            fields["injected"] = Injected(**fields["injected"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Site:
    name: str
    region: str | None
    operator: str | None
    tier: str | None
    price_usd_per_kwh: float
    price_source: str | None
    price_note: str | None
    curtailed: bool
    nodes: list[str]

    @classmethod
    def of(cls, message: cluster_pb2.Site) -> "Site":
        return cls(**document.site(message))


@dataclass(frozen=True, slots=True)
class Strategy:
    name: str
    family: str
    rule: str
    live: bool

    @classmethod
    def of(cls, message: cluster_pb2.Strategy) -> "Strategy":
        return cls(**document.strategy(message))


@dataclass(frozen=True, slots=True)
class Token:
    id: str
    role: str
    name: str | None
    bearer: bool
    uses_left: int
    expires_at: str

    @classmethod
    def of(cls, message: cluster_pb2.Token) -> "Token":
        return cls(**document.token(message))


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """The only time that the secret is shown: `join`, a line to paste, or `bearer`, for HTTP."""

    id: str
    expires_at: str
    join: str | None = None
    bearer: str | None = None

    @classmethod
    def of(cls, message: cluster_pb2.CreateTokenResponse) -> "CreatedToken":
        return cls(**document.created_token(message))

    def as_document(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


def as_document(view: Any) -> dict[str, Any]:
    """The JSON document that a view was read from."""
    return view.as_document() if isinstance(view, CreatedToken) else asdict(view)
