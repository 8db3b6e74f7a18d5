"""What an agent asks for, to be done in order by whoever drives it: the session, or a simulation."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from node.executor.port import HashTask
from node.messages import FromNode


class Cause(Enum):
    DRAINED = "drained"
    GRACE = "grace"  # a drain that did not finish in time
    FENCED = "fenced"
    REFUSED = "refused"  # the session's: the coordinator does not take this node


class Send(NamedTuple):
    message: FromNode


class RunTasks(NamedTuple):
    tasks: list[HashTask]


class StopTasks(NamedTuple):
    epochs: list[int]


class ExtendLease(NamedTuple):
    until_us: int


class HangUp(NamedTuple):
    """Break the stream and dial again: the coordinator learns from the next Hello what is really held here."""

    sentence: str


class Quit(NamedTuple):
    """The last action of all: the agent answers nothing after it."""

    cause: Cause
    sentence: str


Action = Send | RunTasks | StopTasks | ExtendLease | HangUp | Quit
