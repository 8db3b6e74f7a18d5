"""Many runs, over the cores of this machine, and what they say together.

The same scenario, seed and version give the same document, byte for byte, on one core or on many.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import fsum, sqrt
from pathlib import Path
from typing import Any, NamedTuple

from coordinator.simulator.engine import Run
from coordinator.simulator.ledger import Ledger, ledger_of
from coordinator.simulator.model import Scenario
from coordinator.simulator.scenario import load
from coordinator.simulator.scorecard import Measures, log_lines, scorecard
from coordinator.simulator.whatif import with_price_times, without_region
from placement import strategy as strategies

QUOTE_VERSION = 1  # raised whenever the same scenario and seed may give another quote
ALONE = 20_000  # jobs in all runs together up to which starting processes takes longer than it saves
POLL_S = 0.2

# two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip

Progress = Callable[[int, int], None]  # jobs that have arrived, of so many, in all runs


class Result(NamedTuple):
    """One strategy on one seed."""

    strategy: str
    seed: int
    measures: Measures
    wall_s: float  # of the run itself, without the reruns of `blast_radius`
    ledger: Ledger | None  # when a log is wanted


@dataclass(frozen=True)
class Comparison:
    """What `edgeward compare` writes."""

    document: dict[str, Any]
    timing: dict[str, Any]
    results: list[Result]

    def log(self) -> Iterator[Measures]:
        """A line for each attempt that used a slot, by strategy, seed, job and time. Empty without ledgers."""
        for result in self.results:
            if result.ledger is not None:
                yield from log_lines(result.ledger, result.strategy, result.seed)


def chosen(names: str) -> list[str]:
    """`A,B` or `all` as names, sorted, each once. Raises `UnknownStrategy`."""
    if names == "all":
        return strategies.names()
    asked = sorted({name.strip() for name in names.split(",") if name.strip()})
    for name in asked:
        strategies.load(name)
    if not asked:
        raise strategies.UnknownStrategy(f"name at least one strategy of {', '.join(strategies.names())}, or all")
    return asked


def run(
    scenario: Scenario, strategy: str, *, ledger: bool = False, told: Callable[[int], None] | None = None
) -> Result:
    """One strategy on one scenario, with its two reruns.

    `blast_radius` is about the region with most of the work. `objective_met_after`: what is met when that region is out
    from the start to the end. `price_x3_frozen` and `price_x3`: the energy cost with that region's price tripled over
    the energy cost as it is, with every placement kept and with the strategy free to react.
    """
    replay = Run(scenario, strategy, scenario.seed)
    begun = time.perf_counter()
    with _seldom_collecting():
        outcome = replay.go(told)
    wall_s = time.perf_counter() - begun
    entries = ledger_of(scenario, outcome)
    measures = scorecard(entries)
    _with_reruns(scenario, strategy, measures)
    return Result(strategy, scenario.seed, measures, wall_s, entries if ledger else None)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Jobs leave no cycles behind, so looking for some after every few hundred objects is wasted, as it is live."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _with_reruns(scenario: Scenario, strategy: str, measures: Measures) -> None:
    """Complete `blast_radius`, and that of each kind: its region, and its measures in the reruns."""
    reruns: dict[str, tuple[Measures, Measures]] = {}

    def again(changed: Scenario) -> Measures:
        with _seldom_collecting():
            return scorecard(ledger_of(changed, Run(changed, strategy, scenario.seed).go()))

    for kind in (None, *sorted(measures["by_kind"])):
        mine = measures if kind is None else measures["by_kind"][kind]
        blast = mine["blast_radius"]
        region = blast["region"]
        if region is None:
            blast.update(objective_met_after=None, price_x3=None)
            continue
        if region not in reruns:
            reruns[region] = again(without_region(scenario, region)), again(with_price_times(scenario, region, 3.0))
        out, dear = (rerun if kind is None else rerun["by_kind"][kind] for rerun in reruns[region])
        blast["objective_met_after"] = out["objective_met"]
        blast["price_x3"] = dear["energy_usd"] / mine["energy_usd"] if mine["energy_usd"] else None


def compare(
    path: Path, names: Sequence[str], seeds: int = 1, *, ledgers: bool = False, progress: Progress | None = None
) -> Comparison:
    """Every strategy on every seed from the scenario's own on. Raises `InvalidConfiguration`, `UnknownStrategy`."""
    first = _scenario(path, None)
    for name in names:
        strategies.load(name, first.parameters.get(name, {}))
    tasks = [(path, name, first.seed + k, ledgers) for name in sorted(names) for k in range(seeds)]
    total = len(first.jobs) * len(tasks)
    workers = min(len(tasks), os.cpu_count() or 1)
    if workers == 1 or total <= ALONE:
        results = _here(tasks, total, progress)
    else:
        results = _spread(tasks, workers, total, progress)
    return Comparison(_document(first, seeds, results), _timing(len(first.jobs), results), results)


