"""Find the nonce of Bitcoin's first block, and read what finding it cost and where it ran."""

from edgeward import Client, HashJob

GENESIS = (
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd"
    "7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
)

with Client() as edgeward:
    job = edgeward.submit(HashJob(GENESIS, nonce_start=2_083_000_000, nonce_count=1_000_000))
    for found in job.result(timeout=300).nonces:
        print(f"nonce {found.nonce}: {found.hash}")
    receipt = job.receipt
    assert receipt is not None  # a job that succeeded has one
    print(f"{receipt.energy_joules:.1f} J, ${receipt.cost_usd:.8f}, on {', '.join(receipt.nodes)}")
