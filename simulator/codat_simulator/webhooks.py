"""Delivery of events to webhook consumers, as Svix does it for Codat.

First attempts about one company go out one after another, so that a run repeats itself; across
companies, and from the first retry on, they overtake each other. Real deliveries promise no order
at all: the faults of `faults.py` show what that means.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import httpx

from codat_simulator.answers import as_json
from codat_simulator.background import Background
from codat_simulator.clock import Clock, EventDates
from codat_simulator.faults import Faults
from codat_simulator.records import Consumer
from codat_simulator.refusals import consumer_not_found, not_valid
from codat_simulator.state import Event

# Seconds between the attempts: at once, then these.
RETRY_DELAYS = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
MOST_CONSUMERS = 50
_CONCURRENCY = 16
_REMEMBERED = 20_000
_OTHER_SECRET = "whsec_" + base64.b64encode(b"a secret that nobody was given").decode()


@dataclass(kw_only=True, eq=False)
class Delivery:
    """One message on its way to one consumer.

    `number` counts up; `statuses` has an HTTP status, or a word, an attempt.
    """

    number: int
    message_id: str
    event: dict[str, Any]
    company_id: str
    consumer: Consumer
    body: bytes
    statuses: list[int | str] = field(default_factory=list)
    state: str = "pending"
    resent: bool = False
    """A copy, which is not copied again."""

    @property
    def event_type(self) -> str:
        return str(self.event["eventType"])

    def log_entry(self) -> dict[str, Any]:
        return {
            "id": self.message_id,
            "eventId": self.event["id"],
            "eventType": self.event_type,
            "companyId": self.company_id,
            "url": self.consumer.url,
            "attempts": len(self.statuses),
            "statuses": list(self.statuses),
            "state": self.state,
        }


class Webhooks:
    """`secrets` may be changed at any time, as in a rotation: every one of them signs."""

    def __init__(
        self,
        *,
        clock: Clock,
        faults: Faults,
        background: Background,
        secrets: tuple[str, ...],
        retry_scale: float,
        timeout: float,
    ) -> None:
        self.secrets = secrets
        self.consumers: dict[str, Consumer] = {}
        self.deliveries: deque[Delivery] = deque(maxlen=_REMEMBERED)
        self._clock = clock
        self._dates = EventDates()
        self._faults = faults
        self._background = background
        self._retry_scale = retry_scale
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(_CONCURRENCY)
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._numbers = count(1)
        self._held: list[tuple[Delivery, asyncio.Event]] = []

    def register(self, consumer: Consumer) -> Consumer:
        if len(self.consumers) >= MOST_CONSUMERS:
            raise not_valid("url", f"There are {MOST_CONSUMERS} webhook consumers already.")
        self.consumers[consumer.id] = consumer
        return consumer

    def remove(self, consumer_id: str) -> None:
        if self.consumers.pop(consumer_id, None) is None:
            raise consumer_not_found(consumer_id)

    def forget(self) -> None:
        """As if nothing had ever been sent, and nobody listened."""
        self.consumers.clear()
        self.deliveries.clear()
        self._dates = EventDates()

    def publish(self, event: Event) -> None:
        """Sends it in the background to every consumer that wants it."""
        consumers = [c for c in list(self.consumers.values()) if c.wants(event.type, event.tags)]
        # Every event takes its date, sent or not.
        generated = self._dates.next(self._clock.now())
        if not consumers:
            return
        envelope = {
            "id": str(uuid4()),
            "eventType": event.type,
            "generatedDate": generated,
            "payload": event.payload,
        }
        self._send(envelope, event.company_id, consumers)

    def resend(self, delivery: Delivery) -> None:
        """The same event as a new message, as "recover" in the portal does."""
        self._send(delivery.event, delivery.company_id, [delivery.consumer], resent=True)

    def _send(
        self, envelope: dict[str, Any], company_id: str, consumers: list[Consumer], *, resent: bool = False
    ) -> None:
        body = as_json(envelope)
        message_id = f"msg_{secrets.token_urlsafe(20)}"
        for consumer in consumers:
            delivery = Delivery(
                number=next(self._numbers),
                message_id=message_id,
                event=envelope,
                company_id=company_id,
                consumer=consumer,
                body=body,
                resent=resent,
            )
            self.deliveries.append(delivery)
            if self._faults.of_event("webhook-drop", delivery.event_type):
                delivery.state = "dropped"
                continue
            self._background.spawn(lambda delivery=delivery: self._deliver(delivery))  # type: ignore[misc]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        # Kept for less long than receivers keep them: one that closes a connection just as it is used
        # again would look like a failed attempt.
        limits = httpx.Limits(max_keepalive_connections=_CONCURRENCY, keepalive_expiry=1.0)
        async with httpx.AsyncClient(timeout=None, limits=limits, trust_env=False) as client:  # noqa: S113 - _attempt has one over all
            self._client = client
            yield

    async def _deliver(self, delivery: Delivery) -> None:
        event_type = delivery.event_type
        if fault := self._faults.of_event("webhook-delay", event_type):
            await asyncio.sleep(fault.seconds)
        if fault := self._faults.of_event("webhook-reorder", event_type):
            await self._let_another_pass(delivery, fault.seconds)
        duplicate = None if delivery.resent else self._faults.of_event("webhook-duplicate", event_type)
        turn = self._turns.setdefault((delivery.consumer.id, delivery.company_id), asyncio.Lock())
        async with turn:
            done = await self._attempt(delivery)
        self._passed(delivery)
        if duplicate and duplicate.new_message:
            self.resend(delivery)
        elif duplicate:
            done = await self._attempt(delivery) or done
        for seconds in RETRY_DELAYS:
            if done or delivery.consumer.id not in self.consumers:
                break
            await asyncio.sleep(seconds * self._retry_scale)
            done = await self._attempt(delivery)
        delivery.state = "delivered" if done else "failed"

    async def _attempt(self, delivery: Delivery) -> bool:
        if self._client is None:
            raise RuntimeError("webhooks are delivered only while the server runs")
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout):
                    response = await self._client.post(
                        delivery.consumer.url, content=delivery.body, headers=self._headers(delivery)
                    )
            except TimeoutError:
                delivery.statuses.append("timeout")
                return False
            except httpx.HTTPError:
                delivery.statuses.append("unreachable")
                return False
        delivery.statuses.append(response.status_code)
        return response.is_success

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        signing = self.secrets
        if self._faults.of_event("webhook-wrong-secret", delivery.event_type):
            signing = (_OTHER_SECRET,)
        now = self._clock.now()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Svix-Webhooks/1.0 (simulated)",
            "webhook-id": delivery.message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(sign(secret, delivery.message_id, now, delivery.body) for secret in signing),
        }

    async def _let_another_pass(self, delivery: Delivery, seconds: float) -> None:
        overtaken = asyncio.Event()
        self._held.append((delivery, overtaken))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await overtaken.wait()
        finally:
            self._held.remove((delivery, overtaken))

    def _passed(self, delivery: Delivery) -> None:
        """Lets go of older messages to the same consumer that waited to be overtaken."""
        for held, overtaken in self._held:
            if held.consumer.id == delivery.consumer.id and held.number < delivery.number:
                overtaken.set()


def sign(secret: str, message_id: str, at: datetime, body: bytes) -> str:
    """One `v1,...` signature; `secret` is `whsec_` and base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{int(at.timestamp())}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
