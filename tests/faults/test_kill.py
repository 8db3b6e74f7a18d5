"""kill -9 on either side in the middle of work, with real processes, the real store and real Ray."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeward import Client, HashJob
from edgeward.client import JobHandle
from tests.faults.fleet import HASHES_PER_S, Fleet, running

pytestmark = [pytest.mark.ray, pytest.mark.timeout(150)]

SECONDS_OF_WORK = 5
NONCES = HASHES_PER_S * SECONDS_OF_WORK
TARGET = 2**256 // 60_000  # a few hits in all


@pytest.fixture(scope="module")
def fleet(local_ray: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
def client(fleet: Fleet) -> Iterator[Client]:
    with fleet.client() as client:
        yield client


def header(name: str) -> bytes:
    return hashlib.sha512(name.encode()).digest() + bytes(12)


def hits(of: bytes) -> list[int]:
    """By direct hashing."""
    found = []
    for nonce in range(NONCES):
        digest = hashlib.sha256(hashlib.sha256(of + nonce.to_bytes(4, "little")).digest()).digest()
        if int.from_bytes(digest, "little") <= TARGET:
            found.append(nonce)
    return found


def job_in_the_middle(fleet: Fleet, client: Client, name: str) -> JobHandle:
    """A job of some seconds, part of which is done."""
    job = client.submit(HashJob(header(name), nonce_count=NONCES, target=TARGET, find="all"), key=name)
    fleet.until(lambda: client.describe([job])[0].units_done > NONCES // 4)
    return job


def assert_exact(fleet: Fleet, job: JobHandle, name: str) -> None:
    found = job.result(timeout=60)
    assert found.hashes_done == NONCES
    assert [one.nonce for one in found.nonces] == hits(header(name))
    assert fleet.judge() == []


def states(client: Client, job: JobHandle) -> set[str]:
    return {attempt.state for attempt in client.describe([job])[0].attempts}


def test_coordinator_killed_in_the_middle_goes_on_and_no_attempt_is_thrown_away(fleet: Fleet, client: Client) -> None:
    job = job_in_the_middle(fleet, client, "coordinator")
    fleet.kill("coordinator")
    fleet.start_coordinator()
    assert_exact(fleet, job, "coordinator")
    assert states(client, job) == {"succeeded"}


def test_node_killed_in_the_middle_and_started_again_finishes_the_job(fleet: Fleet, client: Client) -> None:
    job = job_in_the_middle(fleet, client, "node")
    fleet.kill("node")
    fleet.start_node()
    assert_exact(fleet, job, "node")
    assert states(client, job) == {"succeeded", "lost"}


def test_node_drained_in_the_middle_hands_its_ranges_back(fleet: Fleet, client: Client) -> None:
    job = job_in_the_middle(fleet, client, "drain")
    assert fleet.drain() == 0
    fleet.until_node_is(client, "gone")
    handed_back = client.describe([job])[0]
    assert handed_back.state == "pending"
    assert NONCES // 4 < handed_back.units_done < NONCES
    fleet.start_node()
    assert_exact(fleet, job, "drain")
    assert states(client, job) == {"succeeded", "released"}


def test_coordinator_killed_among_submits_keeps_every_acknowledged_one_and_each_key_once(
    fleet: Fleet, client: Client
) -> None:
    enough, over = threading.Event(), threading.Event()
    jobs: dict[str, JobHandle] = {}

    def submit() -> None:
        for n in range(10_000):
            key = f"small-{n}"
            jobs[key] = client.submit(HashJob(header(key), nonce_count=1, target=TARGET), key=key)
            if n == 50:
                enough.set()
            if over.is_set():
                return

    submitting = threading.Thread(target=submit)
    submitting.start()
    assert enough.wait(30)
    fleet.kill("coordinator")
    fleet.start_coordinator()
    over.set()
    submitting.join(30)
    assert not submitting.is_alive()
    again = {key: client.submit(HashJob(header(key), nonce_count=1, target=TARGET), key=key) for key in jobs}
    assert {key: job.job_id for key, job in again.items()} == {key: job.job_id for key, job in jobs.items()}
    assert all(job.result(timeout=60).hashes_done == 1 for job in jobs.values())
    of_these = [job.job_id for job in client.jobs(limit=10_000) if (job.key or "").startswith("small-")]
    assert sorted(of_these) == sorted(job.job_id for job in jobs.values())
    assert fleet.judge() == []
