"""The way to a server through RabbitMQ."""

import asyncio
import logging
import random
from collections.abc import Coroutine
from functools import partial
from typing import Any

from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.logs import silence_libraries
from resonate_sdk.amqp.publisher import Publication, RefusedError, ReturnedError
from resonate_sdk.amqp.requests import Requests, Ticket
from resonate_sdk.amqp.server_clock import Disagreement, ServerClock
from resonate_sdk.amqp.session import Session, SessionLostError, open_session
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.amqp.subscription import Subscription
from resonate_sdk.clock import now_ms
from resonate_sdk.errors import TransportError
from resonate_sdk.futures import overlook
from resonate_sdk.protocol import envelope, limits, messages, topology
from resonate_sdk.protocol.coalescing import Ready, into_messages
from resonate_sdk.protocol.faults import UNREADABLE
from resonate_sdk.protocol.messages import Invoke, Notify, Resume
from resonate_sdk.protocol.requests import Hello, Request, TaskHeartbeat, TaskReport
from resonate_sdk.protocol.responses import Answer, Welcome
from resonate_sdk.protocol.topology import NOW_HEADER, Names
from resonate_sdk.transport import Condition, Receiver

logger = logging.getLogger(__name__)

SDK_NAME = "resonate-amqp/python"
HEARTBEAT_S = 10
BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 3.0  # below the time for which a server listens before leases run out
HELLO_RETRY_S = 1.0
HELLO_RETRY_S_MAX = 5.0
REFUSED_RETRY_S = 0.2
LOOK_INTERVAL_S = 0.5


