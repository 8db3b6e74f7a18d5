"""What a node tells the child that it starts: one JSON argument."""

import json
from typing import NamedTuple


class Settings(NamedTuple):
    """`parent` is the node's process, `socket` the inherited end of the socket pair."""

    slots: int
    max_hashes_per_s: float  # 0: no brake
    ray_address: str  # an existing cluster; empty: the local Ray
    parent: int
    socket: int

    def argument(self) -> str:
        return json.dumps(self._asdict())

    @classmethod
    def parse(cls, argument: str) -> "Settings":
        """The inverse of `argument`."""
        return cls(**json.loads(argument))
