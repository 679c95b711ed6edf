"""Steps of a walk through the API over HTTP: each told to an observer, each checked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from local.exchanges import webhook_event

if TYPE_CHECKING:
    from local.exchanges import Exchanges
    from local.gateway.app import Exchange

# A function's longest answer, and what a slow machine adds.
_ANSWER_WITHIN = 35.0
# Seconds that a webhook may take; the second where Codat's retries are part of it.
WEBHOOK_WITHIN = 5.0
PATIENT_WEBHOOK_WITHIN = 30.0
_MOST_TRIES = 12

OK = 200
_NO_CONTENT = 204
# Answers after which the same call, repeated, completes.
_REPEATABLE = frozenset({429, 502, 503, 504})


class StepFailedError(Exception):
    """What wasn't as it should be; `step` says where."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(reason)
        self.step = step


@dataclass(frozen=True, slots=True)
class Platform:
    key: str
    name: str
    # What the customer has to do first, by the design of the API.
    next_action: str = "authorize"


class Observer(Protocol):
    """Hears what happens, in order."""

    def step(self, title: str) -> None: ...
    def request(self, method: str, path: str, body: Any) -> None: ...
    def answer(self, response: httpx.Response) -> None: ...
    def link_page(self, url: str, status: int) -> None: ...
    def webhook(self, event: dict[str, Any], status: int) -> None: ...
    def state(self, connection: dict[str, Any]) -> None: ...
    def lost(self, webhooks: int) -> None: ...
    def bus(self, events: list[dict[str, Any]]) -> None: ...


class Steps:
    """One customer's and its one connection's. `patient` repeats calls that fail as Codat does at times, and waits
    longer for webhooks.
    """

    def __init__(
        self,
        api: httpx.Client,
        exchanges: Exchanges,
        observer: Observer,
        *,
        customer_id: str,
        platform: Platform,
        patient: bool = False,
    ) -> None:
        self._api = api
        self._exchanges = exchanges
        self._observer = observer
        self.customer_id = customer_id
        self.platform = platform
        self._patient = patient
        self._webhooks_within = PATIENT_WEBHOOK_WITHIN if patient else WEBHOOK_WITHIN
        self._webhooks_told = len(exchanges.all())
        self._step = ""
        self.company_id = ""
        self.connection_id = ""
        self.statuses: list[str] = []

    def _follow(self, link_url: str) -> None:
        self._begin("The customer follows the link and authorises")
        page = httpx.post(link_url, data={"action": "authorize"}, timeout=_ANSWER_WITHIN, trust_env=False)
        self._observer.link_page(link_url, page.status_code)
        self._equal("status of the link page", page.status_code, OK)

    def _link_of(self, document: dict[str, Any]) -> str:
        link_url = document.get("linkUrl")
        if not isinstance(link_url, str) or not link_url.startswith("http"):
            raise StepFailedError(self._step, "the answer has no linkUrl")
        return link_url

    def _await(self, title: str, event_types: set[str], status: str) -> None:
        self._begin(title)

        def wanted(exchange: Exchange) -> bool:
            event = webhook_event(exchange)
            return (
                event is not None
                and event["eventType"] in event_types
                and event["payload"]["connection"]["id"] == self.connection_id
                and (exchange.status == _NO_CONTENT or not self._patient)
            )

        arrived = self._exchanges.wait_for(wanted, self._webhooks_within)
        self._tell_webhooks()
        names = " or ".join(sorted(event_types))
        if arrived is None:
            raise StepFailedError(self._step, f"no {names} came within {self._webhooks_within:g} s")
        self._equal(f"answer to {names}", arrived.status, _NO_CONTENT)
        self._state_is(status)

    def _state_is(self, status: str) -> None:
        connection = self._checked(self._send("GET", self._connection, None), OK)
        self._observer.state(connection)
        self._is_ours(connection, status)

    def _is_ours(self, connection: dict[str, Any], status: str) -> None:
        for key, value in (
            ("customerId", self.customer_id),
            ("companyId", self.company_id),
            ("platformKey", self.platform.key),
            ("status", status),
        ):
            self._equal(key, connection.get(key), value)
        self.statuses.append(status)

    @property
    def _customer(self) -> str:
        return f"/customers/{self.customer_id}"

    @property
    def _connection(self) -> str:
        return f"{self._customer}/connections/{self.connection_id}"

    def _begin(self, title: str) -> None:
        self._step = title
        self._observer.step(title)

    def _call(self, method: str, path: str, body: Any) -> httpx.Response:
        """Repeats, where patient, what the API says may be repeated: after `Retry-After`, or at once."""
        for attempt in range(1, _MOST_TRIES + 1):
            self._observer.request(method, path, body)
            response = self._send(method, path, body)
            self._observer.answer(response)
            retry_after = response.headers.get("retry-after")
            repeatable = response.status_code in _REPEATABLE or retry_after is not None
            if not self._patient or not repeatable or attempt == _MOST_TRIES:
                break
            time.sleep(min(float(retry_after or 0), _ANSWER_WITHIN))
        return response

    def _send(self, method: str, path: str, body: Any) -> httpx.Response:
        try:
            return self._api.request(method, path, json=body, timeout=_ANSWER_WITHIN)
        except httpx.HTTPError as error:
            raise StepFailedError(self._step, f"{method} {path}: {type(error).__name__}") from error

    def _checked(self, response: httpx.Response, status: int) -> dict[str, Any]:
        accepted = {status, OK} if self._patient else {status}
        if response.status_code not in accepted:
            detail = response.text[:300]
            raise StepFailedError(self._step, f"status is {response.status_code}, not {status}: {detail}")
        document = response.json()
        self._true(isinstance(document, dict), "the answer is no JSON object")
        return dict(document)

    def _equal(self, what: str, actual: Any, expected: Any) -> None:
        self._true(actual == expected, f"{what} is {actual!r}, not {expected!r}")

    def _true(self, holds: bool, reason: str) -> None:  # noqa: FBT001 - an assertion that can't be switched off
        if not holds:
            raise StepFailedError(self._step, reason)

    def _tell_webhooks(self) -> None:
        exchanges = self._exchanges.all()
        for exchange in exchanges[self._webhooks_told :]:
            if event := webhook_event(exchange):
                self._observer.webhook(event, exchange.status)
        self._webhooks_told = len(exchanges)