class AmqpTransport:
    """Requests to the submission queue, answers and news from a queue of our own, hints."""

    def __init__(
        self,
        url: str,
        namespace: str,
        group: str,
        pid: str,
        *,
        user_id: str | None = None,
        prefetch_max: int | None = None,
    ) -> None:
        """Name the broker; `run` connects.

        Args:
            url: of the broker.
            namespace: prefix of all queues.
            group: whose hints this process takes, once it subscribes.
            pid: the name of this process.
            user_id: the user of the URL, if messages are to say it.
            prefetch_max: how many hints the broker may deliver at a time.
        """
        self._url = url
        self._user_id = user_id
        self._prefetch_max = prefetch_max
        self._names = Names(namespace)
        self._group = group
        self._pid = pid
        self._requests = Requests()
        self._session: Session | None = None  # one through which a server has answered
        self._partitions = 1
        self._receiver: Receiver | None = None
        self._subscription: Subscription | None = None
        self._is_subscribed = asyncio.Event()
        self._is_stopped = asyncio.Event()
        self._trouble = "no connection to the broker"
        self._is_flush_scheduled = False
        self._server_clock = ServerClock()
        self._disagreement = Disagreement(limits.CLOCK_SKEW_WARN_MS)
        self._has_warned_of_clock = False
        self._welcomes = 0
        self._sessions = 0

    async def run(self, receiver: Receiver) -> None:
        """Stay connected until stopped: session after session, each where the last broke off."""
        silence_libraries()
        self._receiver = receiver
        backoff_s = BACKOFF_S_MIN
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._look_at_requests())
            while not self._is_stopped.is_set():
                welcomes = self._welcomes
                try:
                    async with open_session(
                        self._url,
                        name=f"resonate/sdk/{self._group}/{self._pid}",
                        heartbeat_s=HEARTBEAT_S,
                    ) as session:
                        self._sessions += 1
                        await self._serve(session)
                except SessionLostError as error:
                    self._not_connected(error)
                self._session = None
                self._requests.send_all_again()
                if self._welcomes > welcomes:
                    backoff_s = BACKOFF_S_MIN
                await self._pause(random.SystemRandom().uniform(0.5, 1.0) * backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            looking.cancel()
        self._requests.fail_all("the client was stopped")

    async def subscribe(self, slots: int) -> None:
        """Take hints for the group of this process, in this session and all later ones."""
        assert self._receiver is not None, "the transport runs"
        if self._subscription is None:
            self._subscription = Subscription(
                self._names,
                self._group,
                self._pid,
                slots,
                self._receiver,
                lambda: self._server_clock.now_ms(_loop_ms()),
                prefetch_max=self._prefetch_max,
            )
        self._is_subscribed.set()

    async def unsubscribe(self) -> None:
        """Take no more hints; those that have not been started go to others."""
        self._is_subscribed.clear()
        if self._subscription is not None:
            await self._subscription.end()

    def request(
        self,
        request: Request,
        *,
        origin: str | None = None,
        chain: str | None = None,
        timeout_s: float | None = limits.ANSWER_TIMEOUT_MS / 1000,
    ) -> "asyncio.Future[Answer]":
        """Send a request; those of one turn of the loop travel together."""
        if self._is_stopped.is_set():
            answer = asyncio.get_running_loop().create_future()
            reason = f"{request.kind} was not sent: the client was stopped"
            answer.set_exception(TransportError(reason, may_be_carried_out=False))
            return answer
        answer = self._requests.add(request, origin or request.origin(), chain, timeout_s)
        self._flush_soon()
        return answer

    def _flush_soon(self) -> None:
        if not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def report(self, report: TaskReport, *, origin: str) -> None:
        """Tell of trouble, once: nobody waits for an answer."""
        self.request(report, origin=origin).add_done_callback(overlook)

    def condition(self) -> Condition:
        """How the way to a server is now."""
        is_reached = self._session is not None and not self._session.is_lost
        subscription = self._subscription
        return Condition(
            trouble=None if is_reached else self._trouble,
            is_taking=subscription is not None and subscription.is_taking,
            slots=0 if subscription is None else subscription.capacity.slots,
            in_flight=0 if subscription is None else subscription.capacity.in_flight,
            unanswered=self._requests.unanswered,
            sessions=self._sessions,
        )

    async def stop(self) -> None:
        """Send what is waiting, if that is possible at once, and disconnect."""
        self._flush()
        self._is_stopped.set()

    async def _serve(self, session: Session) -> None:
        """Use a session until it is lost or we are stopped."""
        await session.declare(topology.reply_topology(self._names, self._pid))
        await session.consume(self._names.reply_queue(self._pid), self._arrived, prefetch=None)
        async with asyncio.TaskGroup() as tasks:
            lost = tasks.create_task(session.lost())
            ends = [lost, tasks.create_task(self._is_stopped.wait())]
            work = [
                tasks.create_task(_or_lose(session, self._keep_greeting(session))),
                tasks.create_task(_or_lose(session, self._take_hints(session))),
            ]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in (*ends, *work):
                task.cancel()
        if not self._is_stopped.is_set():
            raise SessionLostError(lost.result())

    async def _keep_greeting(self, session: Session) -> None:
        """Say hello until a server answers, and then now and then."""
        while True:
            await self._be_welcomed(session)
            await asyncio.sleep(limits.HELLO_INTERVAL_MS / 1000)

    async def _take_hints(self, session: Session) -> None:
        """Take hints once we are asked to, and the queues of the group exist."""
        await self._is_subscribed.wait()
        await self._be_welcomed(session)
        assert self._subscription is not None, "who subscribes has a subscription"
        await self._subscription.run(session)

    async def _be_welcomed(self, session: Session) -> None:
        """Say hello until a server answers."""
        retry_s = HELLO_RETRY_S
        while (welcome := await self._greet(session)) is None:
            self._trouble = (
                f"no server answers in namespace {self._names.namespace!r}: start one with "
                "`resonate serve`"
            )
            if retry_s == HELLO_RETRY_S:
                logger.warning("not served yet reason=%s", self._trouble)
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, HELLO_RETRY_S_MAX)
        self._partitions = welcome.partitions
        self._welcomes += 1
        if self._session is None:
            self._session = session
            self._trouble = "the server did not answer in time"
            self._flush()
            if self._welcomes > 1 and self._receiver is not None:
                self._receiver.on_reconnect()

    async def _greet(self, session: Session) -> Welcome | None:
        """Say hello once; None if no server answers."""
        if not await session.has_exchange(self._names.submit):
            return None  # no server has ever run here
        hello = Hello(pid=self._pid, sdk=SDK_NAME)
        if self._subscription is not None:
            hello = Hello(
                pid=self._pid,
                sdk=SDK_NAME,
                group=self._group,
                slots=self._subscription.capacity.slots,
                in_flight=self._subscription.capacity.in_flight,
            )
        timeout_s = limits.HELLO_TIMEOUT_MS / 1000
        ready, answering = self._requests.add_unqueued(hello, timeout_s)
        self._publish(session, topology.submit_key(hello.kind, "", 1), [ready])
        try:
            answer = await answering
        except TransportError:
            return None
        if not isinstance(answer.data, Welcome):
            logger.warning("the server is not ready reason=%s", answer.data)
            return None
        return answer.data

    def _flush(self) -> None:
        """Send what is ready, if there is a server to send it to."""
        self._is_flush_scheduled = False
        session = self._session
        if session is None or session.is_lost or not self._requests.has_ready:
            return
        by_key: dict[str, list[Ready[Ticket]]] = {}
        for ready in self._requests.take_ready():
            ticket = ready.ticket
            partition = topology.submit_key("", ticket.origin, self._partitions)
            is_beat = ticket.kind == TaskHeartbeat.kind
            by_key.setdefault(topology.HEARTBEAT_KEY if is_beat else partition, []).append(ready)
        for group in by_key.values():
            for message in into_messages(group):
                first = message[0].ticket
                key = topology.submit_key(first.kind, first.origin, self._partitions)
                self._publish(session, key, message)

    def _publish(self, session: Session, key: str, message: list[Ready[Ticket]]) -> None:
        publication = Publication(
            exchange=self._names.submit,
            routing_key=key,
            body=envelope.join([ready.encoded for ready in message]),
            kind=message[0].ticket.kind,
            reply_to=self._names.reply_queue(self._pid),
            app_id=self._group,
            user_id=self._user_id,
            sent_at_s=self._server_now_s(),
        )
        confirmed = session.publisher.publish(publication)
        confirmed.add_done_callback(
            partial(self._published, session, [ready.ticket for ready in message])
        )

    def _server_now_s(self) -> int:
        server_now_ms = self._server_clock.now_ms(_loop_ms())
        return (now_ms() if server_now_ms is None else server_now_ms) // 1000

    def _published(
        self, session: Session, tickets: list[Ticket], confirmed: "asyncio.Future[None]"
    ) -> None:
        """The broker has answered to a message; what it did not take is sent again, later."""
        error = confirmed.exception()
        if error is None or session.is_lost:
            return
        match error:
            case RefusedError():
                self._trouble = "the submission queue is full"
            case ReturnedError():
                self._trouble = f"no server has made its queues: {error}"
            case _:
                return
        self._requests.not_published(tickets)
        delay_s = REFUSED_RETRY_S * random.SystemRandom().uniform(0.5, 1.5)
        asyncio.get_running_loop().call_later(delay_s, self._send_again, tickets)

    def _send_again(self, tickets: list[Ticket]) -> None:
        self._requests.send_again(tickets)
        self._flush()

    def _arrived(self, _: Consumer, delivery: Delivery) -> None:
        """Something has come to our own queue: answers, news, or a hint for us alone."""
        try:
            if delivery.kind in ("notify", "task.invoke", "task.resume"):
                for message in messages.decode_several(delivery.body):
                    self._take_message(message, delivery)
            else:
                self._requests.answered(envelope.decode_responses(delivery.body))
                if self._requests.has_ready:  # it has waited for room
                    self._flush_soon()
                self._compare_clocks(delivery.headers.get(NOW_HEADER))
        except UNREADABLE as error:
            logger.warning("a message could not be read kind=%s reason=%s", delivery.kind, error)

    def _take_message(self, message: messages.Message, delivery: Delivery) -> None:
        assert self._receiver is not None, "messages come after the start"
        match message:
            case Notify(data=data):
                self._receiver.on_notify(data.promise)
            case Invoke() | Resume():
                if self._subscription is not None:
                    self._subscription.offer(message, delivery)

    def _compare_clocks(self, server_now_ms: object) -> None:
        """Deadlines are made with our clock and decided by the database's: they should agree."""
        if not isinstance(server_now_ms, int):
            return
        self._server_clock.learn(server_now_ms, _loop_ms())
        if self._has_warned_of_clock:
            return
        ahead_ms = self._disagreement.compare(server_now_ms, now_ms(), _loop_ms())
        if ahead_ms is not None:
            self._has_warned_of_clock = True
            logger.warning(
                "the clock of this machine is not that of the database: deadlines will be off "
                "ahead_ms=%d",
                ahead_ms,
            )

    async def _look_at_requests(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            now_s = asyncio.get_running_loop().time()
            self._requests.expire(now_s, self._trouble)
            if self._session is not None:
                self._requests.ask_again(now_s)
                self._flush()

    def _not_connected(self, error: SessionLostError) -> None:
        """Say why, and not again until that changes."""
        level = logging.DEBUG if str(error) == self._trouble else logging.WARNING
        logger.log(level, "not connected, trying again reason=%s", error)
        self._trouble = str(error)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not when we are stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self._is_stopped.wait()
        except TimeoutError:
            pass


def _loop_ms() -> int:
    """The clock of the loop, which is never set."""
    return round(asyncio.get_running_loop().time() * 1000)


async def _or_lose(session: Session, work: Coroutine[Any, Any, None]) -> None:
    """A session in which something was refused is of no use."""
    try:
        await work
    except SessionLostError as error:
        session.lose(str(error))
