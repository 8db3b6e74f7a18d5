"""What a node's operator says of the machine: flags over file over defaults, checked, frozen, handed down.

The file is TOML with the tables `[[site]]` and `[[node]]` of a fleet file, so one file can serve a whole fleet: each
node finds itself there by its name. Keys for other readers are known here and left to them: links and carbon to the
coordinator, assumed speeds to the simulator (a live node measures its own).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

MODELLED_IDLE_WATTS = 10.0
MODELLED_SLOT_WATTS = 10.0
"""Where no watts are given: a small machine, 10 W idle and 10 W more for each busy slot. A model, not measured."""

LONGEST_EXTRA_DELAY_MS = 2000.0

SITE_KEYS = ("name", "region", "operator", "tier", "price_zone", "price_usd_per_kwh", "pue")
SITE_KEYS_OF_OTHERS = ("carbon_zone", "bandwidth_mbps", "egress_usd_per_gb")
NODE_KEYS = (
    *("name", "site", "slots", "idle_watts", "max_watts"),
    *("keep_private", "ray_address", "extra_delay_ms", "max_hashes_per_s"),
)
NODE_KEYS_OF_OTHERS = ("count", "hash", "inference")


class ConfigError(ValueError):
    """The configuration cannot be used. The message is one sentence for the operator."""


def _a_name(value: str) -> str:
    if not value.strip() or not value.isprintable() or "|" in value:
        raise ValueError('must be printable text without "|", which joins names in lists')
    return value


Name = Annotated[str, Field(max_length=100), AfterValidator(_a_name)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class NodeConfig(BaseModel):
    """One node, complete. Watts are at the plug, without PUE; the price is what the node declares."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    site: Name
    region: Name
    operator: Name
    tier: Literal["hub", "edge"] = "edge"
    price_zone: Name | None = None
    price_usd_per_kwh: Annotated[float, Field(allow_inf_nan=False)] | None = None
    pue: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    idle_watts: NotNegative
    max_watts: NotNegative
    slots: Annotated[int, Field(ge=1, le=4096)]
    keep_private: bool = False
    ray_address: str = ""
    extra_delay_ms: Annotated[float, Field(ge=0, le=LONGEST_EXTRA_DELAY_MS, allow_inf_nan=False)] = 0.0
    max_hashes_per_s: NotNegative = 0.0

    @model_validator(mode="after")
    def _draws_no_less_when_busy(self) -> Self:
        if self.max_watts < self.idle_watts:
            raise ValueError(
                f"max_watts = {self.max_watts:g} is below idle_watts = {self.idle_watts:g}: "
                "a machine draws at least as much busy as idle, so correct one of the two"
            )
        return self


class Given(NamedTuple):
    """What the operator said, and where: a flag, or a file and key."""

    value: object
    place: str


def read(path: Path | None, flags: Mapping[str, object]) -> dict[str, Given]:
    """What flags and file say of this node. Flags are named as keys are; None means not given. Raises ConfigError."""
    given = {key: Given(value, f"--{key}".replace("_", "-")) for key, value in flags.items() if value is not None}
    return given if path is None else _from_file(path, given) | given


def complete(given: Mapping[str, Given], name: str) -> NodeConfig:
    """The configuration of the node `name`. Raises ConfigError.

    Left out, the site is called as the node, its region and operator as the site; slots are the cores this process may
    use; watts are the model above.
    """
    values: dict[str, Any] = {key: one.value for key, one in given.items()} | {"name": name}
    for key, default in (("site", "name"), ("region", "site"), ("operator", "site")):
        values.setdefault(key, values[default])
    values.setdefault("slots", len(os.sched_getaffinity(0)))
    _model_watts(values)
    try:
        return NodeConfig.model_validate(values)
    except ValidationError as error:
        # What is missing could not be derived from something that is wrong, and that is complained of as well.
        first = next(each for each in error.errors() if each["type"] != "missing")
        raise ConfigError(_sentence(first, given)) from None


def _model_watts(values: dict[str, Any]) -> None:
    idle, most, slots = values.get("idle_watts"), values.get("max_watts"), values["slots"]
    if idle is None:
        idle = MODELLED_IDLE_WATTS if not isinstance(most, int | float) or most < 0 else min(MODELLED_IDLE_WATTS, most)
        values["idle_watts"] = float(idle)
    if most is None and isinstance(idle, int | float) and isinstance(slots, int):
        values["max_watts"] = idle + MODELLED_SLOT_WATTS * slots


