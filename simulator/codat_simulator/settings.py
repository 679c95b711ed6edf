"""What a simulated Codat is started with."""

from dataclasses import dataclass

from codat_simulator.faults import Fault

API_KEY = "local-codat-api-key"
# Any base64 will do; this one spells out that it protects nothing.
WEBHOOK_SECRET = "whsec_bG9jYWwtY29kYXQtd2ViaG9vay1zZWNyZXQ="  # pragma: allowlist secret


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    quota: requests a day. None is Codat's own rule, 1,000 x (1 + companies with a linked connection);
        the default leaves room for a load test.
    company_limit: companies beyond it are refused with 402 (a free trial's is 50).
    webhook_urls: each becomes a consumer of every event type.
    return_redirect: where a person is sent after linking, with `?companyId=`.
    retry_scale: what Svix's schedule of retries (5 s, 5 min, 30 min, ...) is multiplied with.
    initial_read: seconds between each authorisation of a connection and its `read.completed.initial`.
    list_lag: `GET /companies`, its tag filter and `GET /companies/{id}/connections` return the state from
        this many seconds ago, by Codat's clock. Reads by id return the current state.
    omit_integration_key: leave `integrationKey` out of connections, in answers and in events.
    """

    api_keys: tuple[str, ...] = (API_KEY,)
    webhook_urls: tuple[str, ...] = ()
    webhook_secrets: tuple[str, ...] = (WEBHOOK_SECRET,)
    faults: tuple[Fault, ...] = ()
    company_limit: int | None = None
    quota: int | None = 1_000_000
    return_redirect: str | None = None
    retry_scale: float = 0.01
    delivery_timeout: float = 15.0
    initial_read: float = 0.2
    list_lag: float = 0.0
    omit_integration_key: bool = False
