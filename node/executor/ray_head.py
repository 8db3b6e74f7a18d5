"""Starts the local Ray and becomes its keeper: `python -m node.executor.ray_head DIRECTORY GRACE_S`, in a session of
its own.

Writes `address.json` (`{"address", "session"}`) into the directory once Ray answers.
"""

import json
import os
import sys
from pathlib import Path

from ray.scripts import scripts

from node.executor import keeper, loopback

_OBJECT_STORE_BYTES = 78_643_200  # the least Ray takes: batches travel inside the calls


def main(directory: Path, grace_s: str) -> None:
    """Start Ray on loopback only, publish its address, go on as the keeper. Raises if Ray does not start."""
    loopback.keep_ray_on_loopback()
    scripts.get_ray_client_dependency_error = lambda: ImportError("no client server: it would listen for everybody")
    arguments = [
        "start",
        "--head",
        f"--node-ip-address={loopback.LOOPBACK}",
        f"--temp-dir={directory / 'r'}",
        "--port=0",
        f"--num-cpus={os.cpu_count() or 1}",  # bounds how many workers start at once; actors here ask for none
        "--num-gpus=0",
        f"--object-store-memory={_OBJECT_STORE_BYTES}",
        "--no-monitor",
        "--include-dashboard=false",
        "--include-log-monitor=false",
        "--disable-usage-stats",
        "--dashboard-agent-listen-port=0",
    ]
    scripts.cli(arguments, standalone_mode=False)
    address = (directory / "r" / "ray_current_cluster").read_text().strip()
    draft = directory / "address.draft"
    draft.write_text(json.dumps({"address": address, "session": os.getsid(0)}))
    draft.replace(directory / "address.json")
    os.execv(  # noqa: S606 - its arguments are our own
        sys.executable, [sys.executable, "-I", "-S", str(Path(keeper.__file__)), str(directory), grace_s]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