Task = tuple[Path, str, int, bool]


@lru_cache(maxsize=2)
def _scenario(path: Path, seed: int | None) -> Scenario:
    return load(path, seed)


def _here(tasks: list[Task], total: int, progress: Progress | None) -> list[Result]:
    results = []
    for number, (path, name, seed, ledgers) in enumerate(tasks):
        before = total // len(tasks) * number

        def told(done: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        results.append(run(_scenario(path, seed), name, ledger=ledgers, told=told))
    return results


_arrived: Any = None  # of this worker process: one counter a task, shared with the parent


def _share(counters: Any) -> None:
    global _arrived
    _arrived = counters


def _work(number: int, task: Task) -> Result:
    path, name, seed, ledgers = task

    def told(done: int) -> None:
        _arrived[number] = done

    return run(_scenario(path, seed), name, ledger=ledgers, told=told)


def _spread(tasks: list[Task], workers: int, total: int, progress: Progress | None) -> list[Result]:
    """Runs in processes of their own; results in the order of the tasks, whichever ended first."""
    context = multiprocessing.get_context("spawn")
    counters = context.RawArray("q", len(tasks))
    with ProcessPoolExecutor(workers, context, _share, (counters,)) as pool:
        pending = [pool.submit(_work, number, task) for number, task in enumerate(tasks)]
        left: set[Any] = set(pending)
        while left:
            _, left = wait(left, timeout=POLL_S)
            if progress is not None:
                progress(sum(counters), total)
        return [each.result() for each in pending]


# -- what they say together


def _document(scenario: Scenario, seeds: int, results: list[Result]) -> dict[str, Any]:
    by_name: dict[str, list[Measures]] = {}
    for result in results:
        by_name.setdefault(result.strategy, []).append(result.measures)
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "seeds": seeds,
        "quote_version": QUOTE_VERSION,
        "strategies": [_together(name, measures) for name, measures in sorted(by_name.items())],
        "bound": None,
        "counted": {
            "predicted_pairs": scenario.counted.predicted_pairs,
            "held_price_rows": dict(scenario.counted.held_price_rows),
            "held_carbon_rows": dict(scenario.counted.held_carbon_rows),
        },
    }


def _together(name: str, measures: list[Measures]) -> Measures:
    one = {"strategy": name, **_merged(measures, mean)}
    return one if len(measures) == 1 else {**one, "intervals": _merged(measures, interval)}


def _merged(values: list[Any], number: Callable[[list[float]], Any]) -> Any:
    """Measures of several seeds as one, leaf by leaf; what is no number is the commonest, what is missing in one is."""
    if len(values) == 1 and number is mean:
        return values[0]
    first = values[0]
    if isinstance(first, dict):
        return {key: _merged([value[key] for value in values], number) for key in first}
    if any(value is None for value in values):
        return None
    if isinstance(first, str):
        return max(sorted(values), key=values.count)
    return number(values)


def mean(values: list[float]) -> float:
    return fsum(values) / len(values)


def interval(values: list[float]) -> list[float]:
    """The 95 % confidence interval of the mean, by Student's t."""
    n, centre = len(values), mean(values)
    spread = sqrt(fsum((value - centre) ** 2 for value in values) / (n - 1))
    quantile = _T95[n - 2] if n - 2 < len(_T95) else 1.96 + 2.4 / (n - 1)
    half = quantile * spread / sqrt(n)
    return [centre - half, centre + half]


def _timing(jobs: int, results: list[Result]) -> dict[str, Any]:
    """How long the runs took; reading files, reruns and the reckoning afterwards are not in it."""
    wall: dict[str, list[float]] = {}
    for result in results:
        wall.setdefault(result.strategy, []).append(result.wall_s)
    return {
        "strategies": [
            {"strategy": name, "wall_s": fsum(took), "requests_per_s": jobs * len(took) / fsum(took)}
            for name, took in sorted(wall.items())
        ]
    }
