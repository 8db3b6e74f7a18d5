"""The keys of scenario.toml and fleet.toml, with their defaults, as CONTRACT.md's page on scenario files has them."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from coordinator.config import Count, Money, Name, NotNegative, Positive, Section
from coordinator.config import Site as ConfiguredSite

Finite = Annotated[float, Field(allow_inf_nan=False)]


def _utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _a_file(value: str) -> str:
    if not value.strip():
        raise ValueError("must be the name of a file")
    return value


File = Annotated[str, AfterValidator(_a_file)]
Moment = Annotated[datetime, AfterValidator(_utc)]


# fleet.toml


class FleetSite(ConfiguredSite):
    """`[[site]]`: as a coordinator's configuration has it, but nothing is declared later."""

    region: Name
    tier: Literal["hub", "edge"] = "edge"

    @model_validator(mode="after")
    def _a_price(self) -> Self:
        if self.price_zone is None and self.price_usd_per_kwh is None:
            raise ValueError("its electricity has no price: add price_zone or price_usd_per_kwh")
        return self


class Hash(Section):
    hashes_per_s: Positive
    """Of a slot."""


class Inference(Section):
    """Rates of a slot. What is left out takes no time."""

    requests_per_s: Positive | None = None
    prefill_tokens_per_s: Positive | None = None
    tokens_per_s: Positive | None = None

    @model_validator(mode="after")
    def _a_rate(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("no rate: give requests_per_s, prefill_tokens_per_s or tokens_per_s")
        return self


class FleetNode(Section):
    """`[[node]]`: one machine, or `count` alike."""

    site: Name
    name: Name
    count: Count = 1
    slots: Count = 1
    idle_watts: NotNegative = 0.0
    max_watts: NotNegative
    """With all slots busy."""
    hash: Hash | None = None
    inference: Inference | None = None
    keep_private: bool = False
    """Takes only work from its own region."""
    hardware_usd_per_hour: NotNegative = 0.0
    """What owning it costs, running or not; for `edgeward mining`."""
    coordinator_rtt_ms: NotNegative | None = None
    """A measured round trip to the coordinator, of a recorded fleet; left out, the latency file's."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.max_watts < self.idle_watts:
            raise ValueError(f"max_watts = {self.max_watts:g} is less than idle_watts = {self.idle_watts:g}: swap them")
        if self.hash is None and self.inference is None:
            raise ValueError("it can do nothing: add hash = { hashes_per_s = ... } or inference = { ... }")
        return self


class Fleet(Section):
    site: Annotated[tuple[FleetSite, ...], Field(min_length=1)]
    node: Annotated[tuple[FleetNode, ...], Field(min_length=1)]


# scenario.toml


class Knowledge(Section):
    heartbeat_s: NotNegative = 2.0
    """How old the coordinator's view is; 0: always fresh."""
    horizon_s: NotNegative = 86400.0
    """How far ahead price curves are known."""


class Requests(Section):
    """An LLM trace instead of jobs."""

    file: File
    objective_ms: NotNegative | None = None
    second_usd: NotNegative | None = None
    origins: Annotated[dict[Name, NotNegative], Field(min_length=1)] | None = None
    """Shares; left out, everything comes from the coordinator's region."""

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.origins is not None and not sum(self.origins.values()) > 0:
            raise ValueError("origins: shares that add up to nothing")
        return self


class MiningTable(Section):
    network_hashes_per_s: Positive
    coin_usd: Positive
    subsidy_coin: NotNegative = 3.125
    fees_coin: NotNegative = 0.0
    reaction_hours: NotNegative = 24.0

    @model_validator(mode="after")
    def _a_block_is_worth_something(self) -> Self:
        if self.subsidy_coin + self.fees_coin <= 0:
            raise ValueError("subsidy_coin and fees_coin are both 0: a block must be worth something")
        return self


TAKES: dict[str, tuple[str, ...]] = {  # "a|b": exactly one of them
    "price": ("zone", "factor|add_usd_per_kwh"),
    "outage": ("region|site|node",),
    "ban": ("region",),
    "curtail": ("site",),
    "link": ("source", "destination", "factor"),
}


class EventTable(Section):
    """`[[event]]`: what happens at `at_s`, for `for_s` or to the end."""

    kind: Literal["price", "outage", "ban", "curtail", "link"]
    at_s: NotNegative
    for_s: Annotated[float, Field(gt=0, allow_inf_nan=True)] = inf
    zone: Name | None = None
    factor: Finite | None = None
    add_usd_per_kwh: Finite | None = None
    region: Name | None = None
    site: Name | None = None
    node: Name | None = None
    source: Name | None = None
    destination: Name | None = None

    @model_validator(mode="after")
    def _what_its_kind_takes(self) -> Self:
        given = self.model_fields_set - {"kind", "at_s", "for_s"}
        taken = {key for choice in TAKES[self.kind] for key in choice.split("|")}
        for key in sorted(given - taken):
            raise ValueError(f"kind {self.kind} takes no {key}, only {', '.join(sorted(taken))}")
        for choice in TAKES[self.kind]:
            keys = choice.split("|")
            if len(given.intersection(keys)) != 1:
                one = "needs " if len(keys) == 1 else "needs exactly one of "
                raise ValueError(f"kind {self.kind} {one}{', '.join(keys)}")
        if self.kind == "link" and not (self.factor or 0) > 0:
            raise ValueError("factor of a link must be more than 0")
        if self.for_s != self.for_s:
            raise ValueError("for_s must be a number of seconds")
        return self


class ScenarioFile(Section):
    name: Name | None = None
    """Left out, the name of the directory."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    start: Moment
    fleet: File
    jobs: File | None = None
    requests: Requests | None = None
    prices: File | None = None
    price_gaps: Literal["error", "hold"] = "error"
    carbon: File | None = None
    latency: File | None = None
    coordinator_region: Name | None = None
    """Left out, the region of the first hub site, else of the first site."""
    path: Literal["relayed", "direct"] = "relayed"
    money: Money = Money()
    knowledge: Knowledge = Knowledge()
    strategy: Annotated[dict[str, Any], Field(default_factory=dict)]
    """Parameters by strategy; `name` is the strategy that ran, of a recorded scenario."""
    mining: MiningTable | None = None
    event: tuple[EventTable, ...] = ()

    @model_validator(mode="after")
    def _one_trace(self) -> Self:
        if self.jobs is not None and self.requests is not None:
            raise ValueError("jobs and [requests] exclude each other: leave one")
        return self
