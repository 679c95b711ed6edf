"""Webhooks in any order, mixed with our own changes and reads, end in the newest state on Codat's clock.

The model sorts all updates by time and lets each replace the one before. The webhooks are dated in the past or a few
minutes ahead, so that the responses to our own calls, which have the current time, fall in between.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from codat_simulator.faults import Fault
from hypothesis import assume, given, settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.conftest import App
from tests.handlers import handler
from tests.integration.faults.context import Context
from tests.integration.webhook_security.posting import post_webhook
from tests.intensity import intensity
from tests.payloads import api_event, signed, webhook_about

STATUS_OF = {
    "connection.created": "PendingAuth",
    "connection.connected": "Linked",
    "connection.disconnected": "Unlinked",
    "connection.disconnected.deauthorized": "Deauthorized",
    "connection.reconnected": "Linked",
    "connection.failed": None,
    "connection.deleted": "Deleted",
}
"""The status in each payload; None if it has none."""

FORMATS: list[Callable[[datetime], str]] = [
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z",
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S.%f}",
    lambda at: f"{at.astimezone(UTC) + timedelta(hours=2):%Y-%m-%dT%H:%M:%S.%f}+02:00",
]
"""Codat's formats of a time in whole milliseconds."""


@dataclass(frozen=True)
class Webhook:
    name: str
    milliseconds: int
    """From now."""
    event_id: UUID
    format: int

    def body(self, now: datetime, **about: Any) -> dict[str, Any]:
        at = now + timedelta(milliseconds=self.milliseconds)
        return webhook_about(self.name, id=str(self.event_id), generatedDate=FORMATS[self.format](at), **about)


DAY = 24 * 3600 * 1000
TIMES = [-DAY, -DAY + 1, -DAY + 10, -DAY + 1000, -3_600_000, 120_000, 120_001]
"""Few, so that several updates have the same time."""

webhooks = st.builds(
    Webhook,
    name=st.sampled_from(list(STATUS_OF)),
    milliseconds=st.sampled_from(TIMES),
    event_id=st.uuids(),
    format=st.integers(0, len(FORMATS) - 1),
)
STATUSES = ["PendingAuth", "Linked", "Unlinked", "Deauthorized"]
STATE = (
    *("status", "statusStamp", "reportedError", "errorStamp", "lastUpdateStamp"),
    *("lastSync", "linkedEventAt", "linkedReadAt", "severances"),
)
"""The attributes that updates change, except numbers and maps."""


Stamp = tuple[float, int, int, str]


@dataclass
class Model:
    """All updates, each with its stamp: milliseconds, number of responses since then, precedence, id."""

    updates: list[tuple[Stamp, str | None, str | None]] = field(default_factory=list)

    def add(self, stamp: Stamp, status: str | None, error: str | None) -> None:
        self.updates.append((stamp, status, error))

    def add_response(self, precedence: int, status: str) -> None:
        """Add a response: of now, but newer than every update before the request."""
        (milliseconds, later, _, _) = max((stamp for stamp, _, _ in self.updates), default=(0.0, 0, 0, ""))
        self.add(max((0.0, 0, precedence, ""), (milliseconds, later + 1, precedence, "")), status, None)

    @property
    def status(self) -> str:
        statuses = [status for _, status, _ in self._in_order if status]
        return "Deleted" if "Deleted" in statuses else statuses[-1] if statuses else "PendingAuth"

    @property
    def error(self) -> str | None:
        error = None
        for _, status, reported_error in self._in_order:
            if reported_error is not None or status == "Linked":
                error = None if status == "Linked" else reported_error
        if self.status in {"Linked", "Deleted"}:
            return None
        return error or (_REVOKED if self.status == "Deauthorized" else None)

    @property
    def _in_order(self) -> list[tuple[Stamp, str | None, str | None]]:
        return sorted(self.updates, key=lambda update: update[0])


def items(app: App, company_id: str, prefix: str) -> list[dict[str, Any]]:
    """Return the texts of a company's items."""
    response = app.stack.dynamodb.query(
        TableName=app.stack.table_name,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
        ExpressionAttributeValues={":pk": {"S": f"COMPANY#{company_id}"}, ":prefix": {"S": prefix}},
    )
    return [{name: value.get("S") for name, value in item.items()} for item in response["Items"]]


