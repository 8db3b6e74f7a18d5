"""The JSON of the contract, key by key."""

import json

from protos import cluster_pb2, document, jobs_pb2, types_pb2

JOB_ID = bytes.fromhex("0198c2d17a3e7c119f5e2b1c3d4e5f60")
JOB = "0198c2d1-7a3e-7c11-9f5e-2b1c3d4e5f60"
RECEIPT_KEYS = {
    *("energy_joules", "energy_source", "cost_usd", "energy_usd", "network_usd", "carbon_usd"),
    *("carbon_g", "queue_ms", "network_ms", "run_ms", "total_ms"),
}


def receipt() -> types_pb2.Receipt:
    return types_pb2.Receipt(
        energy_microjoules=12_300_000,
        energy_measured=True,
        energy_picodollars=100_000_000,
        network_picodollars=200_000_000,
        carbon_picodollars=3,
        carbon_micrograms=1_500_000,
        queue_us=1_500,
        network_us=2_000,
        run_us=3_000_000,
        total_us=3_003_500,
    )


def test_job_that_succeeded_has_every_key() -> None:
    attempt = types_pb2.Attempt(
        attempt_id=bytes(15) + b"\1",
        part=2,
        node="dam-1",
        epoch=9,
        state=types_pb2.ATTEMPT_STATE_SUCCEEDED,
        placed_us=1_000_000,
        started_us=1_500_000,
        ended_us=2_000_000,
        receipt=receipt(),
        site="dam",
        region="SaoPaulo",
        price_usd_per_kwh=0.035,
        price_source="operator",
        path="relayed",
    )
    found = types_pb2.FoundNonce(nonce=2083236893, hash=bytes.fromhex("00000000" + "ab" * 28))
    job = document.job(
        types_pb2.Job(
            job_id=JOB_ID,
            kind=types_pb2.KIND_HASH,
            state=types_pb2.JOB_STATE_SUCCEEDED,
            submitted_us=1_763_800_000_123_456,
            settled_us=1_763_800_001_999_999,
            origin="Paris",
            key="block-1",
            hash=types_pb2.HashResult(nonces=[found], hashes_done=236_894),
            receipt=receipt(),
            nodes=["edge-1", "dam-1"],
            attempts=[attempt],
            units_done=5,
            units=10,
        )
    )
    assert job["job_id"] == JOB and job["kind"] == "hash" and job["state"] == "succeeded"
    assert job["submitted_at"] == "2025-11-22T08:26:40.123Z" and job["settled_at"] == "2025-11-22T08:26:41.999Z"
    assert job["strategy"] is None and job["error"] is None and job["waiting_for"] is None
    assert job["result"] == {"nonces": [{"nonce": 2083236893, "hash": "00000000" + "ab" * 28}], "hashes_done": 236_894}
    assert set(job["receipt"]) == RECEIPT_KEYS | {"nodes"} and job["receipt"]["nodes"] == ["dam-1", "edge-1"]
    (told,) = job["attempts"]
    assert told["attempt_id"] == "00000000-0000-0000-0000-000000000001" and told["task_id"] == f"{JOB}.2"
    assert told["started_at"] == "1970-01-01T00:00:01.500Z" and told["reason"] is None
    extra = {"node", "site", "region", "price_usd_per_kwh", "price_source", "path"}
    assert set(told["receipt"]) == RECEIPT_KEYS | extra and told["receipt"]["site"] == "dam"
    json.dumps(job, allow_nan=False)


def test_job_that_has_just_come_is_null_where_nothing_is_known() -> None:
    message = types_pb2.Job(job_id=JOB_ID, kind=types_pb2.KIND_HASH, state=types_pb2.JOB_STATE_PENDING, submitted_us=1)
    message.attempts.add(node="dam-1", state=types_pb2.ATTEMPT_STATE_LEASED)
    message.hash.hashes_done = 5  # so far
    job = document.job(message)
    assert [key for key, value in job.items() if value is None] == [
        *("settled_at", "origin", "strategy", "key", "client", "result", "error", "waiting_for", "receipt"),
    ]
    assert job["attempts"][0]["receipt"] is None and job["attempts"][0]["ended_at"] is None


def test_receipt_adds_up_as_integers_and_is_divided_once() -> None:
    told = document.receipt(receipt())
    assert told["cost_usd"] == 0.000300000003 and told["energy_usd"] == 0.0001 and told["energy_joules"] == 12.3
    assert told["energy_source"] == "measured" and document.receipt(types_pb2.Receipt())["energy_source"] == "modelled"
    assert (told["queue_ms"], told["run_ms"], told["carbon_g"]) == (1.5, 3000.0, 1.5)


