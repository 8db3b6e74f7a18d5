"""What an attempt drew. So far from a stated model: its slot's share of the power above idle, for as long as it ran."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Meter(Protocol):
    """Energy of attempts: marginal (above idle), at the plug, without PUE, which the coordinator applies."""

    @property
    def measured(self) -> bool:
        """True if the figures come from a counter, false if they are modelled."""

    def microjoules(self, run_us: int) -> int:
        """Of an attempt that held one slot for `run_us`."""


class ModelledMeter(NamedTuple):
    """Linear between idle and all slots busy: every slot adds the same draw."""

    slot_watts: float
    measured: bool = False

    @classmethod
    def of(cls, idle_watts: float, max_watts: float, slots: int) -> ModelledMeter:
        return cls((max_watts - idle_watts) / slots)

    def microjoules(self, run_us: int) -> int:
        return round(self.slot_watts * run_us)  # a watt for a microsecond is a microjoule
