"""The register through the webhook's edge, with our own changes and reads in between.

Codat's clock decides, whatever came first: the expected state is found by putting all that was said in the order of
its time and letting each replace the one before. Everything that Codat's events tell lies in the past or a little
ahead, so that the answers to our own calls, which carry Codat's clock of now, fall in between.
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

from functions.create_connection import app as create_connection
from functions.read_customers import app as read_customers
from functions.unlink_connection import app as unlink_connection
from tests.conftest import App
from tests.integration.faults.context import Context
from tests.integration.webhook_security.posting import post_webhook
from tests.intensity import intensity
from tests.payloads import api_event, signed, webhook_about

WORDS = {
    "connection.created": "PendingAuth",
    "connection.connected": "Linked",
    "connection.disconnected": "Unlinked",
    "connection.disconnected.deauthorized": "Deauthorized",
    "connection.reconnected": "Linked",
    "connection.failed": None,
    "connection.deleted": "Deleted",
}
"""What each payload says of the status."""

FORMS: list[Callable[[datetime], str]] = [
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z",
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S.%f}",
    lambda at: f"{at.astimezone(UTC) + timedelta(hours=2):%Y-%m-%dT%H:%M:%S.%f}+02:00",
]
"""Of one instant in whole milliseconds."""


@dataclass(frozen=True)
class Told:
    """An event: milliseconds from now, its own id, and the form of its time."""

    name: str
    milliseconds: int
    event_id: UUID
    form: int

    def body(self, now: datetime, **about: Any) -> dict[str, Any]:
        at = now + timedelta(milliseconds=self.milliseconds)
        return webhook_about(self.name, id=str(self.event_id), generatedDate=FORMS[self.form](at), **about)


DAY = 24 * 3600 * 1000
TIMES = [-DAY, -DAY + 1, -DAY + 10, -DAY + 1000, -3_600_000, 120_000, 120_001]
"""Few, so that ties happen."""

told = st.builds(
    Told,
    name=st.sampled_from(list(WORDS)),
    milliseconds=st.sampled_from(TIMES),
    event_id=st.uuids(),
    form=st.integers(0, len(FORMS) - 1),
)
STATUSES = ["PendingAuth", "Linked", "Unlinked", "Deauthorized"]
STATE = (
    *("status", "statusStamp", "reportedError", "errorStamp", "lastUpdateStamp"),
    *("lastSync", "linkedEventAt", "linkedReadAt", "severances"),
)
"""Attributes of the item that updates decide, and that are text."""


Stamp = tuple[float, int, int, str]


@dataclass
class Model:
    """What was said, each with its place in time: milliseconds, how many answers later, rank, id."""

    said: list[tuple[Stamp, str | None, str | None]] = field(default_factory=list)

    def tell(self, stamp: Stamp, status: str | None, reason: str | None) -> None:
        self.said.append((stamp, status, reason))

    def answer(self, rank: int, status: str) -> None:
        """Now, but above all that was heard before it was asked."""
        (milliseconds, later, _, _) = max((stamp for stamp, _, _ in self.said), default=(0.0, 0, 0, ""))
        self.tell(max((0.0, 0, rank, ""), (milliseconds, later + 1, rank, "")), status, None)

    @property
    def status(self) -> str:
        told = [status for _, status, _ in sorted(self.said, key=lambda one: one[0]) if status]
        return "Deleted" if "Deleted" in told else told[-1] if told else "PendingAuth"

    @property
    def error(self) -> str | None:
        error = None
        for _, status, reason in sorted(self.said, key=lambda one: one[0]):
            if reason is not None or status == "Linked":
                error = None if status == "Linked" else reason
        if self.status in {"Linked", "Deleted"}:
            return None
        return error or (_REVOKED if self.status == "Deauthorized" else None)


def items(app: App, company_id: str, prefix: str) -> list[dict[str, Any]]:
    """Those of one company, without what only numbers and maps hold."""
    found = app.stack.dynamodb.query(
        TableName=app.stack.table_name,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
        ExpressionAttributeValues={":pk": {"S": f"COMPANY#{company_id}"}, ":prefix": {"S": prefix}},
    )
    return [{name: value.get("S") for name, value in item.items()} for item in found["Items"]]


def deliver(app: App, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    assert post_webhook(raw, signed(raw, app.stack.settings.webhook_secrets[0])) == (204, None)


_REVOKED = "QuickBooks Online no longer allows access: it was revoked there, or has expired. Connect again."


class Register(RuleBasedStateMachine):
    """One new connection, pending, with all of Codat's own webhooks lost."""

    heard = Bundle("heard")

    def __init__(self, app: App) -> None:
        super().__init__()
        app.codat.faults.clear()
        app.codat.faults.add(Fault(kind="webhook-drop"))
        self._app = app
        self._now = datetime.now(UTC).replace(microsecond=0)
        customer = app.customer()
        answer = app.post(f"/customers/{customer['customerId']}/connections", {"platformKey": "qhyg"})
        self.connection = answer.json()
        self._path = {name: self.connection[name] for name in ("customerId", "connectionId")}
        self.model = Model()
        self.model.answer(1, "PendingAuth")
        self.events: set[str] = set()
        self.unlinks = 0

    @property
    def at_codat(self) -> Any:
        return self._app.codat.state.connection(self.connection["companyId"], self.connection["connectionId"])

    @rule(target=heard, event=told)
    def hear(self, event: Told) -> dict[str, Any]:
        assume(str(event.event_id) not in self.events)
        about = {"company_id": self.connection["companyId"], "connection_id": self.connection["connectionId"]}
        body = event.body(self._now, **about)
        deliver(self._app, body)
        errors = body["payload"]["connection"].get("dataConnectionErrors") or []
        reason = errors[-1]["errorMessage"] if errors else None
        self.model.tell((event.milliseconds, 0, 2, str(event.event_id)), WORDS[event.name], reason)
        self.events.add(str(event.event_id))
        return body

    @rule(body=heard)
    def hear_again(self, body: dict[str, Any]) -> None:
        deliver(self._app, body)

    @rule()
    def unlink(self) -> None:
        self.at_codat.status, self.at_codat.error = "Linked", None
        answer = unlink_connection.handler(api_event("unlink_connection", **self._path), Context())
        if self.model.status == "Deleted":
            assert answer["statusCode"] == 409
            return
        self.model.answer(1, "Unlinked")
        self.unlinks += 1
        assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (200, "Unlinked")

    @precondition(lambda self: self.model.status != "Deleted")
    @rule(status=st.sampled_from(STATUSES))
    def read(self, status: str) -> None:
        """POST …/connections asks Codat for what exists; there it is in this status."""
        self.at_codat.status, self.at_codat.error = status, None
        event = api_event("create_connection", body={"platformKey": "qhyg"}, customerId=self.connection["customerId"])
        answer = create_connection.handler(event, Context())
        self.model.answer(0, status)
        assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (200, status)

    @invariant()
    def the_newest_stands_and_each_is_told_once(self) -> None:
        answer = read_customers.handler(api_event("get_connection", **self._path), Context())
        shown = json.loads(answer["body"])
        assert (shown["status"], shown["error"]) == (self.model.status, self.model.error)
        entries = items(self._app, self.connection["companyId"], "EVENT#")
        heard = sorted(item["eventId"] for item in entries if item["actor"] == "webhook")
        assert heard == sorted(self.events)
        assert sum(item["eventType"] == "unlinked" for item in entries) == self.unlinks


def test_the_newest_stands_whatever_came_first(app: App) -> None:
    """Events in any order, duplicates, times in every form of Codat's, unlinks and reads in between."""

    class OfThisStack(Register):
        def __init__(self) -> None:
            super().__init__(app)

    run_state_machine_as_test(OfThisStack, settings=settings(intensity(15), stateful_step_count=8))


def test_any_order_ends_the_same(app: App) -> None:
    """The same events in two orders, about two connections: one state."""
    company_id = app.customer()["companyId"]

    @intensity(10)
    @given(st.data(), st.lists(told, min_size=2, max_size=6, unique_by=lambda event: event.event_id))
    def holds(data: st.DataObject, events: list[Told]) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        states = []
        for order in (events, data.draw(st.permutations(events))):
            connection_id = str(uuid4())
            for event in order:
                deliver(app, event.body(now, company_id=company_id, connection_id=connection_id))
            [item] = items(app, company_id, f"CONNECTION#{connection_id}")
            states.append({name: item.get(name) for name in STATE})
        assert states[0] == states[1]

    holds()
