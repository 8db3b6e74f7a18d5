"""Are the generated files those that the protos give? `python -m tests.protos_current` says so in `make check`."""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def differences(root: Path = ROOT) -> list[str]:
    """Names of generated files that are missing, outdated or left over. Raises RuntimeError if a proto is not valid."""
    with tempfile.TemporaryDirectory() as directory:
        fresh = Path(directory)
        _generate(root, fresh)
        made, kept = _generated(fresh), _generated(root)
    return sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))


def _generate(root: Path, into: Path) -> None:
    # As `make protos` does it; were the two to part, the files would differ and this check would say so.
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "."]
    command += [f"--python_out={into}", f"--grpc_python_out={into}"]
    for plugin in ("mypy", "mypy_grpc"):
        command += [f"--{plugin}_out=quiet:{into}", f"--plugin=protoc-gen-{plugin}={BIN / f'protoc-gen-{plugin}'}"]
    command += sorted(str(proto.relative_to(root)) for proto in root.glob("protos/*.proto"))
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the protos cannot be compiled: {done.stderr.strip()}")


def _generated(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.glob("protos/*_pb2*.py*")}


if __name__ == "__main__":
    if outdated := differences():
        sys.exit(f"not what the protos give: {', '.join(outdated)}; run `make protos` and commit the result")
