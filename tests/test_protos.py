"""The generated Python beside the protos, and the check that keeps it current."""

import shutil
from pathlib import Path

import pytest

from tests.protos_current import ROOT, differences


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "protos", tmp_path / "protos", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_protos_as_committed_are_current() -> None:
    assert differences() == []


def test_a_proto_changed_without_generating_is_noticed(copy: Path) -> None:
    with (copy / "protos" / "jobs.proto").open("a") as proto:
        proto.write("message Forgotten {}\n")
    assert differences(copy) == ["jobs_pb2.py", "jobs_pb2.pyi"]


def test_generated_files_without_a_proto_are_noticed(copy: Path) -> None:
    (copy / "protos" / "old_pb2.py").write_text("")
    assert differences(copy) == ["old_pb2.py"]


def test_a_proto_that_does_not_compile_is_an_error_with_its_line(copy: Path) -> None:
    (copy / "protos" / "broken.proto").write_text('syntax = "proto3";\nmessage {}\n')
    with pytest.raises(RuntimeError, match=r"broken\.proto:2"):
        differences(copy)
