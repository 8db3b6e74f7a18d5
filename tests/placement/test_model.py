"""Our enumerations and the wire's are one numbering."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest

from placement.model import AttemptState, JobState, Kind
from protos import types_pb2


@pytest.mark.parametrize(
    ("ours", "prefix", "wire"),
    [
        (Kind, "KIND", types_pb2.Kind),
        (JobState, "JOB_STATE", types_pb2.JobState),
        (AttemptState, "ATTEMPT_STATE", types_pb2.AttemptState),
    ],
)
def test_numbers_of_an_enumeration_equal_those_of_the_wire(ours: type[IntEnum], prefix: str, wire: Any) -> None:
    named = {f"{prefix}_{one.name}": one.value for one in ours}
    assert named | {f"{prefix}_UNSPECIFIED": 0} == dict(wire.items())
