"""Jobs from files: `jobs.csv` in the contract's columns, or the trace of a language-model service.

Read in pieces, so that a million rows cost their columns and not their text. Every complaint names file, line and
column.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from coordinator.config import like
from coordinator.errors import InvalidConfiguration
from coordinator.feeds.table import Table, read_tables
from coordinator.simulator.model import KINDS, Floats, Jobs, stream
from placement.model import Kind

AT_A_TIME = 4_096  # rows of text in memory: few enough for the processor's cache
PRIORITIES = (-100, 100)

Column = np.ndarray[Any, Any]
Meaning = TypeVar("Meaning", bound=Hashable)


@dataclass(frozen=True)
class Regions:
    """Where jobs may come from, and what those that do not say are given."""

    known: frozenset[str]
    default: str


def read_jobs(path: Path, regions: Regions) -> Jobs:
    """Read `jobs.csv`. Missing columns and empty cells take the defaults. Raises InvalidConfiguration."""
    origins = _Codes(lambda text: _region(text or regions.default, regions))
    keep_ins = _Codes(lambda text: tuple(sorted({_region(name.strip(), regions) for name in text.split("|") if text})))
    keep_ins.learn("")
    pieces = []
    for columns in _pieces(path, JOB_COLUMNS, ("arrival_s",)):
        piece: dict[str, Column] = {name: columns.numbers(name, *limits) for name, limits in _NUMBERS.items()}
        piece["kind"] = columns.words("kind", KINDS | {"": Kind.INFERENCE}).astype(np.int8)
        piece["deferrable"] = columns.words("deferrable", {"": 0, "false": 0, "true": 1}).astype(np.bool_)
        piece["origin"] = columns.codes("origin", origins)
        piece["keep_in"] = columns.codes("keep_in", keep_ins)
        columns.check_hashes(piece["kind"], piece["units"])
        pieces.append(piece)
    whole = _joined(pieces)
    whole["objective_s"] = whole.pop("objective_ms") / 1e3
    whole["priority"] = whole["priority"].astype(np.int8)
    return Jobs(**whole, origins=tuple(origins.found), keep_ins=tuple(keep_ins.found))


def read_requests(
    path: Path,
    shares: dict[str, float],
    seed: int,
    objective_ms: float | None = None,
    second_usd: float | None = None,
) -> Jobs:
    """Read `arrival_s,context_tokens,generated_tokens`; origins are drawn by their shares, the same for every strategy.

    Raises InvalidConfiguration.
    """
    whole = _joined(
        {name: columns.numbers(name, least=0.0) for name in REQUEST_COLUMNS}
        for columns in _pieces(path, REQUEST_COLUMNS, REQUEST_COLUMNS)
    )
    n = len(whole["arrival_s"])
    weights = np.array(list(shares.values()))
    zero = np.zeros(n)
    return Jobs(
        arrival_s=whole["arrival_s"],
        kind=np.full(n, Kind.INFERENCE, dtype=np.int8),
        origin=stream(seed, "origins").choice(len(shares), size=n, p=weights / weights.sum()).astype(np.int32),
        units=whole["generated_tokens"],
        context_tokens=whole["context_tokens"],
        objective_s=np.full(n, nan if objective_ms is None else objective_ms / 1e3),
        second_usd=np.full(n, nan if second_usd is None else second_usd),
        deadline_s=np.full(n, inf),
        keep_in=np.zeros(n, dtype=np.int32),
        bytes_in=zero,
        bytes_out=zero,
        priority=np.zeros(n, dtype=np.int8),
        deferrable=np.zeros(n, dtype=np.bool_),
        origins=tuple(shares),
        keep_ins=((),),
    )


def no_jobs() -> Jobs:
    """What a scenario for mining alone has."""
    none, small = np.zeros(0), np.zeros(0, dtype=np.int8)
    codes, flags = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.bool_)
    return Jobs(none, small, codes, none, none, none, none, none, codes, none, none, small, flags, (), ((),))


_NUMBERS: dict[str, tuple[float, float | None]] = {  # least; what an empty cell means, None: none may be empty
    "arrival_s": (0.0, None),
    "units": (0.0, 0.0),
    "context_tokens": (0.0, 0.0),
    "objective_ms": (0.0, nan),
    "second_usd": (0.0, nan),
    "deadline_s": (0.0, inf),
    "bytes_in": (0.0, 0.0),
    "bytes_out": (0.0, 0.0),
    "priority": (PRIORITIES[0], 0.0),
}
JOB_COLUMNS = (*_NUMBERS, "kind", "origin", "keep_in", "deferrable")
REQUEST_COLUMNS = ("arrival_s", "context_tokens", "generated_tokens")


def _pieces(path: Path, known: Sequence[str], needed: Sequence[str]) -> Iterator[_Columns]:
    """The file in pieces, with columns that are all known and arrivals that rise."""
    last = 0.0
    for number, table in enumerate(read_tables(path, AT_A_TIME)):
        if number == 0:
            _check_names(path, table.columns, known, needed)
        columns = _Columns(table)
        arrivals = columns.numbers("arrival_s", least=0.0)
        backward = np.flatnonzero(np.diff(arrivals, prepend=last) < 0)
        if backward.size:
            row = int(backward[0])
            before = last if row == 0 else float(arrivals[row - 1])
            raise table.error(
                row, "arrival_s", f"{arrivals[row]:.15g} comes before {before:.15g} above it; sort the rows by arrival"
            )
        last = float(arrivals[-1])
        yield columns


def _check_names(path: Path, columns: list[str], known: Sequence[str], needed: Sequence[str]) -> None:
    for place, name in enumerate(columns, 1):
        if name not in known:
            raise InvalidConfiguration(
                f"{path}, line 1, column {place}: {name!r} is an unknown column{like(name, list(known))}; "
                f"there are {', '.join(known)}"
            )
    for name in needed:
        if name not in columns:
            raise InvalidConfiguration(f"{path}, line 1: the column {name} is missing")


def _joined(pieces: Iterable[dict[str, Column]]) -> dict[str, Column]:
    listed = list(pieces)
    return {name: np.concatenate([piece[name] for piece in listed]) for name in listed[0]}


def _region(name: str, regions: Regions) -> str:
    """The name itself. Raises ValueError with a sentence."""
    if name not in regions.known:
        raise ValueError(
            f"{name!r} is neither in the latency file nor a region of the fleet{like(name, list(regions.known))}"
        )
    return name


class _Codes(Generic[Meaning]):
    """Texts of few kinds as small numbers; each kind is checked and read once."""

    def __init__(self, read: Callable[[str], Meaning]) -> None:
        self.found: dict[Meaning, int] = {}
        self.known: dict[str, int] = {}  # code by text; texts may mean the same
        self._read = read

    def learn(self, text: str) -> None:
        """Raises ValueError with a sentence."""
        if text not in self.known:
            self.known[text] = self.found.setdefault(self._read(text.strip()), len(self.found))


class _Columns:
    """The columns of one piece, read with complaints that name the cell."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._texts = dict(zip(table.columns, zip(*table.rows, strict=True), strict=True))

    def numbers(self, name: str, least: float, empty: float | None = None) -> Floats:
        """A column of finite numbers of at least `least`; where a cell or the column is empty, `empty`, or refused."""
        texts = self._texts.get(name)
        if texts is None or (empty is not None and not any(texts)):
            return np.full(len(self._table.rows), empty)
        try:
            values = np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
            given = None  # no cell is empty
        except ValueError:
            values = np.array([_number(text) if text else nan for text in texts])
            given = np.array([bool(text.strip()) for text in texts])
        wrong = ~(np.isfinite(values) & (values >= least))
        if name == "priority":
            wrong |= (values > PRIORITIES[1]) | (values != np.floor(values))
        if "_" in "".join(texts):  # Python's 1_000, which no other reader of the file would take
            wrong |= np.array(["_" in text for text in texts])
        if given is not None and empty is not None:
            values[~given] = empty
            wrong &= given
        for row in np.flatnonzero(wrong):
            raise self._table.error(int(row), name, _complaint(name, texts[row], least))
        return values

    def words(self, name: str, meaning: Mapping[str, int]) -> Column:
        """A column of few words, by what each means."""
        texts = self._texts.get(name)
        if texts is None:
            return np.full(len(self._table.rows), meaning[""])
        try:
            return np.array([meaning[text] for text in texts])
        except KeyError:
            row = next(row for row, text in enumerate(texts) if text not in meaning)
            there = " or ".join(word for word in meaning if word)
            raise self._table.error(row, name, f"{texts[row]!r} must be {there}") from None

    def codes(self, name: str, codes: _Codes[Any]) -> Column:
        """A column of regions, by code."""
        texts = self._texts.get(name, ("",) * len(self._table.rows))
        for text in dict.fromkeys(texts):
            try:
                codes.learn(text)
            except ValueError as wrong:
                raise self._table.error(texts.index(text), name, str(wrong)) from None
        return np.array([codes.known[text] for text in texts], dtype=np.int32)

    def check_hashes(self, kinds: Column, units: Floats) -> None:
        """A hash job is as large as its units; without any it is a slip."""
        empty = np.flatnonzero((kinds == Kind.HASH) & (units <= 0))
        if empty.size:
            raise self._table.error(int(empty[0]), "units", "a hash job needs its number of hashes, more than 0")


def _number(text: str) -> float:
    """nan for what is no number; who calls complains, with the place."""
    try:
        return float(text)
    except ValueError:
        return nan


def _complaint(name: str, text: str, least: float) -> str:
    if not text.strip():
        return "empty; every row needs it"
    if name == "priority":
        return f"{text!r} is no whole number from {PRIORITIES[0]} to {PRIORITIES[1]}"
    value = _number(text)
    if isfinite(value) and value < least:
        return f"{text} is negative; it must be at least {least:g}"
    return f"{text!r} is no number"
