"""Hash rate that follows prices, and difficulty that follows hash rate.

Machines of one kind at one site are a `Herd`. While it pays (electricity below the break-even of the present
difficulty) the idle ones come on, while it does not the running ones go off, each after a delay that is exponential
with the stated mean: with on-share x and goal g of 0 or 1, dx/dt = (g - x) / reaction. What is banned, dark or
curtailed stops at once, and comes back like idle ones do. Between steps the sums are exact, not stepped through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, inf
from typing import NamedTuple

import numpy as np

from coordinator.simulator.mining import EPOCH_BLOCKS, HASHES_A_DIFFICULTY, JOULES_A_KWH, TERA, hashprice, retarget
from coordinator.simulator.model import Bools
from placement.energy import Floats

TOO_LONG_S = 1e11  # three thousand years: a network without hash rate finds no block


@dataclass(frozen=True, eq=False)
class Herd:
    """Machines of one kind at one site, and their price of electricity as steps (seconds from the start)."""

    hashes_per_s: float  # with all of them on
    j_per_th: float  # at the meter
    times: Floats
    usd_per_kwh: Floats
    settled_usd_per_kwh: float  # the price that they had settled to before the start
    off: tuple[tuple[float, float], ...] = ()  # spans, seconds, in which none may run

    def price(self, at_s: Floats) -> Floats:
        price: Floats = self.usd_per_kwh[np.maximum(np.searchsorted(self.times, at_s, side="right") - 1, 0)]
        return price

    def may_run(self, at_s: Floats) -> Bools:
        may = np.ones(len(at_s), dtype=np.bool_)
        for begin, end in self.off:
            may &= (at_s < begin) | (at_s >= end)
        return may


class Epoch(NamedTuple):
    """A retarget: when it came, and what it made of the epoch before it."""

    at_s: float
    difficulty: float  # from here on
    change: float  # against the difficulty before
    mean_interval_s: float  # of the epoch that ends here
    hashes: tuple[float, ...]  # done in it, by herd
    energy_usd: tuple[float, ...]  # paid for them
    rest_hashes: float  # of everybody else


@dataclass(frozen=True)
class Coin:
    """What a block is worth, and how fast machines answer."""

    difficulty: float  # at the start
    block_coin: float
    coin_usd: float
    reaction_s: float


class Chain:
    """The network from a start on: each `epoch` runs it to the next retarget."""

    def __init__(self, herds: Sequence[Herd], rest_hashes_per_s: float, coin: Coin) -> None:
        """The herds begin settled: all on where it pays at their settled price, else all off."""
        self._coin = coin
        self._rest = rest_hashes_per_s
        self.difficulty = coin.difficulty
        self.now_s = 0.0
        self._capacity = np.array([herd.hashes_per_s for herd in herds])
        self._j_per_th = np.array([herd.j_per_th for herd in herds])
        edges = [herd.times for herd in herds] + [np.array([t for span in herd.off for t in span]) for herd in herds]
        moments = np.unique(np.concatenate([*edges, np.zeros(1)]))
        self._moments = moments[(moments >= 0) & np.isfinite(moments)]  # between two of them nothing changes
        self._prices = np.stack([herd.price(self._moments) for herd in herds], axis=1)
        self._allowed = np.stack([herd.may_run(self._moments) for herd in herds], axis=1)
        self._step = 0
        self._on = np.where(self._pays(np.array([herd.settled_usd_per_kwh for herd in herds])), 1.0, 0.0)

    def epoch(self, blocks: float = EPOCH_BLOCKS) -> Epoch:
        """Run to the next retarget. `blocks`: how many blocks' worth of hashes it takes; see `lucky`.

        Raises NoBlocks.
        """
        began, before = self.now_s, self.difficulty
        need = blocks * before * HASHES_A_DIFFICULTY
        done, usd, rest = np.zeros(len(self._capacity)), np.zeros(len(self._capacity)), 0.0
        while need > 0:
            prices, allowed = self._prices[self._step], self._allowed[self._step]
            goal = np.where(allowed & self._pays(prices), 1.0, 0.0)
            self._on = np.where(allowed, self._on, 0.0)
            span = self._time_for(need, goal, self._next_change() - self.now_s)
            part = self._hashes(goal, span)
            done += part
            usd += part / TERA * self._j_per_th / JOULES_A_KWH * prices
            rest += self._rest * span
            found = float(part.sum()) + self._rest * span
            need = 0.0 if found >= need * (1 - 1e-12) else need - found
            self._advance(goal, span)
        length = self.now_s - began
        self.difficulty = retarget(before, length)
        change = self.difficulty / before - 1
        mean_interval_s = length / EPOCH_BLOCKS
        return Epoch(
            self.now_s, self.difficulty, change, mean_interval_s, tuple(done.tolist()), tuple(usd.tolist()), rest
        )

    def running(self) -> Floats:
        """Hashes per second, by herd, at this moment."""
        running: Floats = self._capacity * self._on
        return running

    def _pays(self, prices: Floats) -> Bools:
        earned = hashprice(self.difficulty, self._coin.block_coin, self._coin.coin_usd)
        pays: Bools = prices * 24 * self._j_per_th <= earned
        return pays

    def _next_change(self) -> float:
        return float(self._moments[self._step + 1]) if self._step + 1 < len(self._moments) else inf

    def _hashes(self, goal: Floats, span: float) -> Floats:
        """Hashes of each herd in the next `span` seconds: the integral of its capacity times its on-share."""
        tau = self._coin.reaction_s
        settling = tau * -np.expm1(-span / tau) if tau > 0 else 0.0
        done: Floats = self._capacity * (goal * span + (self._on - goal) * settling)
        return done

    def _time_for(self, need: float, goal: Floats, span: float) -> float:
        """The seconds until `need` hashes are done, or `span` if they are not by then."""

        def done(seconds: float) -> float:
            return float(self._hashes(goal, seconds).sum()) + self._rest * seconds

        if span < inf and done(span) <= need:
            return span
        high = min(span, 1.0)
        while done(high) < need:
            high *= 2
            if high > TOO_LONG_S:
                raise NoBlocks("nobody hashes any more, so no block is found and difficulty never falls")
        return _root(done, need, high)

    def _advance(self, goal: Floats, span: float) -> None:
        tau = self._coin.reaction_s
        self._on = goal + (self._on - goal) * (exp(-span / tau) if tau > 0 else 0.0)
        self.now_s += span
        if self.now_s >= self._next_change():
            self._step += 1
            self.now_s = float(self._moments[self._step])


class NoBlocks(Exception):
    """The network has no hash rate left."""


def lucky(rng: np.random.Generator) -> float:
    """How many blocks' worth of hashes the 2016 blocks of an epoch really take: blocks are a Poisson process."""
    return float(rng.gamma(EPOCH_BLOCKS))


def _root(rising: Callable[[float], float], wanted: float, high: float) -> float:
    """Where a rising function from 0 meets a value that it has by `high`: bisection, to the last digits."""
    low = 0.0
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if rising(middle) < wanted:
            low = middle
        else:
            high = middle
    return high
