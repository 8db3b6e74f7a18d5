"""What stands in deploy/ is checked by the tools that will read it."""

import importlib.util
import json
import shutil
import ssl
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from coordinator.config_file import load
from coordinator.feeds.file import read_series
from node.config import complete, read

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
EXAMPLES = DEPLOY / "examples"
UNITS = sorted(path.name for path in (DEPLOY / "systemd").glob("*.service"))


def script(path: Path) -> ModuleType:
    """A program of deploy/, imported without running."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_container_file_passes_its_linter() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_container_file_copies_only_what_its_context_holds() -> None:
    admitted = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copies = [line.split()[1:-1] for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line[:5] == "COPY "]
    copied = {source for sources in copies if not sources[0].startswith("--") for source in sources}
    assert copied == admitted
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_the_container_holds_every_package_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    container = (DEPLOY / "Dockerfile").read_text()
    assert [name for name in packages if f"COPY {name} {name}\n" not in container] == []


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine: units cannot be verified")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_verifies_without_a_word(unit: str) -> None:
    done = analyze("verify", "--man=no", DEPLOY / "systemd" / unit)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_hardened(unit: str) -> None:
    done = analyze("security", "--offline=yes", "--threshold=25", DEPLOY / "systemd" / unit)  # 2.5 of 10
    if "offline" in done.stderr:
        pytest.skip("systemd-analyze is too old to judge a unit that is not loaded")
    assert done.returncode == 0, done.stdout[-300:]


def test_the_example_of_a_coordinator_is_read_and_its_zones_have_prices() -> None:
    config = load(EXAMPLES / "coordinator.toml")
    assert config.prices is not None
    zones = [site.price_zone for site in config.site if site.price_zone]
    steps = read_series(config.prices).steps(zones, "error")
    assert sorted(steps.curves) == ["EXAMPLE-CITY", "EXAMPLE-DAM"]


def test_the_example_of_a_node_is_read() -> None:
    config = complete(read(EXAMPLES / "node.toml", {}), "edge-paris")
    assert (config.name, config.site, config.region, config.tier) == ("edge-paris", "paris", "Paris", "edge")
    assert (config.slots, config.idle_watts, config.max_watts, config.pue) == (2, 8, 65, 1.2)


def test_the_example_of_a_coordinator_shows_the_defaults_of_money_and_limits() -> None:
    shown, default = load(EXAMPLES / "coordinator.toml"), load(None)
    assert shown.money == default.money
    assert shown.limits == default.limits
    assert shown.limits.model_fields_set == set(type(shown.limits).model_fields)


def test_the_example_prices_are_what_their_generator_writes() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "generate_prices.py", "2026-01-01"], capture_output=True, text=True
    )
    assert done.stdout == (EXAMPLES / "prices.csv").read_text()
    assert min(read_series(EXAMPLES / "prices.csv").values["EXAMPLE-SOLAR"]) < 0


@contextmanager
def answering(status: int, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on loopback that answers /healthz with a status; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def unknown_certificate(directory: Path) -> ssl.SSLContext:
    """A server's TLS whose certificate no machine's list of authorities vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "elsewhere.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "both.pem").write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(directory / "both.pem")
    return tls


COORDINATOR = ["python", "edgeward", "coordinator"]


def health(data: Path, command: list[str]) -> str | None:
    answer = script(DEPLOY / "healthcheck.py").complaint(data, command)
    assert answer is None or isinstance(answer, str)
    return answer


def test_a_coordinator_that_answers_is_well_wherever_it_listens(tmp_path: Path) -> None:
    with answering(200) as port:
        for host in ("127.0.0.1", "0.0.0.0"):
            (tmp_path / "address.json").write_text(json.dumps({"http": f"{host}:{port}"}))
            assert health(tmp_path, COORDINATOR) is None


def test_a_coordinator_that_answers_by_tls_of_its_own_authority_is_well(tmp_path: Path) -> None:
    with answering(200, unknown_certificate(tmp_path)) as port:
        (tmp_path / "address.json").write_text(json.dumps({"http": f"127.0.0.1:{port}"}))
        assert health(tmp_path, COORDINATOR) is None


def test_a_coordinator_that_says_it_is_unwell_is_unwell(tmp_path: Path) -> None:
    with answering(503) as port:
        (tmp_path / "address.json").write_text(json.dumps({"http": f"127.0.0.1:{port}"}))
        assert (health(tmp_path, COORDINATOR) or "").endswith("/healthz answers 503")


def test_a_coordinator_that_is_starting_or_gone_is_unwell(tmp_path: Path) -> None:
    assert "has not written" in (health(tmp_path, COORDINATOR) or "")
    with answering(200) as port:
        (tmp_path / "address.json").write_text(json.dumps({"http": f"127.0.0.1:{port}"}))
    assert "does not answer" in (health(tmp_path, COORDINATOR) or "")


def test_a_node_is_not_asked_for_http(tmp_path: Path) -> None:
    assert health(tmp_path, ["python", "edgeward", "node", "--join", "coordinator.example:7370"]) is None
