"""The rates of this machine's engines on one core, side by side."""

import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from node.engines.sha256_engines import HASHLIB, Engine, engines, fastest, rate

if TYPE_CHECKING:
    from node.engines.sha256_limit import Limit

_SLICE_S = 0.05


class Measured(NamedTuple):
    """Medians over rounds. `share_of_limit` is None where no limit is known, `joules_per_hash` unless measured."""

    name: str
    hashes_per_s: float
    ratio_to_hashlib: float
    share_of_limit: float | None
    joules_per_hash: float | None
    chosen: bool


def measure(seconds: float) -> list[Measured]:
    """Every engine in turn, with the limits, for about `seconds` in all after they were made; the fastest first.

    Time is the thread's own on a core: on a busy machine it leaves out the waiting for one, but not what a neighbour
    takes of a shared core.
    """
    chosen = fastest().name
    found = list(engines())
    limits = _limits(found)
    rates: dict[str, list[float]] = {each.name: [] for each in found}
    shares: dict[str, list[float]] = {name: [] for name in limits}
    end = time.monotonic() + seconds
    while time.monotonic() < end or not rates[HASHLIB.name]:
        for each in found:
            rates[each.name].append(rate(each, _SLICE_S, time.thread_time))
            if each.name in limits:
                shares[each.name].append(rates[each.name][-1] / limits[each.name].hashes_per_s())
    against = rates[HASHLIB.name]
    measured = [
        Measured(
            name,
            statistics.median(each),
            statistics.median(a / b for a, b in zip(each, against, strict=True)),
            statistics.median(shares[name]) if name in shares else None,
            None,
            name == chosen,
        )
        for name, each in rates.items()
    ]
    return sorted(measured, key=lambda each: -each.hashes_per_s)


def _limits(found: list[Engine]) -> "dict[str, Limit]":
    with suppress(ImportError):
        from node.engines.machine_code import this_processor
        from node.engines.sha256_limit import limit

        processor = this_processor()
        known = {each.name: limit(each.name, processor) for each in found if each is not HASHLIB}
        return {name: each for name, each in known.items() if each is not None}
    return {}


def cpu() -> str:
    """What the processor calls itself."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    import platform

    return platform.processor() or platform.machine()
