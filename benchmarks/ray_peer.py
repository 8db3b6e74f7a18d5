"""The peer, in a process of its own: no-op Ray tasks and actor calls on the same Ray that the node uses.

Reads one command a line (NAME COUNT), answers with seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time

from node.executor import local_ray

MARK = "=>"  # Ray prints as well


def main() -> None:
    place = local_ray.directory()
    local_ray.authenticate(place)
    membership = local_ray.join(place, sys.stderr.buffer)
    import ray  # reads its settings from the environment when it is imported, so late

    from node.executor import loopback

    loopback.keep_ray_on_loopback()
    ray.init(
        address=membership.ray.address,
        namespace="bench",
        log_to_driver=False,
        configure_logging=False,
        _node_ip_address=loopback.LOOPBACK,
        _temp_dir=str(place / "r"),
    )

    @ray.remote
    def nothing() -> None:
        return None

    @ray.remote(num_cpus=0)
    class Worker:
        def nothing(self) -> None:
            return None

        def nothings(self, items: list[int]) -> list[None]:
            return [None for _ in items]

    worker = Worker.remote()

    def tasks(count: int) -> None:
        ray.get([nothing.remote() for _ in range(count)])

    def task_sync(count: int) -> None:
        for _ in range(count):
            ray.get(nothing.remote())

    def actor(count: int) -> None:
        ray.get([worker.nothing.remote() for _ in range(count)])

    def actor_sync(count: int) -> None:
        for _ in range(count):
            ray.get(worker.nothing.remote())

    def actor_batches(count: int) -> None:
        ray.get([worker.nothings.remote(list(range(100))) for _ in range(count // 100)])

    known = {one.__name__: one for one in (tasks, task_sync, actor, actor_sync, actor_batches)}
    tasks(50)
    actor(50)
    print(MARK, flush=True)
    for line in sys.stdin:
        name, count = line.split()
        before = time.perf_counter()
        known[name](int(count))
        print(MARK, json.dumps(time.perf_counter() - before), flush=True)
    ray.shutdown()


if __name__ == "__main__":
    main()
