"""The command line: what it prints where, and the code it ends with."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgeward import Client
from edgeward.cli import app
from edgeward.cli.token import seconds
from edgeward.tables import duration, energy, money
from protos import jobs_pb2, types_pb2
from tests.edgeward.conftest import opened
from tests.edgeward.fake_coordinator import HIT, FakeCoordinator, placement

HEADER = "00" * 72 + "ffff001d"
HASH = ("submit", "hash", "--header", HEADER, "--nonce-count", "1000")
LINE = "placed on edge-paris: $0.0003, 12 ms; runner-up dam-1: $0.0001, 196 ms; weighted"


class Terminal:
    """`edgeward` with a coordinator to talk to; the flags that would find it are remembered."""

    def __init__(self, coordinator: FakeCoordinator) -> None:
        self.coordinator = coordinator
        self.flags: list[tuple[str | None, str | None]] = []

    def __call__(self, *arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, arguments, obj=self.client)
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def client(self, coordinator: str | None, credentials: str | None) -> Client:
        self.flags.append((coordinator, credentials))
        return Client(self.coordinator.address, timeout=2, channel=opened(self.coordinator.address))


@pytest.fixture
def edgeward(coordinator: FakeCoordinator) -> Terminal:
    return Terminal(coordinator)


def test_submit_prints_the_id_and_how_to_follow_it(edgeward: Terminal) -> None:
    first, second = edgeward(*HASH).stdout.splitlines()
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", first)
    assert second == f"follow it with: edgeward wait {first}"


def test_submit_and_wait_prints_what_was_found_and_what_it_cost(
    edgeward: Terminal, coordinator: FakeCoordinator
) -> None:
    coordinator.finds = [2083236893]
    output = edgeward(*HASH, "--wait", "--timeout", "10").stdout
    assert f"found nonce 2,083,236,893  {HIT.hex()}" in output
    assert "cost $0.0003, 12.3 J (modelled)" in output and "on dam-1" in output


def test_search_that_finds_nothing_is_done_and_says_so(edgeward: Terminal) -> None:
    assert "no nonce meets the target; 1,000 were tried" in edgeward(*HASH, "--wait").stdout


def test_submit_as_json_is_the_job(edgeward: Terminal, coordinator: FakeCoordinator) -> None:
    job = edgeward.json(
        *HASH, "--wait", "--origin", "Paris", "--deadline", "60", "--keep-in", "Paris|Nice", "--key", "k"
    )
    assert job["state"] == "succeeded" and job["result"] == {"nonces": [], "hashes_done": 1000} and job["key"] == "k"
    options = coordinator.submissions[0].options
    assert (options.origin, options.deadline_s, list(options.keep_in)) == ("Paris", 60, ["Paris", "Nice"])


def test_plan_prints_where_it_would_go_and_submits_nothing(edgeward: Terminal, coordinator: FakeCoordinator) -> None:
    assert f"would be {LINE}" in edgeward(*HASH, "--plan").stdout
    assert edgeward.json(*HASH, "--plan")["considered"][2]["rejections"][0]["rule"] == "draining"
    assert not coordinator.jobs


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--header", "zz"), "not hex"),
        (("--header", HEADER, "--nonce-start", "4294967295", "--nonce-count", "2"), "past 2^32"),
        (("--header", HEADER, "--target", "0"), "target is zero"),
        (("--header", HEADER, "--priority", "500"), "-100 to 100"),
        ((), "--header"),
        (("--header", HEADER, "--find", "some"), "some"),
    ],
)
def test_malformed_submit_is_wrong_usage(edgeward: Terminal, arguments: tuple[str, ...], sentence: str) -> None:
    result = edgeward("submit", "hash", *arguments, code=2)
    assert sentence in result.stderr and not result.stdout and "Traceback" not in result.stderr


def test_refused_job_ends_with_5_and_says_what_would_admit_it(edgeward: Terminal, coordinator: FakeCoordinator) -> None:
    coordinator.refusal = types_pb2.Refusal(reason="No node stands in Oslo.", relaxation="Without keep_in 2 could.")
    assert edgeward(*HASH, code=5).stderr == "No node stands in Oslo. Without keep_in 2 could.\n"
    job = edgeward.json(*HASH, code=5)
    assert job["state"] == "refused" and job["job_id"] is None and job["refusal"]["reason"] == "No node stands in Oslo."
    assert edgeward.json(*HASH, "--plan", code=5)["feasible"] is False


def test_invalid_by_the_coordinator_ends_with_2(edgeward: Terminal, coordinator: FakeCoordinator) -> None:
    coordinator.invalid = jobs_pb2.Invalid(kind=jobs_pb2.INVALID_KIND_JOB, sentence="Nobody knows the origin 'Mars'.")
    assert "Mars" in edgeward(*HASH, "--origin", "Mars", code=2).stderr


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (types_pb2.JOB_STATE_SUCCEEDED, 0),
        (types_pb2.JOB_STATE_FAILED, 1),
        (types_pb2.JOB_STATE_CANCELLED, 1),
        (types_pb2.JOB_STATE_EXPIRED, 6),
    ],
)
def test_wait_ends_as_the_job_ended(edgeward: Terminal, coordinator: FakeCoordinator, state: int, code: int) -> None:
    coordinator.holds = True
    job_id = edgeward(*HASH).stdout.split()[0]
    coordinator.settle(state)
    assert edgeward.json("wait", job_id, code=code)["job_id"] == job_id
    edgeward("wait", job_id, code=code)


def test_wait_that_takes_too_long_ends_with_6(edgeward: Terminal, coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    job_id = edgeward(*HASH).stdout.split()[0]
    assert "1 of 1 jobs are not done after 0.05 s" in edgeward("wait", job_id, "--timeout", "0.05", code=6).stderr
    assert edgeward.json(*HASH, "--wait", "--timeout", "0.05", code=6)["state"] == "pending"


def test_wait_for_several_ends_as_the_first_that_did_not_end_well(
    edgeward: Terminal, coordinator: FakeCoordinator
) -> None:
    good = edgeward(*HASH).stdout.split()[0]
    coordinator.holds = True
    bad = edgeward(*HASH).stdout.split()[0]
    coordinator.settle(types_pb2.JOB_STATE_EXPIRED)
    assert [job["state"] for job in edgeward.json("wait", good, bad, code=6)] == ["succeeded", "expired"]


def test_interrupted_wait_says_that_the_job_goes_on(edgeward: Terminal, coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    job_id = edgeward(*HASH).stdout.split()[0]
    with in_a_process(coordinator, "wait", job_id) as process:
        while not coordinator.watches:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and not output
    assert errors.decode() == (
        f"The work goes on: wait again with `edgeward wait {job_id}`, end it with `edgeward cancel {job_id}`.\n"
    )
    assert all(job.state == types_pb2.JOB_STATE_PENDING for job in coordinator.jobs.values())


def in_a_process(coordinator: FakeCoordinator, *arguments: str) -> subprocess.Popen[bytes]:
    program = (
        "from edgeward.cli import app; from edgeward import Client; from grpc import aio\n"
        f"app({list(arguments)}, obj=lambda *_: Client(channel=lambda: aio.insecure_channel('{coordinator.address}')))"
    )
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_jobs_and_job_and_cancel(edgeward: Terminal, coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    ids = [edgeward(*HASH).stdout.split()[0] for _ in range(3)]
    assert [job["job_id"] for job in edgeward.json("jobs")] == ids[::-1]
    assert edgeward.json("jobs", "--state", "succeeded") == [] and len(edgeward.json("jobs", "--limit", "1")) == 1
    assert ids[0] in edgeward("jobs").stdout
    assert edgeward.json("job", ids[0])["state"] == "pending" and "pending" in edgeward("job", ids[0]).stdout
    assert edgeward.json("cancel", ids[0]) == {"cancelled": 1}
    assert edgeward("cancel", "--all").stdout == "cancelled 2 jobs\n"
    assert "is one of pending" in edgeward("jobs", "--state", "lost", code=2).stderr


@pytest.mark.parametrize("command", ["job", "wait", "why", "cancel"])
def test_id_that_is_none_ends_with_2(edgeward: Terminal, command: str) -> None:
    assert "is no job id" in edgeward(command, "nonsense", code=2).stderr


def test_cancel_of_nothing_is_wrong_usage(edgeward: Terminal) -> None:
    assert "--all" in edgeward("cancel", code=2).stderr
    edgeward("cancel", "0198c2d1-7a3e-7c11-9f5e-2b1c3d4e5f60", "--all", code=2)


def test_why_shows_every_node(edgeward: Terminal) -> None:
    job_id = edgeward(*HASH).stdout.split()[0]
    output = edgeward("why", job_id).stdout
    assert LINE in output and "draining: old-1 takes no new work." in output
    why = edgeward.json("why", job_id)
    assert [each["rank"] for each in why["placements"][0]["considered"]] == [1, 2, None]
    assert len(edgeward.json("why", job_id, "--node", "dam-1")["placements"][0]["considered"]) == 1


def test_placement_log_reads_well_and_is_one_object_a_line_as_json(
    edgeward: Terminal, coordinator: FakeCoordinator
) -> None:
    coordinator.placements = [placement(seq) for seq in (7, 8, 1234)]
    lines = edgeward("placements").stdout.splitlines()
    assert lines[0] == f"08:26:40.123       7  0198c2d1-7a3e-7c11-9f5e-00000000abcd  {LINE}" and len(lines) == 3
    lines = edgeward("placements", "--since", "7", "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [8, 1234]


def test_fleet_and_strategies(edgeward: Terminal, coordinator: FakeCoordinator) -> None:
    output = edgeward("nodes").stdout
    assert "edge-paris: 40 ms more round trip (injected)" in output and "$0.035/kWh" in output
    assert [node["name"] for node in edgeward.json("nodes")] == ["dam-1", "edge-paris"]
    assert "dam-1, dam-2" in edgeward("sites").stdout
    assert [each["live"] for each in edgeward.json("strategies")] == [False, True]
    assert edgeward.json("strategy")["name"] == "weighted"
    assert edgeward("strategy", "hub").stdout.startswith("hub (") and coordinator.live == "hub"
    assert "There is no strategy 'x'." in edgeward("strategy", "x", code=2).stderr


def test_token_is_printed_alone_on_standard_output(edgeward: Terminal, coordinator: FakeCoordinator) -> None:
    result = edgeward("token", "create", "--role", "node", "--name", "dam-1", "--ttl", "2d", "--uses", "3")
    assert result.stdout == "edgeward://secret\n" and "edgeward node --name dam-1" in result.stderr
    (request,) = coordinator.token_requests
    assert (request.ttl_s, request.uses) == (172_800, 3)
    assert set(edgeward.json("token", "create", "--role", "observer", "--bearer")) == {"id", "bearer", "expires_at"}
    assert edgeward.json("token", "list")[0]["id"] == "t1"
    assert "Only an admin" in edgeward("token", "create", "--role", "admin", code=4).stderr
    edgeward("token", "create", "--role", "king", code=2)
    assert "90s, 30m" in edgeward("token", "create", "--role", "node", "--ttl", "soon", code=2).stderr


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("7d", 604_800), ("5", 5)])
def test_durations(text: str, expected: int) -> None:
    assert seconds(text) == expected


def test_shared_flags_are_heard_before_and_after_the_command(edgeward: Terminal) -> None:
    edgeward("--coordinator", "a:1", "--json", "nodes", "--credentials", "dir")
    edgeward("nodes", "--coordinator", "b:2")
    assert edgeward.flags == [("a:1", "dir"), ("b:2", None)]


def test_coordinator_that_is_not_there_ends_with_3(tmp_path: Path) -> None:
    def nowhere(coordinator: str | None, credentials: str | None) -> Client:
        return Client("127.0.0.1:9", channel=opened("127.0.0.1:9"))

    result = CliRunner().invoke(app, ["jobs"], obj=nowhere)
    assert result.exit_code == 3 and "127.0.0.1:9" in result.stderr and "edgeward coordinator" in result.stderr


def test_credentials_that_are_not_there_end_with_4(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["jobs", "--credentials", str(tmp_path / "nowhere")])
    assert result.exit_code == 4 and "edgeward login" in result.stderr


def test_login_with_nonsense_ends_with_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["login", "nonsense", "--credentials", str(tmp_path / "new")])
    assert result.exit_code == 2 and "no join string" in result.stderr and not (tmp_path / "new").exists()


def commands() -> list[tuple[str, ...]]:
    top = [
        "coordinator",
        "node",
        "jobs",
        "job",
        "wait",
        "cancel",
        "why",
        "placements",
        "nodes",
        "sites",
        "strategies",
        "strategy",
        "login",
        "demo",
        "version",
    ]
    return [(), *((name,) for name in top), ("submit", "hash"), ("token", "create"), ("token", "list")]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_help_teaches_by_example(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert (
        "Examples:\n\n" in result.stdout.replace("  Examples", "Examples")
        and f"edgeward {' '.join(command)}" in result.stdout
    )


def test_help_loads_neither_grpc_nor_rich_nor_ray() -> None:
    program = (
        "import sys; from typer.testing import CliRunner; from edgeward.cli import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print([name for name in ('grpc', 'ray', 'numpy', 'google.protobuf', 'rich.table') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_version(edgeward: Terminal) -> None:
    assert re.fullmatch(r"edgeward \d+\.\d+\.\d+\n", edgeward("version").stdout)
    assert set(edgeward.json("version")) == {"version"}


def test_following_reader_that_goes_away_is_no_fault(coordinator: FakeCoordinator) -> None:
    coordinator.placements = [placement(seq) for seq in range(1, 5000)]
    with in_a_process(coordinator, "placements", "--since", "0") as process:
        assert process.stdout is not None and process.stderr is not None
        assert b"placed on" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0.0003, "$0.0003"),
        (0.00031234, "$0.00031"),
        (3.1e-9, "$0.0000000031"),
        (0, "$0"),
        (-0.02, "-$0.02"),
        (1234.5, "$1,234.50"),
        (None, "-"),
        (0.999, "$1"),
    ],
)
def test_money_has_two_digits_and_no_exponent(usd: float | None, text: str) -> None:
    assert money(usd) == text


def test_durations_and_energy_read_well() -> None:
    assert [duration(ms) for ms in (0.4567, 9.96, 12.2, 9_999, 12_345, 7_200_000)] == [
        *("0.46 ms", "10 ms", "12 ms", "9999 ms", "12.3 s", "120 min"),
    ]
    assert [energy(joules) for joules in (0.0123, 12.3, 4567, 7.2e6)] == ["0.0123 J", "12.3 J", "4,567 J", "2.00 kWh"]
