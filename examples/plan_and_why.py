"""Ask where a job would go before it runs, in a hurry and without; then why it went where it went."""

from edgeward import Client, HashJob

GENESIS = (
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd"
    "7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
)

with Client() as edgeward:
    small = HashJob(GENESIS, nonce_start=2_083_236_000, nonce_count=2_000)
    patient = edgeward.plan(small, origin="Paris")
    urgent = edgeward.plan(small, origin="Paris", objective_ms=0, second_usd=0.01)  # every second costs a cent
    print(f"no hurry: {patient.placements[0].node}; in a hurry: {urgent.placements[0].node}\n")

    job = edgeward.submit(small, origin="Paris", objective_ms=0, second_usd=0.01)
    print(f"found {job.result(timeout=300).nonces[0].nonce}, and this is why it ran there:\n")
    print(job.why())
