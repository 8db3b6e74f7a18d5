"""`edgeward demo`: a coordinator and nodes at four places, all on this machine; real work under three strategies."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from edgeward.async_client import AsyncClient
from edgeward.cli.demo import telling, work
from edgeward.cli.demo.places import ORIGIN, PLACES
from edgeward.cli.demo.processes import Processes
from edgeward.cli.output import print_json
from edgeward.errors import EdgewardError

STRATEGIES = ("hub", "nearest", "weighted")  # the last one is the product's default, and explained at the end
READY_S = 90.0
SAMPLE = 3  # lines of the placement log, for each kind of work, a strategy
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(*, json: bool, keep: bool = False) -> int:
    """The whole demo; returns the exit code. Leaves no process and no file behind, however it ends.

    `keep`: stay until Ctrl-C once it is over, so that others can talk to the fleet. Raises EdgewardError, with the end
    of the log that matters, where something did not come up or ended by itself.
    """
    began = time.monotonic()
    say = telling.teller(json=json)
    telling.introduce(say)
    with _every_ending_interrupts():
        processes = Processes()
        try:
            document = asyncio.run(_story(processes, say, began))
            if json:
                print_json(document | {"took_s": round(time.monotonic() - began, 1)})
            if keep:
                telling.invite(say, processes.credentials)
                _stay(processes)
        finally:
            for number in ENDINGS:
                signal.signal(number, signal.SIG_IGN)  # what follows is bounded, and half of it would leave something
            say("\nstopping everything")
            processes.end(say)
    say(f"{time.monotonic() - began:.0f} s in all")
    return 0


@contextmanager
def _every_ending_interrupts() -> Iterator[None]:
    """A hang-up or a SIGTERM is a Ctrl-C: there is something to tidy up."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stay(processes: Processes) -> None:
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(1)
            processes.check()


async def _story(processes: Processes, say: telling.Say, began: float) -> dict[str, Any]:
    """Start everything, run the work under each strategy, say what came of it."""

    def clocked(sentence: str) -> None:
        say(f"{time.monotonic() - began:5.1f} s  {sentence}")

    address = processes.start_coordinator(ORIGIN)
    clocked(f"the coordinator serves at {address}")
    async with AsyncClient(address, credentials=processes.credentials) as client:
        join = (await client.create_token("node", uses=len(PLACES))).join
        for place in PLACES:
            data = str(processes.place / place.name)
            processes.start(place.name, "node", f"--join={join}", f"--data={data}", *place.arguments())
        clocked(f"{len(PLACES)} nodes are starting, and a Ray that they share, which takes a while")
        await _until_ready(client, processes, clocked)
        rounds = await _guarded(_rounds(client, say), processes)
    return telling.conclude(say, rounds)


async def _until_ready(client: AsyncClient, processes: Processes, clocked: Callable[[str], None]) -> None:
    """Until every node can take work and its round trip was measured."""
    missing, deadline = {place.name for place in PLACES}, time.monotonic() + READY_S
    while missing:
        processes.check()
        if time.monotonic() > deadline:
            late = min(missing)
            raise EdgewardError(f"Node {late} was not ready after {READY_S:g} s.{processes.tail(late)}")
        await asyncio.sleep(0.1)
        for node in await client.nodes():
            if node.name in missing and node.state == "ready" and node.rtt_ms is not None:
                missing.remove(node.name)
                clocked(f"{node.name} is ready, {node.rtt_ms:.0f} ms away")


async def _guarded(rounds: Coroutine[Any, Any, list[work.Round]], processes: Processes) -> list[work.Round]:
    """The rounds, unless a process ends meanwhile: then its log says more than a job that never comes back."""
    running = asyncio.create_task(rounds)
    try:
        while not running.done():
            await asyncio.wait([running], timeout=0.5)
            processes.check()
        return running.result()
    finally:
        running.cancel()


async def _rounds(client: AsyncClient, say: telling.Say) -> list[work.Round]:
    kinds = work.Kinds()
    log = asyncio.create_task(_follow(client, kinds, say))
    try:
        rounds = []
        for strategy in STRATEGIES:
            chosen = await client.set_strategy(strategy)
            telling.open_round(say, chosen)
            rounds.append(await work.run(client, strategy, kinds))
            telling.close_round(say, rounds[-1])
        return rounds
    finally:
        log.cancel()
        with suppress(asyncio.CancelledError):
            await log


async def _follow(client: AsyncClient, kinds: work.Kinds, say: telling.Say) -> None:
    """The placement log as it is written; of each strategy the first few lines."""
    shown: Counter[tuple[str | None, str]] = Counter()
    async for placement in client.placements(follow=True, since=0):
        kind = await kinds.of(placement.job_id)
        shown[placement.strategy, kind] += 1
        if shown[placement.strategy, kind] <= SAMPLE:
            telling.placed(say, kind, placement)
