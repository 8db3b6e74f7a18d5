"""Work that waits for a node, first come first served within a priority.

One entry is a run of equal demands: many single-task jobs of a submission, or the uncut rest of one divisible job.
So a job of a thousand tasks costs one entry, and a run becomes one group for the strategy.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Set
from heapq import merge
from itertools import chain

from coordinator.work import Job, Piece
from placement.model import Demand, Shape

Line = tuple[str, Shape]  # work of one shape for one strategy ("": the live one)


class Run:
    """Equal tasks in order: ready-made pieces, or the pieces that are cut off a job's front as they are taken."""

    __slots__ = ("_grain", "_job", "_order", "_pieces", "_withdrawn", "demand", "line", "strategy")

    def __init__(
        self, seq: int, demand: Demand, priority: int, strategy: str, pieces: deque[Piece], job: Job | None, grain: int
    ) -> None:
        self._order = (-priority, seq)
        self.demand = demand
        self.strategy = strategy
        self.line: Line = (strategy, demand.shape)
        self._pieces = pieces
        self._job = job  # whose whole grains are cut as they are taken
        self._grain = grain
        self._withdrawn = 0  # of the submission, when the pieces were last looked through

    @property
    def count(self) -> int:
        """Tasks that wait here."""
        if self._job is not None:
            return 0 if self._job.settled else (self._job.units - self._job.cut_to) // self._grain
        if self._pieces and self._pieces[0].job.submission.withdrawn != self._withdrawn:
            self._withdrawn = self._pieces[0].job.submission.withdrawn
            self._pieces = deque(piece for piece in self._pieces if not piece.job.settled)
        return len(self._pieces)

    @property
    def pieces(self) -> Iterable[Piece]:
        """The ready-made pieces."""
        return self._pieces

    def take(self, count: int) -> list[Piece]:
        """The first `count` tasks. A task's part number is its place in the job, so a replay finds it again."""
        if self._job is None:
            taken = [self._pieces.popleft() for _ in range(count)]
        else:
            job, grain = self._job, self._grain
            part = job.cut_to // grain
            taken = [Piece(job, part + k, job.cut_to + k * grain, grain, 0) for k in range(count)]
            job.cut_to += count * grain
        for piece in taken:
            piece.job.waiting -= 1
        return taken

    def __lt__(self, other: Run) -> bool:
        return self._order < other._order


Offered = list[tuple[Run, int]]  # with how many of its tasks


class Queue:
    """All runs, by priority and then by arrival: one line for each shape, so that a line that stands costs nothing."""

    def __init__(self) -> None:
        self._lines: dict[Line, deque[Run]] = {}
        self._aside: list[Run] = []
        self._aside_most = 1024  # when those that are settled by now are dropped
        self._seq = 0

    def __bool__(self) -> bool:
        return bool(self._lines)

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _insert(self, run: Run) -> None:
        line = self._lines.get(run.line)
        if line is None:
            self._lines[run.line] = deque((run,))
        elif line[-1] < run:
            line.append(run)
        else:
            insort(line, run)

    def add_jobs(self, jobs: list[Job]) -> None:
        """New jobs of one submission: runs of equal whole ones, and a divisible one by its grain and its rest."""
        grain, work = jobs[0].submission.grain, jobs[0].submission.work
        start = 0
        while start < len(jobs):
            job = jobs[start]
            end = start + 1
            if job.units > grain:
                self.add_uncut(job)
                self.add_rest(job)
            else:
                while end < len(jobs) and work.alike(job.item, jobs[end].item):
                    end += 1
                self.add_pieces([Piece(one, 0, 0, one.units, 0) for one in jobs[start:end]])
            start = end

    def add_uncut(self, job: Job) -> None:
        """The whole grains of a divisible job that were not cut yet; they are cut as they are taken."""
        if job.units <= job.submission.grain:  # never cut: it waits as one ready-made piece
            return
        grain, wishes = job.submission.grain, job.submission.wishes
        demand = job.submission.demand(grain, job.item)
        run = Run(self._next_seq(), demand, wishes.priority, wishes.strategy, deque(), job, grain)
        if run.count:
            job.waiting += run.count
            self._insert(run)

    def add_rest(self, job: Job) -> None:
        """What is left of a divisible job behind its last whole grain."""
        part, rest = divmod(job.units, job.submission.grain)
        if rest:
            self.add_pieces([Piece(job, part, job.units - rest, rest, 0)])

    def add_pieces(self, pieces: list[Piece]) -> None:
        """Equal pieces of one submission, at the end of their priority."""
        submission, wishes = pieces[0].job.submission, pieces[0].job.submission.wishes
        demand = submission.demand(pieces[0].units, pieces[0].job.item)
        for piece in pieces:
            piece.job.waiting += 1
        self._insert(Run(self._next_seq(), demand, wishes.priority, wishes.strategy, deque(pieces), None, 0))

    def put_back(self, piece: Piece) -> None:
        """A piece whose attempt is over without its end: before everything that came later than its job."""
        piece.job.waiting += 1
        wishes = piece.job.submission.wishes
        run = Run(
            -1,
            piece.job.submission.demand(piece.units, piece.job.item),
            wishes.priority,
            wishes.strategy,
            deque([piece]),
            None,
            0,
        )
        self._insert(run)

    @property
    def lines(self) -> Set[Line]:
        """Those with anything in them."""
        return self._lines.keys()

    def window(
        self, tasks: int, probe: int = 1, slow: Set[Line] = frozenset(), skip: Set[Line] = frozenset()
    ) -> tuple[Offered, bool]:
        """The first runs, with how many of their tasks are offered (`tasks` in all), and whether it was cut short.

        Lines in `skip` are left out. Of those in `slow` no more than `probe` runs are offered; where one has more,
        the window is cut there, so that nobody is overtaken.
        """
        offered: Offered = []
        left, seen = tasks, Counter[Line]()
        lines = [line for key, line in self._lines.items() if key not in skip]
        for run in merge(*lines) if len(lines) > 1 else chain(*lines):
            if left <= 0:
                break
            count = min(run.count, left)
            if not count:
                continue
            if run.line in slow:
                if seen[run.line] == probe:
                    return offered, True
                seen[run.line] += 1
            offered.append((run, count))
            left -= count
        return offered, False

    def forget_used(self) -> None:
        """Drop the runs of which nothing waits any more, as far as they stand in front."""
        for key, line in list(self._lines.items()):
            while line and not line[0].count:
                line.popleft()
            if not line:
                del self._lines[key]

    def set_aside(self, run: Run) -> None:
        """Offer a run no more until `recall`: nothing but other nodes could help it. Its deadline goes on."""
        line = self._lines[run.line]
        line.remove(run)
        if not line:
            del self._lines[run.line]
        self._aside.append(run)
        if len(self._aside) >= self._aside_most:
            self._aside = [run for run in self._aside if run.count]
            self._aside_most = max(1024, 2 * len(self._aside))

    def recall(self) -> None:
        """Offer again what was set aside."""
        aside, self._aside = self._aside, []
        for run in aside:
            if run.count:
                self._insert(run)

    def __iter__(self) -> Iterator[Run]:
        return chain(merge(*self._lines.values()), self._aside)