def test_placement_has_the_contracts_keys() -> None:
    message = types_pb2.Placement(seq=7, at_us=1_000, job_id=JOB_ID, part=0, node="edge-paris", cost_usd=0.0003)
    told = document.placement(message)
    assert list(told) == [
        *("seq", "at", "job_id", "task_id", "attempt_id", "node", "site", "region", "strategy", "cost_usd"),
        *("energy_usd", "network_usd", "carbon_usd", "time_usd", "energy_joules", "price_usd_per_kwh", "rtt_ms"),
        *("rtt_source", "expected_ms", "path", "runner_up", "reason"),
    ]
    assert told["at"] == "1970-01-01T00:00:00.001Z" and told["task_id"] == f"{JOB}.0"
    assert told["runner_up"] is None and told["rtt_source"] is None
    message.runner_up.node = "dam-1"
    assert document.placement(message)["runner_up"] == {
        "node": "dam-1",
        "cost_usd": 0.0,
        "expected_ms": 0.0,
        "bill_usd": 0.0,
    }


def test_rejected_node_has_no_rank_and_infinity_is_null() -> None:
    rejection = types_pb2.Rejection(rule="residency", sentence="Paris is not in Lyon|Nice.")
    message = types_pb2.Considered(node="edge-paris", rejections=[rejection], cost_usd=float("inf"), queue_ms=3)
    told = document.considered(message)
    assert told["rank"] is None and told["cost_usd"] is None
    assert told["rejections"] == [{"rule": "residency", "sentence": "Paris is not in Lyon|Nice."}]
    assert told["parts_ms"] == {"rtt": 0.0, "transfer": 0.0, "queue": 3.0, "service": 0.0}
    message.rank = 1
    assert document.considered(message)["rank"] == 1


def test_why_and_plan_nest_placements_and_nodes() -> None:
    explanation = jobs_pb2.Explanation(
        placement=types_pb2.Placement(job_id=JOB_ID), considered=[types_pb2.Considered(node="a")]
    )
    why = document.why(jobs_pb2.WhyResponse(job_id=JOB_ID, explanations=[explanation]))
    assert why["job_id"] == JOB and set(why["placements"][0]) == {"placement", "considered"}
    plan = document.plan(jobs_pb2.PlanResponse(feasible=True, plan_id="p"))
    assert plan == {"feasible": True, "plan_id": "p", "placements": [], "considered": [], "refusal": None}
    refusal = types_pb2.Refusal(reason="No.", survivors=[types_pb2.Survivors(rule="residency", left=0)])
    assert document.plan(jobs_pb2.PlanResponse(refusal=refusal))["refusal"] == {
        "reason": "No.",
        "survivors": [{"rule": "residency", "left": 0}],
        "relaxation": None,
    }


def test_node_says_what_was_injected() -> None:
    honest = document.node(cluster_pb2.Node(name="a", state="ready", models=["z", "m"]))
    assert honest["injected"] is None and honest["rtt_ms"] is None and honest["models"] == ["m", "z"]
    contract = (
        "name state site region operator tier slots busy price_usd_per_kwh price_source rtt_ms hashes_per_s models"
    )
    assert set(contract.split()) | {"idle_watts", "max_watts", "energy_source"} <= set(honest)
    slowed = document.node(cluster_pb2.Node(name="a", extra_delay_ms=40, rtt_ms=41))
    assert slowed["injected"] == {"extra_delay_ms": 40.0, "max_hashes_per_s": None} and slowed["rtt_ms"] == 41


def test_site_strategy_and_token() -> None:
    site = document.site(cluster_pb2.Site(name="dam", nodes=["b", "a"], price_usd_per_kwh=0.03))
    assert site["nodes"] == ["a", "b"] and site["curtailed"] is False and site["region"] is None
    strategy = document.strategy(cluster_pb2.Strategy(name="hub", family="centralised", rule="r", live=True))
    assert strategy == {"name": "hub", "family": "centralised", "rule": "r", "live": True}
    created = document.created_token(cluster_pb2.CreateTokenResponse(id="t", join="j", expires_us=0))
    assert created == {"id": "t", "join": "j", "expires_at": "1970-01-01T00:00:00.000Z"}
    assert "join" not in document.created_token(cluster_pb2.CreateTokenResponse(id="t", bearer="b"))
