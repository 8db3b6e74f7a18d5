"""The client's two-way stream: submissions go up, many to a message, answers and settlements come down.

A submission that was not answered when the stream broke is sent again on the next one; its key makes that safe.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from grpc import aio

from edgeward import errors
from edgeward.connection import Connection, pauses
from edgeward.settlements import Settlements
from edgeward.submission import ITEMS_PER_SUBMISSION
from protos import jobs_pb2, types_pb2

Accept = Callable[[list[jobs_pb2.Submitted]], object]


class _Unanswered:
    """Submissions that must be answered together, and what to do with the answers before anything else is heard."""

    def __init__(self, submissions: Sequence[types_pb2.Submission], accept: Accept) -> None:
        self.submissions = submissions
        self.items = sum(submission.count for submission in submissions)
        self.accept = accept
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Session:
    def __init__(self, connection: Connection, settlements: Settlements) -> None:
        self._connection = connection
        self._settlements = settlements
        self._unanswered: dict[_Unanswered, None] = {}  # in the order of submission
        self._outgoing: list[_Unanswered] = []
        self._news: asyncio.Event | None = None  # of the stream that is open
        self._sent: dict[int, list[_Unanswered]] = {}  # by the number of the request, on this stream
        self._serving: asyncio.Task[None] | None = None
        self._broken = False

    async def submit(self, submissions: Sequence[types_pb2.Submission], accept: Accept, timeout_s: float) -> None:
        """Returns when `accept` has had the answers, in order. Raises Unreachable or TimedOut after `timeout_s`."""
        await self._connection.ready()
        entry = _Unanswered(submissions, accept)
        self._unanswered[entry] = None
        self._outgoing.append(entry)
        if self._news is not None:
            self._news.set()
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        try:
            async with asyncio.timeout(timeout_s):
                await entry.answered
        except TimeoutError:
            raise self._no_answer(submissions[0].key, timeout_s) from None
        finally:
            self._unanswered.pop(entry, None)

    def _no_answer(self, key: str, timeout_s: float) -> errors.EdgewardError:
        if self._broken:
            return errors.unreachable(self._connection.address)
        return errors.TimedOut(
            f"The coordinator at {self._connection.address} did not answer within {timeout_s:g} s and may or may not "
            f"have accepted the work: submit it again with the key {key} to be sure."
        )

    async def close(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])

    async def _serve(self) -> None:
        """Keeps a stream open for as long as it stands, and opens another while anything is unanswered."""
        pause = pauses()
        while self._unanswered:
            self._sent, self._outgoing = {}, list(self._unanswered)
            try:
                await self._one_stream()
            except aio.AioRpcError as error:
                if not errors.is_passing(error):
                    self._fail_all(errors.from_rpc(error, self._connection.address))
            self._broken = True
            self._settlements.session_lost()
            if self._unanswered:
                await asyncio.sleep(next(pause))

    async def _one_stream(self) -> None:
        news = self._news = asyncio.Event()
        news.set()
        call: aio.StreamStreamCall[jobs_pb2.SessionRequest, jobs_pb2.SessionResponse]
        call = self._connection.jobs.Session(self._requests(news))
        try:
            async for response in call:
                self._connection.contact()
                self._broken = False
                if response.request:
                    self._answer(response)
                self._settlements.apply(response.settled)
        finally:
            self._news = None
            news.set()  # gRPC leaves the generator of a broken call waiting: it must not take what the next one sends
            call.cancel()

    async def _requests(self, news: asyncio.Event) -> AsyncIterator[jobs_pb2.SessionRequest]:
        """What gathers while one message is being written goes up together in the next."""
        number = 0
        while await news.wait() and self._news is news:
            news.clear()
            while self._outgoing and self._news is news:
                number += 1
                entries = self._sent[number] = self._next_entries()
                submissions = [submission for entry in entries for submission in entry.submissions]
                yield jobs_pb2.SessionRequest(request=number, submit=jobs_pb2.SubmitRequest(submissions=submissions))

    def _next_entries(self) -> list[_Unanswered]:
        items = taken = 0
        for entry in self._outgoing:
            if taken and items + entry.items > ITEMS_PER_SUBMISSION:
                break
            items += entry.items
            taken += 1
        entries, self._outgoing = self._outgoing[:taken], self._outgoing[taken:]
        return entries

    def _answer(self, response: jobs_pb2.SessionResponse) -> None:
        answers = iter(response.submitted.submitted)
        for entry in self._sent.pop(response.request, ()):
            own = [next(answers) for _ in entry.submissions]
            if not entry.answered.done():
                entry.accept(own)
                entry.answered.set_result(None)
                self._unanswered.pop(entry, None)

    def _fail_all(self, error: errors.EdgewardError) -> None:
        for entry in self._unanswered:
            if not entry.answered.done():
                entry.answered.set_exception(error)
        self._unanswered.clear()
