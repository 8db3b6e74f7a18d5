"""The simulator on one core: requests one at a time over 1,000 nodes, decided by the live coordinator.

Beside it a plain heap loop without any decision, on the same arrivals at one pool: what the clock alone costs. Its
waits are those of the recursion, and the simulator's are the same (tests/simulator).
"""

from __future__ import annotations

import gc
import heapq
import resource
import time

import numpy as np

from benchmarks.report import Row
from coordinator.simulator.engine import Run
from coordinator.simulator.model import Jobs, Scenario, stream
from placement.cost import World
from placement.energy import Curves
from placement.model import Kind, NodeFacts, Path
from placement.network import Network

NODES = 1000
REGIONS = 20
SLOTS = 4
REQUESTS = 20_000
ROUNDS = 3
LOAD = 0.4
SIMPLE, QUOTED = ("round-robin", "least-loaded", "nearest", "hub"), ("weighted",)


def scenario(requests: int = REQUESTS, nodes: int = NODES) -> Scenario:
    """A fleet in twenty regions with hourly prices, and language-model requests of all sizes from everywhere."""
    rng = stream(1, "benchmark")
    regions = tuple(f"r{k:02}" for k in range(REGIONS))
    hours = (np.arange(48) * 3600.0).tolist()
    fleet = tuple(
        NodeFacts(
            f"n{i:05}", f"s{i // 10}", regions[i % REGIONS], f"o{i % 5}", hub=i % 2 == 0, price_zone=f"z{i % REGIONS}",
            idle_watts=50, max_watts=300, slots=SLOTS, requests_per_s=40, prefill_tokens_per_s=5000,
            tokens_per_s=450.0 * (1 + i % 3),
        )
        for i in range(nodes)
    )  # fmt: skip
    context = rng.integers(50, 4000, requests).astype(np.float64)
    generated = rng.integers(10, 800, requests).astype(np.float64)
    mean_s = float((1 / 40 + context / 5000 + generated / 900).mean())
    arrivals = np.cumsum(rng.exponential(mean_s / (LOAD * nodes * SLOTS), requests))
    world = World(
        prices=Curves({f"z{k}": (hours, rng.uniform(-0.02, 0.3, 48).tolist()) for k in range(REGIONS)}),
        network=Network(regions[3], {(a, b): 1.0 + 9.0 * abs(i - k) for i, a in enumerate(regions)
                                     for k, b in enumerate(regions)}),
        path=Path.DIRECT,
    )  # fmt: skip
    none = np.full(requests, np.nan)
    jobs = Jobs(
        arrival_s=arrivals, kind=np.full(requests, int(Kind.INFERENCE), dtype=np.int8),
        origin=rng.integers(0, REGIONS, requests).astype(np.int32), units=generated, context_tokens=context,
        objective_s=np.full(requests, 0.5), second_usd=none, deadline_s=np.full(requests, np.inf),
        keep_in=np.zeros(requests, dtype=np.int32), bytes_in=np.zeros(requests), bytes_out=np.zeros(requests),
        priority=np.zeros(requests, dtype=np.int8), deferrable=np.zeros(requests, dtype=np.bool_), origins=regions,
        keep_ins=((),),
    )  # fmt: skip
    return Scenario("benchmark", 1, 0.0, fleet, world, jobs)


def rate(of: Scenario, strategy: str) -> float:
    """Requests a second of processor time."""
    run = Run(of, strategy, of.seed)
    before = time.process_time()
    run.go()
    return len(of.jobs) / (time.process_time() - before)


def heap_loop(of: Scenario) -> float:
    """Requests a second of a loop that knows no nodes, no prices and no origins: arrivals and ends on one heap."""
    jobs = of.jobs
    service = (1 / 40 + jobs.context_tokens / 5000 + jobs.units / 900).tolist()
    before = time.process_time()
    heap = [(at, 1, run) for at, run in zip(jobs.arrival_s.tolist(), service, strict=True)]
    heapq.heapify(heap)
    free, waiting, waits = sum(facts.slots for facts in of.nodes), [], []
    while heap:
        now, arrives, run = heapq.heappop(heap)
        if arrives:
            waiting.append((now, run))
        else:
            free += 1
        while free and waiting:
            came, run = waiting.pop(0)
            waits.append(now - came)
            free -= 1
            heapq.heappush(heap, (now + run, 0, 0.0))
    return len(waits) / (time.process_time() - before)


def run() -> list[Row]:
    """Requests a second by strategy, and what a request more nodes cost."""
    of = scenario()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    rows = []
    for strategies, goal in ((SIMPLE, "at least 15,000"), (QUOTED, "at least 10,000")):
        for strategy in strategies:
            rates = [rate(of, strategy) for _ in range(ROUNDS)]
            rows.append(Row(f"replay over {NODES:,} nodes, one at a time, {strategy}", "requests/s", rates, goal=goal))
    plain = [heap_loop(of) for _ in range(ROUNDS)]
    rows.append(Row("  a heap loop that decides nothing", "requests/s", plain))
    extra = [1e6 / rate(scenario(2000, 10_000), "weighted") - 1e6 / rate(scenario(2000, 100), "weighted")]
    rows.append(Row("  10,000 nodes instead of 100, weighted", "us a request", extra, goal="at most 80"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows.append(Row("  resident at most, with everything above", "MB", [peak]))
    return rows
