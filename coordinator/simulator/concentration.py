"""How concentrated shares are: of work or capacity, by node, site, region or operator.

Every function takes non-negative amounts in any order and unit; it normalises them itself. Nothing, or nothing but
zeros, has no concentration: nan, and 0 for `nakamoto`. Definitions: hhi = 1e4 * sum x^2 for shares x of sum 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum, isnan, nan
from typing import NamedTuple

import numpy as np

from placement.energy import Floats


class Concentration(NamedTuple):
    """The four that every report has."""

    hhi: float  # 10,000 / n (all alike) to 10,000 (one has all)
    nakamoto: int  # how few hold more than half
    gini: float  # 0 (all alike) to 1 - 1/n
    top_share: float


def concentration(amounts: Iterable[float]) -> Concentration:
    held = shares(amounts)
    return Concentration(hhi(held), nakamoto(held), gini(held), top_share(held))


def shares(amounts: Iterable[float]) -> Floats:
    """The amounts over their sum, descending. Empty when there is nothing to share. Raises ValueError below zero."""
    given = np.sort(np.fromiter(amounts, dtype=np.float64))[::-1]
    if not np.all(np.isfinite(given)) or np.any(given < 0):
        raise ValueError("amounts must be finite and at least zero")
    total = fsum(given)
    return given / total if total > 0 else given[:0]


def hhi(amounts: Iterable[float]) -> float:
    """Herfindahl-Hirschman index on the scale to 10,000."""
    held = shares(amounts)
    return 1e4 * fsum(held * held) if len(held) else nan


def effective_number(amounts: Iterable[float]) -> float:
    """How many equal holders would be as concentrated: 1 / sum x^2."""
    index = hhi(amounts)
    return nan if isnan(index) else 1e4 / index


def nakamoto(amounts: Iterable[float], threshold: float = 0.5) -> int:
    """The least number of holders whose shares together exceed the threshold, which is below 1."""
    running = np.cumsum(shares(amounts))
    # a half made of many parts is a half, and not a rounding error more
    return int(np.searchsorted(running, threshold + 1e-12, side="right")) + 1 if len(running) else 0


def gini(amounts: Iterable[float]) -> float:
    """Inequality among the holders listed, those with nothing included: sum (2i - n - 1) x_i / (n sum x), ascending."""
    held = shares(amounts)[::-1]
    n = len(held)
    return fsum((2 * np.arange(1, n + 1) - n - 1) * held) / n if n else nan


def top_share(amounts: Iterable[float]) -> float:
    held = shares(amounts)
    return float(held[0]) if len(held) else nan


def entropy(amounts: Iterable[float]) -> float:
    """-sum x ln x, in nats; its exponential is an effective number as well."""
    held = shares(amounts)
    held = held[held > 0]
    return -fsum(held * np.log(held)) + 0.0 if len(held) else nan


def jain(values: Iterable[float]) -> float:
    """Fairness of what each gets for each unit it offers: (sum y)^2 / (n sum y^2), 1/n to 1."""
    held = shares(values)
    return 1 / (len(held) * fsum(held * held)) if len(held) else nan
