"""Job logs in the Standard Workload Format (Parallel Workloads Archive) -> `jobs.csv`.

A batch job is divisible and indifferent to distance, as hashing is: its processor-seconds become hashes, at a stated
rate, and so it takes that many seconds on one slot of that rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import InvalidConfiguration
from coordinator.simulator.convert.target import figure, write

FIELDS = 18
SUBMIT, RUN, PROCESSORS, WANTED = 1, 3, 4, 7  # counted from 0
COLUMNS = ("arrival_s", "kind", "origin", "units", "deadline_s", "deferrable")


@dataclass(frozen=True)
class Converted:
    jobs: int
    left_out: int  # cancelled before they ran, or without a length: the log has -1 or 0 there


def convert(source: Path, target: Path, origin: str, hashes_per_s: float, slack: float | None = None) -> Converted:
    """Arrivals count from the log's first job. With `slack` a job may wait for that many times its own
    length on one slot.

    Raises InvalidConfiguration with file and line.
    """
    rows, left_out, first = [], 0, None
    for number, fields in _lines(source):
        try:
            submit, run, processors, wanted = (float(fields[place]) for place in (SUBMIT, RUN, PROCESSORS, WANTED))
        except (ValueError, IndexError):
            raise InvalidConfiguration(
                f"{source}, line {number}: {len(fields)} fields where a job has {FIELDS} numbers"
            ) from None
        processors = processors if processors > 0 else wanted
        first = submit if first is None else min(first, submit)
        if run <= 0 or processors <= 0:
            left_out += 1
            continue
        deadline = "" if slack is None else figure(run * processors * (1 + slack))
        rows.append((submit, figure(run * processors * hashes_per_s), deadline))
    if not rows:
        raise InvalidConfiguration(f"{source} has no job that ran; is it in the Standard Workload Format?")
    rows.sort(key=lambda row: row[0])
    later = "false" if slack is None else "true"
    write(target, COLUMNS, ((figure(at - (first or 0)), "hash", origin, units, by, later) for at, units, by in rows))
    return Converted(len(rows), left_out)


def _lines(source: Path) -> list[tuple[int, list[str]]]:
    """Numbered fields; lines that begin with a semicolon are remarks."""
    try:
        text = source.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidConfiguration(f"{source} cannot be read ({error.strerror}): correct the path") from error
    numbered = ((number, line.split()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, fields) for number, fields in numbered if fields and not fields[0].startswith(";")]
