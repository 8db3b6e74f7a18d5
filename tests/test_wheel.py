"""What goes out to users: the packages, typed protos included, and nothing of ours that is not for them."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The paths in a wheel built from this tree."""
    if not UV.exists():
        pytest.skip("uv is not beside this Python; `make setup` puts it there")
    out = tmp_path_factory.mktemp("wheel")
    for network in (["--offline"], []):  # the set-up left the build backend in uv's cache; a pruned cache needs the net
        done = subprocess.run(
            [UV, "build", "--wheel", "--quiet", *network, "--out-dir", out, ROOT], capture_output=True, text=True
        )
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return zipfile.ZipFile(built).namelist()


def test_a_wheel_holds_the_five_packages_and_nothing_else(wheel: list[str]) -> None:
    rooms = {name.split("/")[0] for name in wheel if ".dist-info/" not in name}
    assert rooms == {"edgeward", "placement", "coordinator", "node", "protos"}


def test_a_wheel_holds_no_tests(wheel: list[str]) -> None:
    assert [name for name in wheel if re.search(r"(^|/)(tests?/|test_|conftest)", name)] == []


def test_a_wheel_holds_what_the_wire_needs(wheel: list[str]) -> None:
    assert {"protos/jobs_pb2.py", "protos/jobs_pb2.pyi", "protos/jobs_pb2_grpc.py"} <= set(wheel)
