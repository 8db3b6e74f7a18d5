"""`python -m benchmarks [NAME ...] [--json FILE]`: all comparisons, or those named."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import core, end_to_end, simulator
from benchmarks.report import show

BENCHMARKS = {"core": core.run, "end-to-end": end_to_end.run, "simulator": simulator.run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(BENCHMARKS)}; none: all")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="where the figures go as JSON")
    given = parser.parse_args()
    unknown = set(given.name) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    rows = [row for name in given.name or BENCHMARKS for row in BENCHMARKS[name]()]
    show(rows, given.json)


if __name__ == "__main__":
    main()
