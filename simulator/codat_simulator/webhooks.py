"""Delivery of events to webhook consumers, as Svix does it for Codat.

First attempts about a company are sent in order, so that test runs are reproducible. Across companies, and from
the first retry on, messages may overtake each other. Svix guarantees no order at all: see the faults in `faults.py`.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import httpx

from codat_simulator.background_jobs import BackgroundJobs
from codat_simulator.clock import Clock, EventDates
from codat_simulator.errors import not_found, not_valid
from codat_simulator.faults import Fault, Faults, WebhookFault
from codat_simulator.models import Consumer
from codat_simulator.state import Event

# Seconds before each retry: https://docs.svix.com/retries
RETRY_DELAYS = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
MAX_CONSUMERS = 50
_MAX_CONCURRENT_ATTEMPTS = 16
_MAX_DELIVERIES = 20_000
_WRONG_SECRET = "whsec_" + base64.b64encode(b"not the secret of a consumer").decode()


@dataclass(kw_only=True, eq=False)
class Delivery:
    """The delivery of a message to a consumer.

    `number` is in order of creation. `statuses` has an entry for each attempt: an HTTP status, "timeout" or
    "unreachable". `resent` marks a copy, which the fault `webhook-duplicate` doesn't copy again. `forged` marks a
    message of an attacker: another secret signs it, and it is not sent again.
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
    forged: bool = False

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
    """Each of the `secrets` signs every message. Assign others at any time, as in a rotation."""

    def __init__(
        self, *, clock: Clock, faults: Faults, background: BackgroundJobs, retry_scale: float, timeout: float
    ) -> None:
        self.secrets: tuple[str, ...] = ()
        self.consumers: dict[str, Consumer] = {}
        self.deliveries: deque[Delivery] = deque(maxlen=_MAX_DELIVERIES)
        # Gets each message that a fault loses, delays or duplicates. It must be quick.
        self.observe_fault: Callable[[Delivery, WebhookFault], None] | None = None
        self._clock = clock
        self._dates = EventDates()
        self._faults = faults
        self._background = background
        self._retry_scale = retry_scale
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT_ATTEMPTS)
        self._company_locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._numbers = count(1)
        self._held: list[tuple[Delivery, asyncio.Event]] = []

    def register(self, consumer: Consumer) -> Consumer:
        if len(self.consumers) >= MAX_CONSUMERS:
            raise not_valid("url", f"There are {MAX_CONSUMERS} webhook consumers already.")
        self.consumers[consumer.id] = consumer
        return consumer

    def remove(self, consumer_id: str) -> None:
        if self.consumers.pop(consumer_id, None) is None:
            raise not_found("Webhook consumer", consumer_id)

    def clear(self) -> None:
        """Remove all consumers and the log of deliveries."""
        self.consumers.clear()
        self.deliveries.clear()
        self._dates = EventDates()

    def publish(self, event: Event) -> None:
        """Send the event in the background to every consumer that subscribes to it."""
        self._publish(event)

    def forge(self, event: Event) -> None:
        """Send an event that didn't happen, signed with another secret, as an attacker would."""
        self._publish(event, forged=True)

    def resend(self, delivery: Delivery) -> None:
        """Send the same event as a new message, as "recover" in the portal does."""
        self._send(delivery.event, delivery.company_id, [delivery.consumer], resent=True)

    def _publish(self, event: Event, *, forged: bool = False) -> None:
        envelope = {
            "id": str(uuid4()),
            "eventType": event.type,
            "generatedDate": self._dates.next(self._clock.now()),
            "payload": event.payload,
        }
        consumers = [c for c in list(self.consumers.values()) if c.subscribes_to(event.type, event.tags)]
        if consumers:
            self._send(envelope, event.company_id, consumers, forged=forged)

    def _send(
        self,
        envelope: dict[str, Any],
        company_id: str,
        consumers: list[Consumer],
        *,
        resent: bool = False,
        forged: bool = False,
    ) -> None:
        body = json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
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
                forged=forged,
            )
            self.deliveries.append(delivery)
            if self._fault("webhook-drop", delivery):
                delivery.state = "dropped"
            else:
                self._background.spawn(partial(self._deliver, delivery))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        # Shorter than the keep-alive of most receivers: a connection that the receiver closes during a request
        # would look like a failed attempt.
        limits = httpx.Limits(max_keepalive_connections=_MAX_CONCURRENT_ATTEMPTS, keepalive_expiry=1.0)
        async with httpx.AsyncClient(timeout=None, limits=limits, trust_env=False) as client:  # noqa: S113 - see _attempt
            self._client = client
            yield

    async def _deliver(self, delivery: Delivery) -> None:
        if fault := self._fault("webhook-delay", delivery):
            await asyncio.sleep(fault.seconds)
        if fault := self._fault("webhook-reorder", delivery):
            await self._wait_until_overtaken(delivery, fault.seconds)
        duplicate = None if delivery.resent else self._fault("webhook-duplicate", delivery)
        async with self._company_locks.setdefault((delivery.consumer.id, delivery.company_id), asyncio.Lock()):
            is_delivered = await self._attempt(delivery)
        self._release_overtaken(delivery)
        if duplicate and duplicate.new_message:
            self.resend(delivery)
        elif duplicate:
            is_delivered = await self._attempt(delivery) or is_delivered
        for seconds in RETRY_DELAYS:
            if is_delivered or delivery.forged or delivery.consumer.id not in self.consumers:
                break
            await asyncio.sleep(seconds * self._retry_scale)
            is_delivered = await self._attempt(delivery)
        delivery.state = "delivered" if is_delivered else "failed"

    async def _attempt(self, delivery: Delivery) -> bool:
        if self._client is None:
            raise RuntimeError("Webhooks are delivered only while the server runs")
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

    def _fault(self, kind: WebhookFault, delivery: Delivery) -> Fault | None:
        # A forged message is not Codat's, so Codat's faults don't apply.
        fault = None if delivery.forged else self._faults.for_event(kind, delivery.event_type)
        if fault and self.observe_fault:
            self.observe_fault(delivery, kind)
        return fault

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        is_wrong = delivery.forged or self._faults.for_event("webhook-wrong-secret", delivery.event_type)
        signing_secrets = (_WRONG_SECRET,) if is_wrong else self.secrets
        now = self._clock.now()
        signatures = [sign(secret, delivery.message_id, now, delivery.body) for secret in signing_secrets]
        return {
            "Content-Type": "application/json",
            "User-Agent": "Svix-Webhooks/1.0 (simulated)",
            "webhook-id": delivery.message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }

    async def _wait_until_overtaken(self, delivery: Delivery, seconds: float) -> None:
        overtaken = asyncio.Event()
        self._held.append((delivery, overtaken))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await overtaken.wait()
        finally:
            self._held.remove((delivery, overtaken))

    def _release_overtaken(self, delivery: Delivery) -> None:
        """Release older messages to the same consumer that wait to be overtaken."""
        for held, overtaken in self._held:
            if held.consumer.id == delivery.consumer.id and held.number < delivery.number:
                overtaken.set()


def sign(secret: str, message_id: str, at: datetime, body: bytes) -> str:
    """Return a `v1,...` signature of https://www.standardwebhooks.com with a secret `whsec_...`."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{int(at.timestamp())}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