def _from_file(path: Path, flags: Mapping[str, Given]) -> dict[str, Given]:
    document = _read(path)
    for table in document:
        if table not in ("site", "node"):
            raise ConfigError(f"{path}: {table} is an unknown key; a node reads [[site]] and [[node]]")
    sites, nodes = _tables(path, document, "site"), _tables(path, document, "node")
    wanted = str(flags["name"].value) if "name" in flags else None
    node, name = _own(path, nodes, wanted)
    given = _keys(path, "node", node, NODE_KEYS, NODE_KEYS_OF_OTHERS)
    if name is not None:
        given["name"] = Given(name, given.get("name", Given(name, "name")).place)
    named = flags.get("site", given.get("site"))
    site_name = named.value if named else None
    site = next((one for one in sites if one.get("name") == site_name), None)
    if site is None and site_name is None and len(sites) == 1:
        site = sites[0]
    if site is None and site_name is not None and "site" not in flags:
        raise ConfigError(f"{path}: node site = {site_name!r} has no [[site]] table: add one, or correct the name")
    of_site = _keys(path, "site", site or {}, SITE_KEYS, SITE_KEYS_OF_OTHERS)
    if "name" in of_site:
        of_site["site"] = of_site.pop("name")
    return of_site | given


def _own(path: Path, nodes: list[dict[str, Any]], wanted: str | None) -> tuple[dict[str, Any], str | None]:
    """The table that speaks of this node, and the node's name if the file gives it."""
    names: dict[str, dict[str, Any]] = {}
    for node in nodes:
        count, name = node.get("count", 1), node.get("name")
        if not isinstance(count, int) or count < 1:
            raise ConfigError(f"{path}: node count = {count!r}: must be a whole number, 1 or more")
        if name is not None:
            names.update({name: node} if count == 1 else {f"{name}-{i}": node for i in range(1, count + 1)})
    if wanted in names:
        return names[wanted], wanted
    if len(nodes) == 1 and nodes[0].get("count", 1) == 1:
        return nodes[0], wanted or nodes[0].get("name")
    if not nodes:
        return {}, wanted
    listed = ", ".join(list(names)[:5]) + (", ..." if len(names) > 5 else "")
    which = f"has no node called {wanted}" if wanted else "speaks of several nodes"
    raise ConfigError(f"{path} {which}: say with --name which one this is ({listed})")


def _keys(
    path: Path, table: str, content: Mapping[str, Any], known: tuple[str, ...], of_others: tuple[str, ...]
) -> dict[str, Given]:
    given = {}
    for key, value in content.items():
        if key in known:
            given[key] = Given(value, f"{path}: {table} {key}")
        elif key not in of_others:
            close = difflib.get_close_matches(key, [*known, *of_others], n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise ConfigError(f"{path}: {table} {key} is an unknown key{meant}")
    return given


def _tables(path: Path, document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = document.get(name, [])
    tables = found if isinstance(found, list) else [found]
    if not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path}: {name} must be a table: write [[{name}]] and its keys below")
    return tables


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): correct --config or its permissions") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as such") from None
    except tomllib.TOMLDecodeError as error:
        complaint, _, place = str(error).removesuffix(")").rpartition(" (at ")
        raise ConfigError(f"{path}, {place}: {complaint}") from None


_WANTED = {
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} or less",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text, in quotes",
    "string_too_long": "must have {max_length} characters or fewer",
    "literal_error": "must be {expected}",
}


def _sentence(error: ErrorDetails, given: Mapping[str, Given]) -> str:
    """pydantic's first complaint in our words: place, value, what is wanted."""
    kind, context = error["type"], error.get("ctx", {})
    if not error["loc"]:
        places = ", ".join(given[key].place for key in ("max_watts", "idle_watts") if key in given)
        return f"{places}: {context['error']}"
    key = str(error["loc"][0])
    place = given[key].place if key in given else key
    complaint = str(context["error"]) if kind == "value_error" else _WANTED.get(kind, error["msg"]).format(**context)
    return f"{place} = {error['input']!r}: {complaint}"
