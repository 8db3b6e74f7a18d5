"""The short programs in examples/ and the one in the README, run as a reader would, against real processes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.fleet import running

ROOT = Path(__file__).parents[2]
NONCE, HASH = "2083236893", "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
DAM = ("--region=SaoPaulo", "--tier=hub", "--price-usd-per-kwh=0.03", "--slots=2", "--extra-delay-ms=180")
EDGE = ("--region=Paris", "--price-usd-per-kwh=0.27", "--slots=1")

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def credentials(local_ray: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with running(tmp_path_factory.mktemp("fleet"), **{"dam-1": DAM, "edge-paris": EDGE}) as credentials:
        yield credentials


def output(program: str | Path, credentials: Path) -> str:
    """What a program prints that is told no more than where its credentials are."""
    command = [sys.executable, "-c", program] if isinstance(program, str) else [sys.executable, str(program)]
    ran = subprocess.run(
        command,
        env=os.environ | {"EDGEWARD_CREDENTIALS": str(credentials)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_submit_finds_the_genesis_nonce_and_says_what_it_cost(credentials: Path) -> None:
    printed = output(ROOT / "examples/submit.py", credentials)
    assert f"nonce {NONCE}: {HASH}" in printed
    assert re.search(r"^\d+\.\d J, \$0\.0\d+, on (dam-1|edge-paris)", printed, re.MULTILINE), printed


def test_many_finds_every_easy_nonce_and_counts_each_search_once(credentials: Path) -> None:
    printed = output(ROOT / "examples/many.py", credentials)
    assert "200 searches found [88156, 128273, 135214, 176085]" in printed  # by hashlib alone, in one loop
    assert sum(int(count) for count in re.findall(r"(\d+) on ", printed)) == 200, printed


def test_plan_goes_to_the_dam_without_hurry_and_to_the_edge_in_a_hurry(credentials: Path) -> None:
    printed = output(ROOT / "examples/plan_and_why.py", credentials)
    assert "no hurry: dam-1; in a hurry: edge-paris" in printed
    assert f"found {NONCE}" in printed and "placed on edge-paris" in printed


def test_readme_program_runs_as_printed(credentials: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    printed = output(program, credentials)
    assert f"{NONCE} {HASH}" in printed
    assert "placed on" in printed


def test_every_example_is_run_here() -> None:
    tested = set(re.findall(r"examples/(\w+\.py)", Path(__file__).read_text()))
    assert {example.name for example in (ROOT / "examples").glob("*.py")} == tested
