"""What an operator configures: every key with its default, checked, frozen, handed down.

`config_file.load` reads it, once.
"""

import difflib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from placement import strategy


@dataclass(frozen=True)
class Address:
    """Where to listen or be reached. Port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(value: object) -> Address:
    """From "HOST:PORT" or "[IPV6]:PORT". Raises ValueError with the form that is wanted."""
    if isinstance(value, Address):
        return value
    match = (
        re.fullmatch(r"(?:\[([0-9a-fA-F:.%\w]+)\]|([^\s:\[\]/]+)):(\d{1,5})", value) if isinstance(value, str) else None
    )
    if not match or int(match[3]) > 65535:
        raise ValueError("wanted is HOST:PORT, such as 127.0.0.1:7370")
    return Address(match[1] or match[2], int(match[3]))


def _a_name(value: str) -> str:
    if not value.strip() or not value.isprintable() or "|" in value:
        raise ValueError('a name is printable text without "|", which joins names in lists')
    return value


def like(word: str, known: list[str]) -> str:
    """The known word that was probably meant, as a parenthesis; empty when none is near."""
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


At = Annotated[Address, BeforeValidator(address)]
Name = Annotated[str, Field(max_length=100), AfterValidator(_a_name)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A table of the file: frozen, with no key that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Site(Section):
    """A `[[site]]` table. What it says outranks what the site's nodes declare; what it leaves out, they declare."""

    name: Name
    region: Name | None = None
    """A name in the latency file."""
    operator: Name | None = None
    tier: Literal["hub", "edge"] | None = None
    price_zone: Name | None = None
    """A column of the prices file; instead of `price_usd_per_kwh`."""
    price_usd_per_kwh: Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)] | None = None
    """A fixed price; may be negative."""
    carbon_zone: Name | None = None
    """A column of the carbon file; left out, the price zone."""
    pue: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    """Energy at the meter over energy at the machines."""
    bandwidth_mbps: Positive | None = None
    """Left out: unlimited."""
    egress_usd_per_gb: NotNegative = 0.0
    """What the site pays for each 1e9 bytes of answers that leave it."""

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if self.price_zone is not None and self.price_usd_per_kwh is not None:
            raise ValueError("price_zone and price_usd_per_kwh exclude each other: leave one")
        return self


class Money(Section):
    """`[money]`: what is not on an electricity bill."""

    second_usd: NotNegative = 0.0002
    """Price of a second past the objective, where neither job nor client names one."""
    carbon_usd_per_kg: NotNegative = 0.0
    idle_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of idle draw that a quote charges to the work."""


class Limits(Section):
    """`[limits]`: how long, how often, how many."""

    lease_s: Positive = 10.0
    """A node's right to run an attempt, counted from the beat that renewed it. Work of a silent node starts elsewhere
    after it, so shorter recovers faster; below 7 s a cut that TCP survives (6 s) moves work for nothing."""
    heartbeat_s: Positive = 2.0
    """How often a node beats; each beat renews its leases and refreshes its facts."""
    max_attempts: Count = 5
    """Tries of one task that failed or were lost before its job fails with the reasons of each."""
    items_a_submission: Count = 100_000
    """Equal items in one submission."""
    open_jobs: Count = 1_000_000
    """Jobs accepted and not yet settled. Past it a submit is told to come back later, so memory stays bounded."""
    task_s: Positive = 2.0
    """A hash job is cut into tasks that take a slot about this long: less is lost with a node, more is balanced."""
    tasks_a_job: Count = 4096
    """A job so large that `task_s` would make more is cut more coarsely."""
    turn_log_days: Positive = 30.0
    """How long `why`, `whatif` and `record` can look back."""

    @model_validator(mode="after")
    def _lease_outlives_two_beats(self) -> Self:
        if self.lease_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"lease_s = {self.lease_s:g} is shorter than twice heartbeat_s = {self.heartbeat_s:g}: "
                "a healthy node would lose its work"
            )
        return self


class Strategies(BaseModel):
    """`strategy = "weighted"`, or `[strategy]` with `name`, and `[strategy.NAME]` with the parameters of any."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    name: str = "weighted"

    def parameters(self, name: str) -> dict[str, Any]:
        """What stands in the file for one strategy; what is left out keeps the strategy's own default."""
        given: dict[str, Any] = (self.model_extra or {}).get(name, {})
        return given

    @model_validator(mode="after")
    def _strategies_take_them(self) -> Self:
        known = strategy.names()
        for name in (self.name, *(self.model_extra or {})):
            if name not in known:
                raise ValueError(f'"{name}" is no strategy{like(name, known)}; there are {", ".join(known)}')
            _check_parameters(name, self.parameters(name))
        return self


def _check_parameters(name: str, given: object) -> None:
    """Raise ValueError unless these are fields of the strategy, which is a dataclass, with values of their types."""
    if not isinstance(given, dict):
        raise ValueError(f"{name}: write its parameters in a table, [strategy.{name}]")
    chosen: Any = strategy.load(name)
    taken, types = [field.name for field in fields(chosen)], get_type_hints(type(chosen))
    for key, value in given.items():
        if key not in taken:
            raise ValueError(f"{name}.{key} is an unknown key{like(key, taken)}")
        try:
            TypeAdapter(types[key]).validate_python(value, strict=True)
        except ValidationError as error:
            raise ValueError(f"{name}.{key} = {value!r}: {error.errors()[0]['msg'].lower()}") from None


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class Config(Section):
    """The whole configuration of a coordinator."""

    listen: At = Address("127.0.0.1", 7370)
    """gRPC, for clients and nodes."""
    http: At = Address("127.0.0.1", 7371)
    http_plain: bool = False
    """HTTP without TLS off loopback too, behind a proxy that adds it."""
    advertise: At | None = None
    """What join strings point to; left out, where it listens."""
    data: Path | None = None
    """The directory for the store, the authority and the credentials; left out, in the user's data directory."""
    store: str | None = None
    """URL of the store; left out, SQLite in `data`."""
    region: Name | None = None
    """Where the coordinator stands; relayed answers pass through it."""
    strategy: Annotated[Strategies, BeforeValidator(_named)] = Strategies()
    prices: Path | None = None
    """Hourly prices: `ts_utc`, then a column for each zone, USD per kWh."""
    carbon: Path | None = None
    """The same in g per kWh."""
    price_gaps: Literal["error", "hold"] = "error"
    """A cell without a value: refuse to start, or let the last one stand and count it. For carbon too."""
    latency: Path | None = None
    """Round trips between regions: `source,destination,rtt_ms`."""
    site: tuple[Site, ...] = ()
    money: Money = Money()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _sites_hold_together(self) -> Self:
        names = [site.name for site in self.site]
        for site in self.site:
            if names.count(site.name) > 1:
                raise ValueError(f'site "{site.name}" is described twice: leave one')
            if site.price_zone is not None and self.prices is None:
                raise ValueError(
                    f'site "{site.name}" pays the price of zone "{site.price_zone}", which no file has: '
                    'add prices = "FILE.csv"'
                )
        return self

    @model_validator(mode="after")
    def _addresses_differ(self) -> Self:
        if self.listen == self.http and self.listen.port:
            raise ValueError(f"listen and http are both {self.listen}: give them different ports")
        if self.advertise is not None and self.advertise.port == 0:
            raise ValueError("advertise: port 0 cannot be reached; name the port that nodes and clients dial")
        return self
