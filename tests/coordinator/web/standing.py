"""A coordinator that stands in this process, on free ports of loopback, and people with tokens who ask it by HTTP."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from coordinator.app import App
from coordinator.config import Config
from coordinator.convert import request_from
from coordinator.coordinator import Admitted, Report
from coordinator.identity import key
from coordinator.lifecycle import AttemptEvent
from coordinator.security.roles import Role
from coordinator.security.tokens import TokenRequest
from placement.model import NodeFacts
from protos import document, types_pb2

HARD = bytes(31) + b"\1"  # a target that no hash meets


class Standing:
    """An `App` with hands: a client that submits, nodes that join and report."""

    def __init__(self, app: App) -> None:
        self.app = app

    def people(self, role: Role, name: str = "", **options: Any) -> httpx.AsyncClient:
        """Somebody with a bearer token of this role."""
        token = self.app.access.create_token(TokenRequest(role, name, bearer=True), "").bearer
        return self.stranger(headers={"Authorization": f"Bearer {token}"}, **options)

    def stranger(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://{self.app.addresses['http']}", trust_env=False, **options)

    async def node(self, name: str, **facts: Any) -> None:
        """A node joins and is ready."""
        declared = NodeFacts(
            name=name, site=name, region=name, **{"slots": 1, "max_watts": 100.0, "hashes_per_s": 1e6} | facts
        )
        await self.app.turns.ask(lambda coordinator, now: coordinator.hello(declared, (), (), 1, now))
        await self.app.turns.ask(lambda coordinator, now: coordinator.heartbeat(name, 0.01, 0, 0, (), now))

    async def submit(self, client: str, key_: str, nonces: int = 1000) -> str:
        """One job of a client; returns its id."""
        work = types_pb2.HashWork(
            headers=bytes(76), targets=HARD, nonce_starts=[0], nonce_counts=[nonces], find_all=True
        )
        request = request_from(types_pb2.Submission(key=key_, count=1, hash=work), client)
        admitted = await self.app.turns.ask(lambda coordinator, now: coordinator.submit(request, now))
        assert isinstance(admitted, Admitted)
        submission = admitted.submission
        found = document.identity(key(submission.first, submission.submitted_us, self.app.turns.coordinator.salt))
        assert found is not None
        return found

    def running(self, node: str) -> list[int]:
        """The epochs that a node holds, oldest first."""
        return sorted(self.app.turns.coordinator.members[node].live)

    async def report(self, node: str, epochs: Sequence[int], *, joules: float = 1.0) -> None:
        """The node has done these, and used so many joules for each."""
        live = self.app.turns.coordinator.members[node].live
        done = [
            Report(
                epoch, AttemptEvent.DONE, live[epoch].piece.units if epoch in live else 1, 0, int(joules * 1e6), True
            )
            for epoch in epochs
        ]
        await self.app.turns.ask(lambda coordinator, now: coordinator.report(node, done, now))


@asynccontextmanager
async def standing(directory: Path, **config: Any) -> AsyncIterator[Standing]:
    app = App(Config(**{"listen": "127.0.0.1:0", "http": "127.0.0.1:0"} | config), directory)
    try:
        await app.start()
        yield Standing(app)
    finally:
        await app.stop()
