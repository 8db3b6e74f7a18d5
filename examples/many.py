"""Two hundred small searches in one round trip, taken as they end, and where they ran."""

from collections import Counter

from edgeward import Client, HashJob

BLOCK_125552 = (
    "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2"
    "fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695"
)
EASY = 2**240 - 1  # a target that one nonce in 65,536 meets
searches = [
    HashJob(BLOCK_125552, target=EASY, nonce_start=start, nonce_count=1000, find="all")
    for start in range(0, 200_000, 1000)
]

with Client() as edgeward:
    jobs = edgeward.submit(searches)
    nonces = [found.nonce for job in edgeward.as_completed(jobs, timeout=300) for found in job.result().nonces]
    ran_on = Counter(node for job in edgeward.describe(jobs) if job.receipt for node in job.receipt.nodes)
    print(f"{len(jobs)} searches found {sorted(nonces)}")
    print("; ".join(f"{count} on {node}" for node, count in sorted(ran_on.items())))