def deliver(app: App, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    assert post_webhook(raw, signed(raw, app.stack.settings.webhook_secrets[0])) == (204, None)


_REVOKED = "QuickBooks Online no longer allows access: it was revoked there, or has expired. Connect again."


class ConnectionMachine(RuleBasedStateMachine):
    """A new connection. The simulator's own webhooks are dropped."""

    delivered = Bundle("delivered")

    def __init__(self, app: App) -> None:
        super().__init__()
        app.codat.faults.clear()
        app.codat.faults.add(Fault(kind="webhook-drop"))
        self._app = app
        self._now = datetime.now(UTC).replace(microsecond=0)
        customer = app.customer()
        response = app.post(f"/customers/{customer['customerId']}/connections", {"platformKey": "qhyg"})
        self.connection = response.json()
        self._path = {name: self.connection[name] for name in ("customerId", "connectionId")}
        self.model = Model()
        self.model.add_response(1, "PendingAuth")
        self.events: set[str] = set()
        self.unlinks = 0

    @property
    def at_codat(self) -> Any:
        return self._app.codat.state.connection(self.connection["companyId"], self.connection["connectionId"])

    @rule(target=delivered, webhook=webhooks)
    def deliver(self, webhook: Webhook) -> dict[str, Any]:
        assume(str(webhook.event_id) not in self.events)
        about = {"company_id": self.connection["companyId"], "connection_id": self.connection["connectionId"]}
        body = webhook.body(self._now, **about)
        deliver(self._app, body)
        errors = body["payload"]["connection"].get("dataConnectionErrors") or []
        error = errors[-1]["errorMessage"] if errors else None
        self.model.add((webhook.milliseconds, 0, 2, str(webhook.event_id)), STATUS_OF[webhook.name], error)
        self.events.add(str(webhook.event_id))
        return body

    @rule(body=delivered)
    def deliver_again(self, body: dict[str, Any]) -> None:
        deliver(self._app, body)

    @rule()
    def unlink(self) -> None:
        self.at_codat.status, self.at_codat.error = "Linked", None
        response = handler("unlink_connection")(api_event("unlink_connection", **self._path), Context())
        if self.model.status == "Deleted":
            assert response["statusCode"] == 409
            return
        self.model.add_response(1, "Unlinked")
        self.unlinks += 1
        assert (response["statusCode"], json.loads(response["body"])["status"]) == (200, "Unlinked")

    @precondition(lambda self: self.model.status != "Deleted")
    @rule(status=st.sampled_from(STATUSES))
    def read(self, status: str) -> None:
        """Call POST …/connections, which reads the existing connection from Codat."""
        self.at_codat.status, self.at_codat.error = status, None
        event = api_event("create_connection", body={"platformKey": "qhyg"}, customerId=self.connection["customerId"])
        response = handler("create_connection")(event, Context())
        self.model.add_response(0, status)
        assert (response["statusCode"], json.loads(response["body"])["status"]) == (200, status)

    @invariant()
    def the_newest_status_is_shown_and_each_event_is_in_the_timeline_once(self) -> None:
        response = handler("read_customers")(api_event("get_connection", **self._path), Context())
        shown = json.loads(response["body"])
        assert (shown["status"], shown["error"]) == (self.model.status, self.model.error)
        entries = items(self._app, self.connection["companyId"], "EVENT#")
        event_ids = sorted(item["eventId"] for item in entries if item["actor"] == "webhook")
        assert event_ids == sorted(self.events)
        assert sum(item["eventType"] == "unlinked" for item in entries) == self.unlinks


def test_the_newest_status_is_shown_in_any_order_of_arrival(app: App) -> None:
    """GIVEN webhooks in any order, with duplicates and in every format of time, mixed with unlinks and reads."""

    class OnThisStack(ConnectionMachine):
        def __init__(self) -> None:
            super().__init__(app)

    run_state_machine_as_test(OnThisStack, settings=settings(intensity(10), stateful_step_count=8))


def test_two_orders_of_the_same_webhooks_end_in_the_same_state(app: App) -> None:
    """GIVEN two connections WHEN each receives the same webhooks, in another order THEN their items are the same."""
    company_id = app.customer()["companyId"]

    @intensity(10)
    @given(st.data(), st.lists(webhooks, min_size=2, max_size=6, unique_by=lambda webhook: webhook.event_id))
    def check(data: st.DataObject, received: list[Webhook]) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        states = []
        for order in (received, data.draw(st.permutations(received))):
            connection_id = str(uuid4())
            for webhook in order:
                deliver(app, webhook.body(now, company_id=company_id, connection_id=connection_id))
            [item] = items(app, company_id, f"CONNECTION#{connection_id}")
            states.append({name: item.get(name) for name in STATE})
        assert states[0] == states[1]

    check()
