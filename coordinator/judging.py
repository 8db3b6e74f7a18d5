"""What of a node's report is believed."""

from __future__ import annotations

from typing import NamedTuple

from coordinator import proof
from coordinator.lifecycle import AttemptEvent
from coordinator.work import Attempt, HashWork, Piece

NONCES_AT_MOST = 10_000  # of one task; each is hashed again here


class Report(NamedTuple):
    """A node's account of how one attempt ended."""

    epoch: int
    outcome: AttemptEvent  # DONE, FAILED or RELEASED
    units_done: int  # contiguous from the start of the task
    run_us: int
    energy_microjoules: int  # marginal, without PUE; negative: not told
    measured: bool
    nonces: tuple[int, ...] = ()
    error: str = ""


def judge(attempt: Attempt, told: Report) -> tuple[AttemptEvent, int, tuple[int, ...], str]:
    """What of a report is believed: event, units done, nonces, and why it was not a success.

    A nonce counts when it lies in the part that was covered and its hash, computed here, meets the target. One that
    does not makes everything else in the report worthless.
    """
    piece = attempt.piece
    work = piece.job.submission.work
    if told.outcome is AttemptEvent.DONE and told.units_done >= piece.units and not told.nonces:
        return AttemptEvent.DONE, piece.units, (), ""
    if isinstance(work, HashWork):
        return _judge_search(piece, work, told)
    if told.outcome is AttemptEvent.FAILED:
        return AttemptEvent.FAILED, 0, (), told.error or "the node gave no reason"
    return AttemptEvent.RELEASED, 0, (), told.error or "the node gave it back"


def _judge_search(piece: Piece, work: HashWork, told: Report) -> tuple[AttemptEvent, int, tuple[int, ...], str]:
    item = piece.job.item
    nonces = tuple(sorted(set(told.nonces)))
    if len(nonces) > NONCES_AT_MOST:
        sentence = f"{len(nonces):,} nonces were found in one task: choose a harder target, {NONCES_AT_MOST:,} are kept"
        return AttemptEvent.FAILED, 0, (), sentence
    units = min(told.units_done, piece.units)
    first = work.start(item) + piece.start
    header, target = work.header(item), work.target(item)
    for nonce in nonces:
        if not first <= nonce < first + units or not proof.meets(proof.hash_of(header, nonce), target):
            return AttemptEvent.FAILED, 0, (), f"nonce {nonce} was claimed and does not meet the target"
    hit = nonces if work.find_all else nonces[:1]
    if told.outcome is AttemptEvent.FAILED:
        return AttemptEvent.FAILED, units, hit, told.error or "the node gave no reason"
    if hit and not work.find_all:
        return AttemptEvent.DONE, nonces[0] - first + 1, nonces[:1], ""
    if told.outcome is AttemptEvent.DONE and units == piece.units:
        return AttemptEvent.DONE, units, nonces, ""
    return AttemptEvent.RELEASED, units, nonces, told.error or "the node gave it back"
