"""What waits for a worker: first come first served within a priority, the higher priority first."""

from collections import OrderedDict
from collections.abc import Iterator

from node.executor.columns import QueuedTask


class Waiting:
    """Tasks by priority and then by arrival; any of them can be taken out."""

    def __init__(self) -> None:
        self._by_priority: dict[int, OrderedDict[int, QueuedTask]] = {}
        self._priority_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._priority_of)

    def __iter__(self) -> Iterator[QueuedTask]:
        """In the order in which they will run."""
        for priority in sorted(self._by_priority, reverse=True):
            yield from self._by_priority[priority].values()

    def add(self, task: QueuedTask) -> None:
        self._by_priority.setdefault(task.priority, OrderedDict())[task.epoch] = task
        self._priority_of[task.epoch] = task.priority

    def first(self) -> QueuedTask:
        """The next to run. There must be one."""
        return next(iter(self))

    def remove(self, epoch: int) -> QueuedTask | None:
        """Take a task out, wherever it stands; None if it is not here."""
        priority = self._priority_of.pop(epoch, None)
        if priority is None:
            return None
        queue = self._by_priority[priority]
        task = queue.pop(epoch)
        if not queue:
            del self._by_priority[priority]
        return task

    def clear(self) -> list[QueuedTask]:
        """Take out everything."""
        everything = list(self)
        self._by_priority.clear()
        self._priority_of.clear()
        return everything
