"""Every failure of the coordinator on one screen, sorted by whose fault it is. Each says what to do."""

from __future__ import annotations


class CoordinatorError(Exception):
    """The root: the sentence is for the user."""


# -- the caller's


class InvalidSubmission(CoordinatorError):
    """What was submitted cannot be a job."""


class KeyConflict(CoordinatorError):
    """The key is taken by another body."""


class UnknownName(CoordinatorError):
    """No job, node, site or strategy of that name."""


class InvalidFacts(CoordinatorError):
    """What a node declares of itself cannot be priced."""


class InvalidConfiguration(CoordinatorError):
    """Start-up refused: the sentence names file and key."""


# -- ours and the machine's


class PortTaken(CoordinatorError):
    """An address cannot be listened on."""


class StoreUnavailable(CoordinatorError):
    """Nothing can be made durable now; nothing was acknowledged."""


class SettledTwice(CoordinatorError):
    """A second settlement of a job: a bug of ours, which the store refuses to keep."""


class StoreTooNew(CoordinatorError):
    """The store was written by a newer version."""


class Overloaded(CoordinatorError):
    """Too much is open; come back later."""
