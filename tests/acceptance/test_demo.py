"""`edgeward demo`, as a newcomer runs it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from edgeward.cli.demo import processes
from edgeward.cli.demo.figures import Elsewhere, Figures, nearest_rank, sentence
from edgeward.cli.demo.work import GENESIS_NONCE
from edgeward.errors import EdgewardError
from tests.acceptance.fleet import EDGEWARD

GENESIS_HASH = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"


def demo(temporary: Path, *flags: str) -> "subprocess.Popen[str]":
    """Its temporary directory is this one, so that whatever it leaves is seen."""
    return subprocess.Popen(
        [*EDGEWARD, "demo", *flags],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_running(temporary: Path) -> list[psutil.Process]:
    """Processes that know of a directory in `temporary`: every one that a demo starts does."""
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("EDGEWARD_RAY_DIR", "").startswith(str(temporary)):
                left.append(process)
        except psutil.Error:
            continue  # it has ended, or is somebody else's
    return left


@pytest.fixture
def temporary() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="ew-", dir="/tmp"))  # short, as Ray wants it
    yield place
    shutil.rmtree(place)


@pytest.mark.ray
@pytest.mark.timeout(180)
def test_demo_runs_both_kinds_of_work_under_three_strategies_and_leaves_nothing(temporary: Path) -> None:
    running = demo(temporary, "--json")
    printed, told = running.communicate(timeout=170)
    assert running.returncode == 0, told
    document = json.loads(printed)
    by_name = {each["strategy"]: each for each in document["strategies"]}
    assert list(by_name) == ["hub", "nearest", "weighted"]
    for name, line in by_name.items():
        assert {"nonce": GENESIS_NONCE, "hash": GENESIS_HASH} in line["found"], name
        assert len(line["found"]) == 2, name
        assert sum(line["share_by_site"].values()) == pytest.approx(1)
        assert line["cost_usd"] == pytest.approx(line["energy_usd"] + line["time_usd"])
        assert 0 < line["latency_ms"]["p50"] <= line["latency_ms"]["p95"]
    assert set(by_name["hub"]["share_by_site"]) <= {"dam", "city"}
    weighted = by_name["weighted"]["share_by_kind"]
    assert weighted["patient"] == {"dam": 1.0}
    assert weighted["urgent"].get("paris", 0) + weighted["urgent"].get("lyon", 0) > 0.9
    assert by_name["weighted"]["latency_ms"]["p50"] < 180 < by_name["hub"]["latency_ms"]["p95"]
    assert by_name["weighted"]["energy_usd"] < by_name["nearest"]["energy_usd"]
    assert "Injected: the round trips and the speeds" in told
    assert re.search(r"urgent +placed on paris: \$[\d.]+, \d+ ms; runner-up .*; weighted", told)
    assert document["shows"] in told
    assert list(temporary.iterdir()) == [] and left_running(temporary) == []


@pytest.mark.ray
def test_demo_interrupted_while_nodes_start_leaves_nothing(temporary: Path) -> None:
    running = demo(temporary)
    assert running.stdout is not None and running.stderr is not None
    while "nodes are starting" not in running.stdout.readline():
        assert running.poll() is None, running.stderr.read()
    assert left_running(temporary)
    running.send_signal(signal.SIGINT)
    printed, told = running.communicate(timeout=60)
    assert running.returncode == 130, told
    assert "stopping everything" in printed and "Traceback" not in told
    assert list(temporary.iterdir()) == [] and left_running(temporary) == []


def test_demo_whose_coordinator_cannot_start_says_why(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "COMMAND", (sys.executable, "-c", "print('no disk'); raise SystemExit(1)"))
    monkeypatch.setenv("TMPDIR", str(temporary))
    started = processes.Processes()
    with pytest.raises(EdgewardError, match=r"coordinator ended by itself \(exit code 1\)[\s\S]*no disk"):
        started.start_coordinator("Paris")
    started.end(print)
    assert not started.place.exists()


def line(strategy: str, cost_usd: float) -> Figures:
    nothing = {"p50": 0.0, "p95": 0.0}
    return Figures(strategy, 0, 0, 0, cost_usd, nothing, nothing, 1.0, 1.0, {}, {}, [])


APART = {
    "patient": Elsewhere("dam", "paris", 1.0, 2e-6, 8e-6, 900, 700, 300),
    "urgent": Elsewhere("paris", "dam", 0.95, 1e-7, 4e-4, 37, 220, 40),
}


def test_sentence_says_what_each_kind_would_have_cost_the_other_way() -> None:
    told = sentence([line("hub", 5e-4), line("nearest", 4e-4), line("weighted", 1e-4)], APART)
    assert "100% of the patient work to dam, where a search costs 2 µ$ (at paris 8 µ$)" in told
    assert "95% of the urgent work to paris, where a job costs 0.1 µ$, its time included (at dam 400 µ$: " in told
    assert "220 ms, 40 ms of it in the queue, instead of 37 ms)" in told
    assert told.endswith("its bill was 100 µ$ against hub's 500 µ$ and nearest's 400 µ$: the least of all.")


def test_sentence_does_not_praise_a_strategy_that_lost() -> None:
    told = sentence([line("hub", 5e-5), line("weighted", 1e-4)], APART)
    assert told.endswith("against hub's 50 µ$: the least was hub's.")


def test_sentence_with_both_kinds_in_one_place_says_so() -> None:
    together = {kind: Elsewhere("dam", "dam", 1.0, 1e-6, 1e-6, 1, 1, 0) for kind in APART}
    assert "sent both kinds of work to dam;" in sentence([line("weighted", 1e-4)], together)


def test_percentiles_are_nearest_rank() -> None:
    values = [float(value) for value in range(40, 0, -1)]
    assert (nearest_rank(values, 0.5), nearest_rank(values, 0.95)) == (20, 38)
