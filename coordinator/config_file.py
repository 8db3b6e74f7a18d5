"""Reads the configuration, and complains about it in sentences.

    config = load(Path("coordinator.toml"), flags={"listen": "0.0.0.0:7370", "strategy": None})

A flag outranks the file, the file outranks the default. Whatever does not hold together is one `InvalidConfiguration`,
whose sentence names the file (or the flag) and the key.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from coordinator.config import Config, Limits, Money, Site, like
from coordinator.errors import InvalidConfiguration

PATHS = ("data", "prices", "carbon", "latency")


WANTED = {
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "int_type": "must be a whole number",
    "is_instance_of": "must be a path, in quotes",
    "less_than_equal": "must be {le:g} or less",
    "literal_error": "must be {expected}",
    "model_type": "must be a table, its name in brackets and its keys below",
    "string_too_long": "must have {max_length} characters or fewer",
    "string_type": "must be text, in quotes",
    "tuple_type": "must be written as [[site]], once for each site",
}


def load(path: Path | None, flags: Mapping[str, object] | None = None) -> Config:
    """Read the file, if any, and lay the flags that were given over it: not None, nor a switch that is off.

    Flags are named as keys are. Paths in the file are relative to the file, those in flags to the working directory.
    Raises InvalidConfiguration.
    """
    given = {key: value for key, value in (flags or {}).items() if value is not None and value is not False}
    document = _read(path) if path else {}
    for key in PATHS:
        if path and isinstance(document.get(key), str):
            document[key] = path.parent / document[key]
        if key in given:
            given[key] = Path(str(given[key]))
    if isinstance(document.get("site"), list):
        document["site"] = tuple(document["site"])
    if "strategy" in given and isinstance(document.get("strategy"), dict):
        given["strategy"] = document["strategy"] | {"name": given["strategy"]}
    try:
        return Config.model_validate(document | given)
    except ValidationError as error:
        raise InvalidConfiguration(_sentence(error.errors()[0], path, document, given)) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidConfiguration(
            f"{path} cannot be read ({error.strerror}): correct --config or its permissions"
        ) from None
    except UnicodeDecodeError as error:
        raise InvalidConfiguration(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as such"
        ) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        complaint, _, place = str(error).removesuffix(")").rpartition(" (at ")
        # The two forms of `strategy` exclude each other, and TOML's own words for that help nobody.
        if complaint.startswith("Cannot") and re.search(r"^\s*strategy\s*=", text, re.MULTILINE):
            complaint += (
                '; beside [strategy.NAME] tables write [strategy] with name = "..." instead of strategy = "..."'
            )
        raise InvalidConfiguration(f"{path}, {place}: {complaint}") from None


def _sentence(error: ErrorDetails, path: Path | None, document: Mapping[str, Any], given: Mapping[str, object]) -> str:
    """pydantic's first complaint in our words: place, key, what is wrong, what to do."""
    location, value, kind = error["loc"], error["input"], error["type"]
    if location and location[0] in given:
        place = f"--{location[0]}".replace("_", "-")
    else:
        source = str(path) if path else "the flags"
        place = ": ".join(filter(None, [source, _key(location, document)]))
    if kind == "value_error":
        shown = "" if isinstance(value, dict) else f" = {value!r}"
        return f"{place}{shown}: {error['ctx']['error']}"
    if kind == "extra_forbidden":
        return f"{place} is an unknown key{_meant(location)}"
    if kind == "missing":
        return f"{place} is missing"
    wanted = WANTED.get(kind, "{msg}").format(msg=error["msg"], **error.get("ctx", {}))
    return f"{place} = {value!r}: {wanted}"


def _key(location: tuple[int | str, ...], document: Mapping[str, Any]) -> str:
    """The key as a reader of the file knows it: limits.lease_s, or site "dam" pue."""
    if len(location) > 1 and location[0] == "site":
        number = int(location[1])
        name = document["site"][number].get("name") if isinstance(document["site"][number], dict) else None
        return " ".join([f'site "{name}"' if name else f"site number {number + 1}", *map(str, location[2:])])
    return ".".join(map(str, location))


def _meant(location: tuple[int | str, ...]) -> str:
    """A hint at the key that could have been meant: one like it in the same table, or its namesake in another."""
    model: Any = Config
    for part in location[:-1]:
        if isinstance(part, str):
            model = Site if part == "site" else model.model_fields[part].annotation
    word = str(location[-1])
    for table, section in (("limits", Limits), ("money", Money), ("[site]", Site)):
        if model is Config and word in section.model_fields:
            return f"; it belongs below [{table}]"
    return like(word, list(model.model_fields))
