"""Handles that wait for promises: told by news, and by asking now and then."""

import asyncio
import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from math import inf

from resonate_sdk.ask import ask, refusal
from resonate_sdk.client.result import Result
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.failures import decode_failure, decode_value
from resonate_sdk.errors import NotFoundError, ResonateError
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.records import PromiseRecord
from resonate_sdk.protocol.requests import PromiseGet, PromiseRegisterListener
from resonate_sdk.protocol.responses import PromiseData
from resonate_sdk.transport import Transport

logger = logging.getLogger(__name__)

FIRST_LOOK_S = 5.0
NEXT_LOOK_S = 30.0
REST_S_MIN = 1.0  # between two times at which something is looked at
LOOKS_AT_A_TIME = 200  # and per second: who waits for very many would flood the server with them


class Watch:
    """Everybody in this process who waits for one promise."""

    __slots__ = ("id", "look_at_s", "waiting")

    def __init__(self, id: str, look_at_s: float) -> None:
        """Nobody waits yet."""
        self.id = id
        self.look_at_s = look_at_s
        self.waiting: list[Result] = []


class Watches:
    """The promises that handles of this process wait for. Used on the event loop only."""

    def __init__(self, transport: Transport, codec: Codec, address: str) -> None:
        """Listen under an address.

        Args:
            transport: the way to the server.
            codec: decodes errors.
            address: where news for this process go.
        """
        self._transport = transport
        self._codec = codec
        self._address = address
        self._watches: dict[str, Watch] = {}
        self._rests_until_s = inf
        self._is_earlier = asyncio.Event()

    def add(self, id: str, result: Result) -> None:
        """Complete a result when a promise settles."""
        look_at_s = asyncio.get_running_loop().time() + FIRST_LOOK_S
        watch = self._watches.setdefault(id, Watch(id, look_at_s))
        watch.waiting.append(result)
        if self._rests_until_s > look_at_s:
            self._is_earlier.set()

    def __bool__(self) -> bool:
        """Whether anything is waited for."""
        return bool(self._watches)

    def is_watched(self, id: str) -> bool:
        """Whether somebody waits for a promise."""
        return id in self._watches

    def settle(self, record: PromiseRecord) -> None:
        """A promise may have settled: complete the results that wait for it."""
        if record.state == "pending" or record.id not in self._watches:
            return
        for result in self._watches.pop(record.id).waiting:
            self._complete(result, record)

    def fail(self, id: str, error: Exception) -> None:
        """Waiting for a promise makes no sense any more."""
        watch = self._watches.pop(id, None)
        for result in watch.waiting if watch else ():
            if not result.done():
                result.set_exception(error)

    def fail_one(self, id: str, result: Result, error: Exception) -> None:
        """One of those who wait for a promise does not mean it."""
        watch = self._watches.get(id)
        if watch is not None:
            watch.waiting = [other for other in watch.waiting if other is not result]
        if not result.done():
            result.set_exception(error)

    def fail_all(self, error: Exception) -> None:
        """Nothing is waited for any more."""
        for id in tuple(self._watches):
            self.fail(id, error)

    async def look(self, id: str) -> None:
        """Listen to a promise, and see whether it has settled already."""
        try:
            await self._look(id)
        except ResonateError as error:
            logger.debug("could not look at promise promise_id=%s reason=%s", id, error)

    async def keep_looking(self) -> None:
        """Look again, for ever, at what has been waited for long."""
        loop = asyncio.get_running_loop()
        while True:
            await self._rest(loop.time() + REST_S_MIN)
            await self._look_at(tuple(self._overdue(loop.time())))

    async def _rest(self, until_s: float) -> None:
        """Do nothing until then, and while nothing is to be looked at."""
        next_s = min((watch.look_at_s for watch in self._watches.values()), default=inf)
        self._rests_until_s = max(next_s, until_s)
        self._is_earlier.clear()
        when = None if self._rests_until_s == inf else self._rests_until_s
        with suppress(TimeoutError):
            async with asyncio.timeout_at(when):
                await self._is_earlier.wait()

    async def look_at_all(self) -> None:
        """Look at everything: news may have been lost."""
        await self._look_at(tuple(self._watches))

    async def _look_at(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), LOOKS_AT_A_TIME):
            async with asyncio.TaskGroup() as looks:
                for id in ids[start : start + LOOKS_AT_A_TIME]:
                    looks.create_task(self.look(id))

    def _overdue(self, now_s: float) -> Iterator[str]:
        overdue = (watch for watch in self._watches.values() if watch.look_at_s <= now_s)
        for watch in tuple(itertools.islice(overdue, LOOKS_AT_A_TIME)):
            watch.look_at_s = now_s + NEXT_LOOK_S
            self._watches[watch.id] = self._watches.pop(watch.id)  # the others come first
            yield watch.id

    async def _look(self, id: str) -> None:
        listen = PromiseRegisterListener(awaited=id, address=self._address)
        answer = await ask(self._transport, listen, origin=id)
        if answer.status == responses.UNPROCESSABLE:  # internal: nobody may listen, all may look
            answer = await ask(self._transport, PromiseGet(id=id), origin=id)
        if isinstance(answer.data, PromiseData):
            self.settle(answer.data.promise)
        elif answer.status == responses.NOT_FOUND:
            self.fail(id, NotFoundError(f"there is no promise {id!r}", code=answer.status))
        else:
            raise refusal(answer)

    def _complete(self, result: Result, record: PromiseRecord) -> None:
        if result.done():
            return
        if record.state == "resolved":
            result.set_result(partial(decode_value, result.decode, record))
        else:
            result.set_exception(decode_failure(self._codec, record))
