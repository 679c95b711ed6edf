"""The main job through the HTTP API, for five platforms; then a lost webhook and a reconcile, an invitation and a bank.

Each step is checked.
"""

from __future__ import annotations

import io
import json
import secrets
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import urlencode

import httpx
from codat_simulator.faults import Fault

from local.demo.printer import Printer, shortened, status_path
from local.gateway.exchanges import WEBHOOK_PATH

if TYPE_CHECKING:
    from codat_simulator.server import CodatServer

    from local.gateway.exchanges import Exchange, Exchanges

# Seconds: a function's timeout, and a margin for slow machines.
_RESPONSE_TIMEOUT = 35.0
_WEBHOOK_TIMEOUT = 5.0
# Includes Codat's retries.
_WEBHOOK_TIMEOUT_WITH_FAULTS = 30.0
_MAX_ATTEMPTS = 12
_OK, _CREATED, _NO_CONTENT, _SEE_OTHER, _UNAUTHORIZED = 200, 201, 204, 303, 401
_RETRYABLE = frozenset({429, 502, 503, 504})

_SCANS = 3


class Platform(NamedTuple):
    """`next_action` is what the customer has to do first."""

    key: str
    name: str
    next_action: str


# Those of Codat's guide.
PLATFORMS = (
    Platform("qhyg", "QuickBooks Online", "authorize"),
    Platform("pqsw", "QuickBooks Desktop", "install-connector"),
    Platform("pdvj", "MYOB Business", "authorize"),
    Platform("akxx", "Oracle NetSuite", "authorize"),
    Platform("knfz", "Sage Intacct", "authorize"),
)
BANK = Platform("plad", "Plaid", "authorize")


