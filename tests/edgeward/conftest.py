from collections.abc import AsyncIterator, Iterator

import pytest
from grpc import aio

from edgeward import AsyncClient, Client
from tests.edgeward.fake_coordinator import FakeCoordinator


@pytest.fixture
def coordinator() -> Iterator[FakeCoordinator]:
    fake = FakeCoordinator()
    fake.start()
    yield fake
    fake.stop()


def opened(address: str):
    return lambda: aio.insecure_channel(address, options=[("grpc.max_reconnect_backoff_ms", 200)])


@pytest.fixture
async def client(coordinator: FakeCoordinator) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.address, channel=opened(coordinator.address)) as client:
        yield client


@pytest.fixture
def blocking(coordinator: FakeCoordinator) -> Iterator[Client]:
    with Client(coordinator.address, channel=opened(coordinator.address)) as client:
        yield client
