"""The parts of the simulator, assembled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import uuid4

from codat_simulator.api_keys import ApiKeyStore
from codat_simulator.background_jobs import BackgroundJobs
from codat_simulator.call_log import CallLog, ObserveCall
from codat_simulator.clock import Clock, in_seconds
from codat_simulator.faults import Faults
from codat_simulator.idempotency import IdempotencyCache
from codat_simulator.link_urls import LinkUrls
from codat_simulator.models import Consumer
from codat_simulator.quota import Quota
from codat_simulator.serializer import Serializer
from codat_simulator.settings import Settings
from codat_simulator.state import Event, State
from codat_simulator.webhooks import Webhooks


class SimulatedCodat:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock()
        self.api_key_store = ApiKeyStore(self.clock.now)
        self.allowed_origins: tuple[str, ...] = ()
        self.calls = CallLog()
        # Gets each call with its bodies, which the log doesn't store. It runs on the event loop, so it must be quick.
        self.observe_call: ObserveCall | None = None
        self.faults = Faults()
        self.background = BackgroundJobs()
        self.idempotency = IdempotencyCache(self.clock.now)
        self.links = LinkUrls(self.clock.now)
        self.serializer = Serializer(self.links)
        self.webhooks = Webhooks(
            clock=self.clock,
            faults=self.faults,
            background=self.background,
            retry_scale=settings.retry_scale,
            timeout=settings.delivery_timeout,
        )
        self.state = State(
            now=self.clock.now,
            serializer=self.serializer,
            emit=self.webhooks.publish,
            on_authorized=self._schedule_initial_read,
        )
        self.quota = Quota(
            now=self.clock.now,
            active_companies=lambda: self.state.active_companies,
            on_reached=self._publish_quota_reached,
        )
        self._apply_settings()

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
        """Return to the state and the settings of the start. Cancel pending webhooks and reads.

        Don't call it on the server's event loop: it waits for that loop.
        """
        self.background.cancel()
        self.clock.reset()
        self.calls.clear()
        self.faults.clear()
        self.idempotency.clear()
        self.links.clear()
        self.state.clear()
        self.webhooks.clear()
        self.quota.refill()
        self._apply_settings()

    def _apply_settings(self) -> None:
        self.api_keys = self.settings.api_keys
        self.allowed_origins = ()
        self.state.company_limit = self.settings.company_limit
        self.state.list_lag = self.settings.list_lag
        self.links.one_time = self.settings.one_time_links
        self.serializer.omit_integration_key = self.settings.omit_integration_key
        self.quota.limit = self.settings.quota
        self.webhooks.secrets = self.settings.webhook_secrets
        for fault in self.settings.faults:
            self.faults.add(fault)
        for url in self.settings.webhook_urls:
            self.webhooks.register(Consumer(id=str(uuid4()), url=url))

    def _schedule_initial_read(self, company_id: str, connection_id: str) -> None:
        self.background.spawn_later(
            self.settings.initial_read, lambda: self.state.finish_initial_read(company_id, connection_id)
        )

    def _publish_quota_reached(self, limit: int, reset_at: datetime) -> None:
        payload = {"dailyQuota": limit, "quotaRemaining": 0, "expiryDate": in_seconds(reset_at)}
        self.webhooks.publish(Event("client.rateLimit.reached", "", {}, payload))