class StepFailedError(Exception):
    """The result of `step` is wrong."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(reason)
        self.step = step


def run_scenario(api: httpx.Client, codat: CodatServer, exchanges: Exchanges, printer: Printer) -> None:
    """Run the scenario. If Codat has faults, repeat failed calls, and check that each fault occurs.

    Raises StepFailedError at the first step with a wrong result.
    """
    retries = bool(codat.faults.list())
    # Customer ids are new in each run, because the table may be kept.
    run_id = secrets.token_hex(3)
    customers: list[Customer] = []
    for number, platform in enumerate(PLATFORMS, 1):
        if len(customers) == 1:
            printer.heading("The same for the other platforms")
        shown = Printer(io.StringIO()) if customers else printer
        customer = Customer(api, codat, exchanges, shown, f"bloom-{run_id}-{number}", platform, retries)
        started = time.monotonic()
        customer.create_connect_unlink(f"Bloom & Daughters {number}")
        if customers:
            elapsed = printer.dim(f"{(time.monotonic() - started) * 1000:.0f} ms")
            printer.line(f"   {platform.name:20} {status_path(customer.statuses)}  {elapsed}")
        customers.append(customer)
    printer.heading("A webhook is lost, and reconcile corrects the state")
    customers[0].lose_webhook_and_reconcile()
    printer.heading("An invited person reconnects it, and a bank is connected too")
    customers[0].reconnect_by_invitation()
    replace(customers[0], platform=BANK, statuses=[]).connect_beside()
    _check_faults(codat, exchanges, printer)


@dataclass(slots=True)
class Customer:
    """A customer with a connection. `retries` repeats failed calls, and waits longer for webhooks."""

    api: httpx.Client
    codat: CodatServer
    exchanges: Exchanges
    printer: Printer
    customer_id: str
    platform: Platform
    retries: bool
    statuses: list[str] = field(default_factory=list)
    _company_id: str = ""
    _connection_id: str = ""
    _path: str = ""
    _title: str = ""
    _printed: int = 0

    def create_connect_unlink(self, name: str) -> None:
        self._printed = len(self.exchanges.all())
        self._step("The app creates its customer's Codat company")
        response = self._call("POST", "/customers", {"customerId": self.customer_id, "name": name}, status=_CREATED)
        customer = response.json()
        self._check_equal("Location", response.headers.get("location"), f"/customers/{self.customer_id}")
        self._check_equal("customerId", customer.get("customerId"), self.customer_id)
        self._check_equal("connections", customer.get("connections"), [])
        self._company_id = str(customer.get("companyId") or "")
        self._check(bool(self._company_id), "the response has no companyId")

        self._step(f"The app connects {self.platform.name} and gets the customer's link")
        self._connect()
        webhook = self._await_webhook("Codat's webhook makes it Linked", "connection.connected", "Linked")

        self._step("A forged webhook says that it was deleted, and is rejected")
        event = {**json.loads(webhook.request_body), "id": str(uuid.uuid4()), "eventType": "connection.deleted"}
        headers = {name: value for name, value in webhook.headers.items() if name.startswith("webhook-")}
        response = self.api.post(WEBHOOK_PATH, json=event, headers=headers)
        self._print_webhooks()
        self._check_equal("the response to a forged webhook", response.status_code, _UNAUTHORIZED)
        self._check_state("Linked")

        self._step("The app unlinks")
        self._check_connection(self._call("POST", f"{self._path}/unlink").json(), "Unlinked")
        self._await_webhook("Codat confirms, and it stays Unlinked", "connection.disconnected", "Unlinked")

        self._title = "One customer, one company"
        companies = self.codat.state.companies()
        ids = [company.id for company in companies if company.tags.get("uid") == self.customer_id]
        self._check_equal("Codat's companies for the customer", ids, [self._company_id])

    def lose_webhook_and_reconcile(self) -> None:
        self._printed = len(self.exchanges.all())
        self._step("The customer wants it back: the app gets a new link")
        self._authorise(self._call("POST", f"{self._path}/link").json().get("linkUrl"))
        self._await_webhook("Codat's webhook makes it Linked again", "connection.reconnected", "Linked")

        self._step("The platform revokes its consent, and Codat's webhook about it is lost")
        fault_id = self.codat.faults.add(Fault(kind="webhook-drop"))
        self.codat.state.revoke(self._company_id, self._connection_id)
        self.codat.wait_idle()
        lost = self.codat.faults.fired(fault_id)
        self.codat.faults.remove(fault_id)
        self.printer.line(f"   webhooks lost: {lost}")
        self._check(lost > 0, "no webhook was lost")
        self._check_state("Linked")

        self._step("Reconcile compares the stored states with Codat's")
        counts = self._call("POST", "/_local/reconcile").json()
        self._check_equal("failed", counts.get("failed"), 0)
        self._check(counts.get("drift", 0) > 0, "reconcile counted no drift")
        self._check_state("Deauthorized")

        self._step("The event bus has an event for each change")
        all_events = self._send("GET", "/_local/events").json()
        events = [event for event in all_events if event["detail"].get("customerId") == self.customer_id]
        for event in events:
            self.printer.change_event(event)
        statuses = [event["detail"].get("status") for event in events]
        self._check_equal("the last status on the bus", statuses[-1:], ["Deauthorized"])
        self._check("Unlinked" in statuses, "the bus has no event with status Unlinked")

    def reconnect_by_invitation(self) -> None:
        self._printed = len(self.exchanges.all())
        self._step("The app invites the customer's bookkeeper, and sends the URL by e-mail")
        path = f"/customers/{self.customer_id}/invitations"
        invitation = self._call("POST", path, {"platformKey": self.platform.key}, status=_CREATED).json()
        url = str(invitation.get("url"))
        self._check(url.startswith(f"{self.api.base_url}"), "the response has no url of this API")

        self._step("A mail scanner opens it three times, which consumes nothing")
        for _ in range(_SCANS):
            page = self._call("GET", url).text
            self._check(f"Connect {self.platform.name}" in page, "the page does not name the platform")

        self._step("The bookkeeper opens it and presses the button")
        link = self._call("POST", url, status=_SEE_OTHER).headers.get("location")
        self._authorise(link, "The browser is led to Codat, and the bookkeeper authorises")
        self._await_webhook("Codat's webhook makes it Linked again", "connection.reconnected", "Linked")

    def connect_beside(self) -> None:
        """Connect another platform of the same customer, which may be linked beside an accounting platform."""
        self._step(f"The app connects a bank with {self.platform.name}")
        self._connect()
        self._await_webhook("Codat's webhook makes it Linked", "connection.connected", "Linked")
        path = f"/customers/{self.customer_id}/connections"
        statuses = [each.get("status") for each in self._send("GET", path).json()["connections"]]
        self._check_equal("the statuses of both connections", statuses, ["Linked", "Linked"])

    def _connect(self) -> None:
        """Create a connection, and authorise it as the customer."""
        path = f"/customers/{self.customer_id}/connections"
        connection = self._call("POST", path, {"platformKey": self.platform.key}, status=_CREATED).json()
        self._check_connection(connection, "PendingAuth")
        self._check_equal("nextAction", connection.get("nextAction"), self.platform.next_action)
        self._connection_id = str(connection["connectionId"])
        self._path = f"{path}/{self._connection_id}"
        self._authorise(connection.get("linkUrl"))

    def _authorise(self, link: str | None, title: str = "The customer follows the link and authorises") -> None:
        self._check(bool(link), "the response has no linkUrl")
        self._step(title)
        self._call("POST", str(link), form={"action": "authorize"})

    def _await_webhook(self, title: str, event_type: str, status: str) -> Exchange:
        self._step(title)

        def matches(exchange: Exchange) -> bool:
            event = exchange.webhook_event()
            return (
                event is not None
                and event["eventType"] == event_type
                and event["payload"]["connection"]["id"] == self._connection_id
                and (exchange.status == _NO_CONTENT or not self.retries)
            )

        timeout = _WEBHOOK_TIMEOUT_WITH_FAULTS if self.retries else _WEBHOOK_TIMEOUT
        exchange = self.exchanges.wait_for(matches, timeout, after=self._printed)
        self._print_webhooks()
        if exchange is None:
            self._fail(f"no {event_type} arrived within {timeout:g} s")
        self._check_equal(f"the response to {event_type}", exchange.status, _NO_CONTENT)
        self._check_state(status)
        return exchange

    def _call(
        self, method: str, url: str, body: Any = None, *, form: dict[str, str] | None = None, status: int = _OK
    ) -> httpx.Response:
        """Send a request, print it, and check the status. With `retries`, repeat it as `Retry-After` says."""
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            self.printer.request(method, url, json.dumps(body) if body else urlencode(form or {}))
            response = self._send(method, url, json=body, data=form)
            self.printer.response(response)
            retry_after = response.headers.get("retry-after")
            is_retryable = response.status_code in _RETRYABLE or retry_after is not None
            if not self.retries or not is_retryable or attempt == _MAX_ATTEMPTS:
                break
            time.sleep(min(float(retry_after or 0), _RESPONSE_TIMEOUT))
        # A repeated creation returns 200 if it had succeeded.
        accepted = {status, _OK} if self.retries else {status}
        reason = f"status is {response.status_code}, not {status}: {response.text[:300]}"
        self._check(response.status_code in accepted, reason)
        return response

    def _send(self, method: str, url: str, **content: Any) -> httpx.Response:
        try:
            return self.api.request(method, url, timeout=_RESPONSE_TIMEOUT, **content)
        except httpx.HTTPError as error:
            self._fail(f"{method} {shortened(url)}: {type(error).__name__}")

    def _step(self, title: str) -> None:
        self._title = title
        self.printer.step(title)

    def _check_state(self, status: str) -> None:
        response = self._send("GET", self._path)
        self._check_equal("status", response.status_code, _OK)
        self.printer.state(response.json())
        self._check_connection(response.json(), status)

    def _check_connection(self, connection: dict[str, Any], status: str) -> None:
        self._check_equal("customerId", connection.get("customerId"), self.customer_id)
        self._check_equal("companyId", connection.get("companyId"), self._company_id)
        self._check_equal("platformKey", connection.get("platformKey"), self.platform.key)
        self._check_equal("status", connection.get("status"), status)
        self.statuses.append(status)

    def _check_equal(self, name: str, actual: Any, expected: Any) -> None:
        self._check(actual == expected, f"{name} is {actual!r}, not {expected!r}")

    def _check(self, holds: bool, reason: str) -> None:  # noqa: FBT001 - like an assert statement
        if not holds:
            self._fail(reason)

    def _fail(self, reason: str) -> NoReturn:
        raise StepFailedError(f"{self.platform.name}: {self._title}", reason)

    def _print_webhooks(self) -> None:
        exchanges = self.exchanges.all()
        for exchange in exchanges[self._printed :]:
            if event := exchange.webhook_event():
                self.printer.webhook(event, exchange.status)
        self._printed = len(exchanges)


def _check_faults(codat: CodatServer, exchanges: Exchanges, printer: Printer) -> None:
    """Check that each fault occurred, and that exactly the forged webhooks were rejected: one for each platform."""
    forged = len(PLATFORMS)
    if faults := codat.faults.list():
        printer.heading("Faults that occurred at Codat")
    for fault in faults:
        is_webhook = fault["kind"].startswith("webhook")
        target = fault["eventType"] if is_webhook else f"{fault['method']} {fault['path']}"
        printer.line(f"   {fault['kind']:21} {target:38} {fault['fired']} x")
        if not fault["fired"]:
            raise StepFailedError("Faults at Codat", f"{fault['kind']} of {target} never occurred")
        forged += fault["fired"] if fault["kind"] == "webhook-wrong-secret" else 0
    rejected = sum(bool(exchange.webhook_event()) and exchange.status == _UNAUTHORIZED for exchange in exchanges.all())
    if rejected != forged:
        raise StepFailedError("Forged webhooks are rejected", f"{rejected} of {forged} forged webhooks were rejected")
