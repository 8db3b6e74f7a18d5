"""What the agent says to an executor and hears from it. Imports nothing that is heavy, Ray least of all."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

Outcome = Literal["done", "failed", "released"]


class HashTask(NamedTuple):
    """Search nonces nonce_start..nonce_start+nonce_count-1 of a header; an epoch is handed in once."""

    epoch: int
    header: bytes  # 76 bytes: without the nonce
    target: bytes  # 32 bytes, big-endian; a hash counts when it is <= the target
    nonce_start: int
    nonce_count: int
    find_all: bool  # False: the first hit ends it
    priority: int = 0  # -100 to 100, the higher first


class Ended(NamedTuple):
    """How a task ended.

    'done': the range is covered or, without find_all, hit. 'failed': the work raised; `error` says what. 'released':
    stopped by order, by the lease or by a lost worker; `units_done` holds and the rest can be done elsewhere.
    """

    epoch: int
    outcome: Outcome
    units_done: int  # nonces covered, from the start without a gap; up to and including the hit that ended it
    run_us: int
    waited_us: int  # from handing in to the start of the run, or to the end if it never ran
    nonces: tuple[int, ...]  # the hits among the units done, rising
    error: str  # empty unless something went wrong


class Capability(NamedTuple):
    """What an executor found when it started."""

    slots: int
    hashes_per_s: float  # a slot, measured, brake included
    engine: str
    isolation: str  # token: own local Ray; external: an existing cluster; inline: no Ray
    exposed: tuple[str, ...]  # Ray's listeners off loopback, which there should not be


class StartFailed(Exception):
    """The executor could not start; the message is one sentence that names the log."""


OnEnded = Callable[[list[Ended]], None]
OnLost = Callable[[str], None]


class Executor(Protocol):
    """All methods are for the event loop's thread and none of the plain ones blocks.

    `on_ended`, given at construction, is called on the loop with what ended since, once for each task handed in. A task
    never runs, and does not go on running for more than 50 ms, without a lease: it comes back 'released'. `on_lost`
    hears a sentence when a worker or the whole back end died; its tasks come back 'released' and it is started again
    without being asked.
    """

    async def start(self) -> Capability:
        """Start the workers and measure them. Raises StartFailed."""

    def run(self, tasks: Sequence[HashTask]) -> None:
        """Queue tasks, first come first served."""

    def stop(self, epochs: Sequence[int]) -> None:
        """Each of these comes back 'released', queued or running, unless it ends before. Unknown ones are ignored."""

    def lease(self, until_boottime_us: int) -> None:
        """Work may run until this moment of CLOCK_BOOTTIME. Later calls extend; without a first one nothing runs."""

    def progress(self) -> dict[int, int]:
        """Last known units done of running tasks, at most about half a second old; short ones may be missing."""

    async def close(self) -> None:
        """Release what is held (`on_ended` hears of it), then end the workers. Idempotent."""
