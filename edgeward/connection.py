"""One channel to the coordinator, and the patience to use it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import grpc
from grpc import aio

from edgeward import errors
from protos import cluster_pb2, cluster_pb2_grpc, jobs_pb2_grpc

if TYPE_CHECKING:
    from protos.cluster_pb2_grpc import ClusterAsyncStub
    from protos.jobs_pb2_grpc import JobsAsyncStub

T = TypeVar("T")
FIRST_CONTACT_S = 3.0
LONGEST_PAUSE_S = 1.0


class Connection:
    """Calls that are tried again where that is safe.

    A coordinator that was never reached is given up after FIRST_CONTACT_S; one that was, and went away (it is being
    restarted, say), after `timeout_s` of silence. Must be made and used in one event loop.
    """

    def __init__(self, address: str, channel: aio.Channel, timeout_s: float) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self.jobs: JobsAsyncStub = jobs_pb2_grpc.JobsStub(channel)
        self.cluster: ClusterAsyncStub = cluster_pb2_grpc.ClusterStub(channel)
        self._channel = channel
        self._clock = asyncio.get_running_loop().time
        self._last_contact: float | None = None

    def contact(self) -> None:
        """Something was heard from the coordinator just now."""
        self._last_contact = self._clock()

    async def ready(self) -> None:
        """Returns once the coordinator was reached for the first time; raises Unreachable or Unauthorised."""
        if self._last_contact is not None:
            return
        try:
            async with asyncio.timeout(FIRST_CONTACT_S):
                await self._channel.channel_ready()
        except TimeoutError:
            raise await self._why_not() from None
        self.contact()

    async def _why_not(self) -> errors.EdgewardError:
        """gRPC tells the reason for a failed connection only to a call."""
        try:
            await self.cluster.ListStrategies(cluster_pb2.ListStrategiesRequest(), timeout=0.2)
        except aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return errors.never_connected(error, self.address)
        return errors.unreachable(self.address)

    async def unary(
        self,
        call: Callable[..., Awaitable[T]],
        request: object,
        *,
        timeout_s: float | None = None,
        again: bool = True,
    ) -> T:
        """The response. With `again` the call is repeated while the coordinator is away: for what is idempotent."""
        await self.ready()  # before the time for the call itself begins
        patience_s = self.timeout_s if timeout_s is None else timeout_s
        end = self._clock() + patience_s

        async def attempt() -> T:
            response = await call(request, timeout=max(0.001, end - self._clock()))
            self.contact()
            return response

        return await self.persist(attempt, patience_s if again else 0.0)

    async def persist(self, attempt: Callable[[], Awaitable[T]], patience_s: float | None = None) -> T:
        """Runs `attempt` until it returns, fails otherwise than by the coordinator's absence, or patience is over."""
        await self.ready()
        outage = self.outage(patience_s)
        while True:
            try:
                return await attempt()
            except aio.AioRpcError as error:
                await outage.rest(error)

    def outage(self, patience_s: float | None = None) -> "Outage":
        return Outage(self, self.timeout_s if patience_s is None else patience_s)

    def silent_s(self, since: float) -> float:
        return self._clock() - max(since, self._last_contact or since)

    async def close(self) -> None:
        await self._channel.close()


class Outage:
    """How long one caller puts up with a coordinator that is away."""

    def __init__(self, connection: Connection, patience_s: float) -> None:
        self._connection = connection
        self._patience_s = patience_s
        self._since = asyncio.get_running_loop().time()
        self._pauses = pauses()

    async def rest(self, error: aio.AioRpcError) -> None:
        """Returns after a pause if it is worth trying again, else raises what the user is told."""
        pause = next(self._pauses)
        if not errors.is_passing(error) or self._connection.silent_s(self._since) + pause > self._patience_s:
            raise errors.from_rpc(error, self._connection.address) from None
        await asyncio.sleep(pause)


def pauses() -> Iterator[float]:
    """Seconds between tries: doubling from 50 ms to a second, half of each drawn by chance so that clients spread."""
    longest = 0.05
    while True:
        yield longest * random.uniform(0.5, 1)
        longest = min(2 * longest, LONGEST_PAUSE_S)
