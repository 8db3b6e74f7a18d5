"""What may stand behind the question mark: the flags of the command line, checked before anything is asked."""

from __future__ import annotations

import uuid

from starlette.datastructures import QueryParams

from coordinator.errors import UnknownName
from protos import document, types_pb2

AT_MOST = 10_000  # entries in one answer
STATES = {document.job_state(value): value for value in types_pb2.JobState.values() if value}


class BadParameter(ValueError):
    """The query cannot be understood; the sentence says what can."""


class Parameters:
    """A query of which every key is known and given once."""

    def __init__(self, query: QueryParams, known: tuple[str, ...]) -> None:
        """Raises `BadParameter`."""
        keys = [key for key, _ in query.multi_items()]
        for key in keys:
            if key not in known:
                there = f"there are {', '.join(known)}" if known else "this path takes none"
                raise BadParameter(f"{key!r} is no parameter here; {there}")
            if keys.count(key) > 1:
                raise BadParameter(f"{key} is given twice: leave one")
        self._query = query

    def text(self, key: str) -> str:
        """Empty where absent."""
        return self._query.get(key, "")

    def integer(self, key: str, least: int, most: int) -> int | None:
        """None where absent. Raises `BadParameter` outside least..most."""
        given = self._query.get(key)
        if given is None:
            return None
        if not (given.isascii() and given.isdigit() and len(given) <= 20 and least <= int(given) <= most):
            raise BadParameter(f"{key}={given[:40]} is no whole number from {least} to {most}")
        return int(given)

    def limit(self, otherwise: int) -> int:
        """How many entries at most."""
        return self.integer("limit", 1, AT_MOST) or otherwise

    def state(self) -> types_pb2.JobState.ValueType | None:
        """None where absent: jobs of every state."""
        given = self._query.get("state")
        if given is not None and given not in STATES:
            raise BadParameter(f"state={given[:40]} is none; there are {', '.join(STATES)}")
        return STATES[given] if given is not None else None

    def job(self) -> bytes:
        """The 16 bytes of `job=ID`; none where absent."""
        given = self._query.get("job")
        if given is None:
            return b""
        try:
            return uuid.UUID(given).bytes
        except ValueError:
            raise BadParameter(f"job={given[:40]} is no job id; /api/v1/jobs lists them") from None


def job_in_path(given: str) -> bytes:
    """The 16 bytes of an id. Raises `UnknownName` for what never was one."""
    try:
        return uuid.UUID(given).bytes
    except ValueError:
        raise UnknownName(f"no job has the id {given[:40]}; /api/v1/jobs lists them") from None
