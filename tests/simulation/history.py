"""What was seen from outside, and what the store says: the evidence from which `check.py` judges a run.

Plain values that a simulation and a test with real processes can both write down. Moments are seconds of one clock that
stands outside everything that is tested.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple


class Answer(Enum):
    ACCEPTED = "accepted"
    CONFLICT = "conflict"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # no answer came: it may or may not have happened


class Submit(NamedTuple):
    """One try of a submission, as its client saw it."""

    at_s: float
    client: str
    key: str
    body: bytes
    answer: Answer
    first: int = 0  # job number
    jobs: int = 0
    repeated: bool = False


class Read(NamedTuple):
    """What a client was told of a job: `settled` is None while it is open."""

    at_s: float
    job: int
    settled: tuple[int, int, tuple[int, ...]] | None  # state, hashes done, nonces


class Cancel(NamedTuple):
    """An acknowledged cancel."""

    at_s: float
    job: int


class Run(NamedTuple):
    """A node's executor worked on an attempt."""

    node: str
    epoch: int
    header: bytes
    nonce_start: int
    nonce_count: int
    began_s: float
    ended_s: float


class TakenBack(NamedTuple):
    """The coordinator closed an attempt, and its job went on: from here on no node may work on it any more."""

    at_s: float
    epoch: int


class Mischief(NamedTuple):
    """A node did what an agent must never do; the sentence says what."""

    at_s: float
    node: str
    sentence: str


@dataclass
class History:
    submits: list[Submit] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    cancels: list[Cancel] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    taken_back: list[TakenBack] = field(default_factory=list)
    mischief: list[Mischief] = field(default_factory=list)
