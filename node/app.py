"""The `edgeward node` process, seen from its main thread: signals go in, the log comes out.

The node itself lives on another thread (`life.py`), so that neither a signal nor a terminal that blocks can hold up a
heartbeat.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import structlog

from node.config import NodeConfig
from node.executor.port import Executor, OnEnded, OnLost
from node.executor.ray_executor import RayExecutor
from node.identity import IdentityConflict, remembered, sole_use
from node.life import DONE, FAILED, Life, MakeExecutor, Over, Ready, Said


def ray_executor(config: NodeConfig, data: Path, *, on_ended: OnEnded, on_lost: OnLost) -> Executor:
    return RayExecutor(
        config.slots,
        data / "ray.log",
        on_ended=on_ended,
        on_lost=on_lost,
        max_hashes_per_s=config.max_hashes_per_s,
        ray_address=config.ray_address,
    )


def run(
    *,
    data: Path,
    config: Path | None = None,
    join: str | None = None,
    name: str | None = None,
    site: str | None = None,
    region: str | None = None,
    operator: str | None = None,
    tier: str | None = None,
    price_zone: str | None = None,
    price_usd_per_kwh: float | None = None,
    pue: float | None = None,
    idle_watts: float | None = None,
    max_watts: float | None = None,
    slots: int | None = None,
    keep_private: bool | None = None,
    ray_address: str | None = None,
    extra_delay_ms: float | None = None,
    max_hashes_per_s: float | None = None,
    make_executor: MakeExecutor = ray_executor,
) -> int:
    """Be a node until drained by SIGTERM or SIGINT (a second one stops at once) and return the exit code.

    Flags that are None were not given. Prints one line on standard output when ready, logs to standard error. To be
    called on the main thread, whose signal handlers it borrows.
    """
    flags: dict[str, object] = {
        "name": name,
        "site": site,
        "region": region,
        "operator": operator,
        "tier": tier,
        "price_zone": price_zone,
        "price_usd_per_kwh": price_usd_per_kwh,
        "pue": pue,
        "idle_watts": idle_watts,
        "max_watts": max_watts,
        "slots": slots,
        "keep_private": keep_private,
        "ray_address": ray_address,
        "extra_delay_ms": extra_delay_ms,
        "max_hashes_per_s": max_hashes_per_s,
    }
    try:
        with sole_use(data):
            return _watch(Life(data, config, join, remembered(data, flags), make_executor))
    except IdentityConflict as error:
        return _fail(str(error), FAILED)
    except OSError as error:
        return _fail(f"The data directory {data} cannot be used ({error}): choose another with --data.", FAILED)


def _watch(life: Life) -> int:
    log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
    )
    previous = {
        number: signal.signal(number, lambda *_: life.signalled()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    thread = threading.Thread(target=life.live, name="node")
    thread.start()
    try:
        while True:
            match life.outgoing.get():
                case Ready(sentence):
                    print(sentence, flush=True)
                case Said(event, fields):
                    log.info(event, **fields)
                case Over(exit_code, sentence):
                    if exit_code != DONE:
                        return _fail(sentence, exit_code)
                    log.info(sentence)
                    return DONE
    finally:
        thread.join()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _fail(sentence: str, exit_code: int) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return exit_code
