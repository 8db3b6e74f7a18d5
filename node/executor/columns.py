"""Tasks and their ends as columns of bytes: what travels from the node's process to the workers and back.

Both ends are of one installation on like machines, so integers are in native order. A block of n tasks is n, then each
field of all tasks in turn; parsing a thousand costs a few calls instead of a thousand.
"""

import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, repeat
from typing import Any, NamedTuple, get_args

from node.engines.sha256d import HEADER_BYTES, NONCES
from node.executor.port import Ended, HashTask, Outcome

_TARGET_BYTES = 32
_PRIORITIES = 100  # and as many below zero; a byte holds them shifted
_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
_COUNT = struct.Struct("=Q")


class QueuedTask(NamedTuple):
    """A task and the moment it was handed in, CLOCK_BOOTTIME of the node."""

    epoch: int
    header: bytes
    target: bytes
    nonce_start: int
    nonce_count: int
    find_all: bool
    handed_us: int
    priority: int = 0


def accept(tasks: Iterable[HashTask], handed_us: int) -> tuple[list[QueuedTask], list[Ended]]:
    """Tasks stamped with the moment they were handed in, and the end of those that no column can hold.

    Whether a task makes sense beyond its sizes is for the engine to say.
    """
    fitting, failed = [], []
    for task in tasks:
        whole = len(task.header) == HEADER_BYTES and len(task.target) == _TARGET_BYTES
        if whole and 0 < task.nonce_count <= NONCES and abs(task.priority) <= _PRIORITIES:
            fitting.append(QueuedTask(*task[:6], handed_us, task.priority))
        else:
            sentence = (
                f"a hash task needs a header of {HEADER_BYTES} bytes, a target of {_TARGET_BYTES} and 1 to 2^32 "
                f"nonces, at a priority of -100 to 100, not {len(task.header)}, {len(task.target)}, "
                f"{task.nonce_count} and {task.priority}"
            )
            failed.append(Ended(task.epoch, "failed", 0, 0, 0, (), sentence))
    return fitting, failed


def integers(values: Iterable[int]) -> bytes:
    """A column of unsigned 64-bit integers."""
    return array("Q", values).tobytes()


def read_integers(block: bytes) -> "array[int]":
    """The inverse of `integers`."""
    column = array("Q")
    column.frombytes(block)
    return column


def tasks(rows: Sequence[QueuedTask]) -> bytes:
    """Write tasks that fit."""
    epochs, headers, targets, starts, counts, find_alls, handed, priorities = _turned(rows, 8)
    return b"".join(
        (
            _COUNT.pack(len(rows)),
            *map(integers, (epochs, starts, counts, handed)),
            bytes(find_alls),
            bytes(priority + _PRIORITIES for priority in priorities),
            *headers,
            *targets,
        )
    )


def read_tasks(block: bytes) -> Iterator[QueuedTask]:
    """The inverse of `tasks`."""
    reader = _Reader(block)
    count = reader.count()
    epochs, starts, counts, handed = (reader.integers(count) for _ in range(4))
    find_alls = map(bool, reader.take(count))
    priorities = [shifted - _PRIORITIES for shifted in reader.take(count)]
    headers = _pieces(reader.take(count * HEADER_BYTES), HEADER_BYTES)
    targets = _pieces(reader.take(count * _TARGET_BYTES), _TARGET_BYTES)
    return map(QueuedTask, epochs, headers, targets, starts, counts, find_alls, handed, priorities)


def ended(rows: Sequence[Ended]) -> bytes:
    """Write how tasks ended. Hits and errors are rare, so they are sparse: pairs of position and value."""
    epochs, outcomes, units, run_us, waited_us, nonces, errors = _turned(rows, 7)
    hits = [(position, nonce) for position, of_task in enumerate(nonces) if of_task for nonce in of_task]
    texts = [(position, error.encode()) for position, error in enumerate(errors) if error]
    return b"".join(
        (
            _COUNT.pack(len(rows)),
            *map(integers, (epochs, units, run_us, waited_us)),
            bytes(map(_OUTCOMES.index, outcomes)),
            _COUNT.pack(len(hits)),
            integers(position for position, _ in hits),
            integers(nonce for _, nonce in hits),
            _COUNT.pack(len(texts)),
            integers(position for position, _ in texts),
            integers(len(text) for _, text in texts),
            *(text for _, text in texts),
        )
    )


def read_ended(block: bytes) -> list[Ended]:
    """The inverse of `ended`."""
    reader = _Reader(block)
    count = reader.count()
    epochs, units, run_us, waited_us = (reader.integers(count) for _ in range(4))
    outcomes = map(_OUTCOMES.__getitem__, reader.take(count))
    nonces: list[tuple[int, ...]] = [()] * count
    errors = [""] * count
    hits = reader.count()
    for position, nonce in zip(reader.integers(hits), reader.integers(hits), strict=True):
        nonces[position] += (nonce,)
    texts = reader.count()
    for position, length in list(zip(reader.integers(texts), reader.integers(texts), strict=True)):
        errors[position] = reader.take(length).decode()
    return list(map(Ended, epochs, outcomes, units, run_us, waited_us, nonces, errors))


def _turned(rows: Sequence[tuple[Any, ...]], width: int) -> Iterable[tuple[Any, ...]]:
    """Rows to columns, of which there are `width` even where there is no row."""
    return zip(*rows, strict=True) if rows else repeat((), width)


def _pieces(block: bytes, size: int) -> Iterator[bytes]:
    ends = accumulate(size for _ in range(len(block) // size))
    return (block[end - size : end] for end in ends)


class _Reader:
    """Takes a block apart from the front."""

    def __init__(self, block: bytes) -> None:
        self._block, self._at = block, 0

    def take(self, size: int) -> bytes:
        piece = self._block[self._at : self._at + size]
        if len(piece) != size:
            raise ValueError(f"a block of columns ends {size - len(piece)} bytes early")
        self._at += size
        return piece

    def count(self) -> int:
        return int(_COUNT.unpack(self.take(_COUNT.size))[0])

    def integers(self, count: int) -> "array[int]":
        return read_integers(self.take(8 * count))
