"""The parts of the simulated Codat, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import uuid4

from codat_simulator.apikeys import ApiKeyStore
from codat_simulator.background import Background
from codat_simulator.calls import Calls
from codat_simulator.clock import Clock, in_seconds
from codat_simulator.faults import Faults
from codat_simulator.idempotency import IdempotencyCache
from codat_simulator.linkurls import LinkUrls
from codat_simulator.quota import Quota
from codat_simulator.records import Consumer
from codat_simulator.serializer import Serializer
from codat_simulator.settings import Settings
from codat_simulator.state import Event, State
from codat_simulator.webhooks import Webhooks


class SimulatedCodat:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock()
        self.api_key_store = ApiKeyStore(self.clock.now)
        self.api_keys = settings.api_keys
        self.calls = Calls()
        self.faults = Faults()
        self.background = Background()
        self.idempotency = IdempotencyCache(self.clock.now)
        self.links = LinkUrls(self.clock.now)
        self.serializer = Serializer(self.links, omit_integration_key=settings.omit_integration_key)
        self.webhooks = Webhooks(
            clock=self.clock,
            faults=self.faults,
            background=self.background,
            secrets=settings.webhook_secrets,
            retry_scale=settings.retry_scale,
            timeout=settings.delivery_timeout,
        )
        self.state = State(
            now=self.clock.now,
            serializer=self.serializer,
            emit=self.webhooks.publish,
            on_authorized=self._read_soon,
            company_limit=settings.company_limit,
            list_lag=settings.list_lag,
        )
        self.quota = Quota(
            settings.quota,
            now=self.clock.now,
            active_companies=lambda: self.state.active_companies,
            reached=self._tell_quota_reached,
        )
        self._start()

    @property
    def api_keys(self) -> tuple[str, ...]:
        """The values of the valid API keys. Assign a tuple to replace them all."""
        return self.api_key_store.values

    @api_keys.setter
    def api_keys(self, values: tuple[str, ...]) -> None:
        self.api_key_store.replace(values)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.webhooks.running(), self.background.running():
            yield

    def reset(self) -> None:
        """As at the start, with the settings of the start; what is on its way never arrives.

        Not from the server's own event loop: it waits for it.
        """
        self.background.cancel()
        self.clock.reset()
        self.api_keys = self.settings.api_keys
        self.calls.clear()
        self.faults.clear()
        self.idempotency.clear()
        self.links.clear()
        self.state.clear()
        self.state.company_limit = self.settings.company_limit
        self.state.list_lag = self.settings.list_lag
        self.serializer.omit_integration_key = self.settings.omit_integration_key
        self.quota.limit = self.settings.quota
        self.quota.refill()
        self.webhooks.secrets = self.settings.webhook_secrets
        self.webhooks.forget()
        self._start()

    def _start(self) -> None:
        for fault in self.settings.faults:
            self.faults.add(fault)
        for url in self.settings.webhook_urls:
            self.webhooks.register(Consumer(id=str(uuid4()), url=url))

    def _read_soon(self, company_id: str, connection_id: str) -> None:
        self.background.spawn_later(
            self.settings.initial_read, lambda: self.state.finish_initial_read(company_id, connection_id)
        )

    def _tell_quota_reached(self, limit: int, resets: datetime) -> None:
        payload = {"dailyQuota": limit, "quotaRemaining": 0, "expiryDate": in_seconds(resets)}
        self.webhooks.publish(Event("client.rateLimit.reached", "", {}, payload))
