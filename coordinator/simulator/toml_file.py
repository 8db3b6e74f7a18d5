"""A TOML file that knows where its keys stand, and checks itself against a section of keys."""

from __future__ import annotations

import re
import tomllib
from datetime import date, time
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from coordinator.config import like
from coordinator.config_file import WANTED
from coordinator.errors import InvalidConfiguration

Where = tuple[str | int, ...]  # ("site", 0, "region")
Model = TypeVar("Model", bound=BaseModel)

_BARE = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_BARE}(?:\s*\.\s*{_BARE})*"
_TABLE = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")
_INNER = re.compile(rf"[{{,]\s*({_DOTTED})\s*=")


class TomlFile:
    """The document, and sentences about its keys that begin with their place."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidConfiguration for a file that cannot be read as TOML."""
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
            self.document: dict[str, Any] = tomllib.loads(text)
        except OSError as error:
            raise InvalidConfiguration(
                f"{path} cannot be read ({error.strerror}): correct the path or its permissions"
            ) from None
        except UnicodeDecodeError as error:
            raise InvalidConfiguration(
                f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as such"
            ) from None
        except tomllib.TOMLDecodeError as error:
            complaint, _, place = str(error).removesuffix(")").rpartition(" (at ")
            raise InvalidConfiguration(f"{path}, {place}: {complaint}") from None
        self._places = _places(text)

    def error(self, where: Where, complaint: str) -> InvalidConfiguration:
        """The complaint about one key, with file, line, column and key in front."""
        return InvalidConfiguration(f"{self.place(where)}: {complaint}")

    def place(self, where: Where) -> str:
        """File, line and column of a key, or of the nearest table around it that was found, then the key by name."""
        known = next((where[:n] for n in range(len(where), 0, -1) if where[:n] in self._places), None)
        at = "" if known is None else ", line {}, column {}".format(*self._places[known])
        return f"{self.path}{at}{': ' * bool(where)}{self._spoken(where)}"

    def _spoken(self, where: Where) -> str:
        """A key as a reader of the file knows it: money.second_usd, or site "dam" pue."""
        if len(where) < 2 or not isinstance(where[1], int):
            return ".".join(map(str, where))
        table, number, *rest = where
        entry = self.document[str(table)][number]
        name = entry.get("name") if isinstance(entry, dict) else None
        return " ".join([f'{table} "{name}"' if name else f"{table} number {int(number) + 1}", *map(str, rest)])

    def read(self, model: type[Model]) -> Model:
        """The document as the section says it must be. Raises InvalidConfiguration with the first complaint."""
        try:
            return model.model_validate(_tuples(self.document))
        except ValidationError as error:
            raise self._complaint(error.errors()[0], model) from None

    def _complaint(self, error: ErrorDetails, model: type[BaseModel]) -> InvalidConfiguration:
        where, value, kind = error["loc"], error["input"], error["type"]
        if kind == "value_error":
            shown = "" if isinstance(value, dict) else f" = {value!r}"
            return InvalidConfiguration(f"{self.place(where)}{shown}: {error['ctx']['error']}")
        if kind == "extra_forbidden":
            return InvalidConfiguration(f"{self.place(where)} is an unknown key{_meant(where, model)}")
        if kind == "missing":
            return InvalidConfiguration(f"{self.place(where)} is missing")
        wanted = _WANTED.get(kind, "{msg}").format(msg=error["msg"], **error.get("ctx", {}))
        return InvalidConfiguration(f"{self.place(where)} = {_written(value)}: {wanted}")


def _written(value: object) -> str:
    """A value as the file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (date, time)) else repr(value)


_WANTED = WANTED | {
    "datetime_type": "must be a moment such as 2023-01-09T00:00:00Z, without quotes",
    "dict_type": "must be a table of names and numbers",
    "is_instance_of": "must be the name of a file, in quotes",
    "tuple_type": "must be written in double brackets, once for each",
}


def _tuples(value: Any) -> Any:
    """Arrays as tuples, which is what frozen sections hold."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _meant(where: Where, model: type[BaseModel]) -> str:
    known: Any = model
    for part in where[:-1]:
        if isinstance(part, str):
            known = known.model_fields[part].annotation
        while not hasattr(known, "model_fields"):  # through Optional and tuple
            known = known.__args__[0]
    return like(str(where[-1]), list(known.model_fields))


def _places(text: str) -> dict[Where, tuple[int, int]]:
    """Line and column of keys and tables, counted from 1. Best effort: keys of values over several lines may lack."""
    places: dict[Where, tuple[int, int]] = {}
    counts: dict[Where, int] = {}
    table: Where = ()
    for number, line in enumerate(text.splitlines(), 1):
        if head := _TABLE.match(line):
            table = _parts(head[2])
            if head[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            places.setdefault(table, (number, head.start(1) + 1))
        elif key := _KEY.match(line):
            whole = (*table, *_parts(key[1]))
            places.setdefault(whole, (number, key.start(1) + 1))
            for inner in _INNER.finditer(line, key.end()):
                places.setdefault((*whole, *_parts(inner[1])), (number, inner.start(1) + 1))
    return places


def _parts(dotted: str) -> Where:
    return tuple(part.strip("\"'") for part in re.findall(_BARE, dotted))
