"""`make replay` processes the quarantined webhooks again."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from cli.__main__ import main
from shared.domain.connections import StatusUpdate
from shared.runtime import clock
from shared.services import webhooks
from shared.services.connection_state import record_update
from shared.store import customers, quarantine
from shared.store.table import Table
from tests.conftest import App
from tests.integration.cli.conftest import DescribedStack, Operator
from tests.integration.faults.proxy import Exchange, Proxy, dropped, passed_on
from tests.payloads import webhook_about


def replay(app: App, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command and return its output."""
    capsys.readouterr()
    assert main(["replay"], {"TABLE_NAME": app.stack.table_name}) == 0
    return capsys.readouterr().out


def deliver_event_of_the_future(app: App, monkeypatch: pytest.MonkeyPatch, connection_id: str) -> str:
    """Have an event quarantined because its time is too far ahead, then move the clock to that time.

    Return the company's id.
    """
    company_id: str = app.customer()["companyId"]
    ahead = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    event = webhook_about(
        "connection.connected", company_id=company_id, connection_id=connection_id, generatedDate=ahead
    )
    app.deliver(event, webhook_id="msg_ahead")
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(hours=1))
    return company_id


def test_webhooks_that_can_be_parsed_now_are_stored(
    app: App, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN an event that can be parsed an hour later, and a body that never can THEN the event is stored and leaves
    the quarantine, and the other webhook stays.
    """
    app.deliver(b"never readable", webhook_id="msg_never")
    company_id = deliver_event_of_the_future(app, monkeypatch, str(uuid4()))
    assert "1 stored, 1 still in quarantine." in replay(app, capsys)
    [connection] = [item for item in app.items(f"COMPANY#{company_id}") if item["sk"].startswith("CONNECTION#")]
    assert connection["status"] == "Linked"
    assert [item["webhookId"] for item in app.items("UNREADABLE#")] == ["msg_never"]
    assert "0 stored, 1 still in quarantine." in replay(app, capsys)


@pytest.mark.parametrize("variables", [{"TIMELINE_DAYS": "30"}, {"STACK": "s"}], ids=["given", "the stack's"])
def test_a_timeline_entry_expires_after_the_stacks_days(
    app: App,
    operator: Operator,
    described_stack: DescribedStack,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
) -> None:
    described_stack.parameters = {"TimelineDays": "30"}
    company_id = deliver_event_of_the_future(app, monkeypatch, str(uuid4()))
    operator.environment |= variables
    status, output = operator.run("replay")
    assert status == 0
    assert "1 stored" in output
    [entry] = [item for item in app.items(f"COMPANY#{company_id}") if item["sk"].startswith("EVENT#")]
    expected = clock.now() + timedelta(days=30)
    assert abs(int(entry["expiresAt"]) - expected.timestamp()) < timedelta(hours=2).total_seconds()


def test_a_bug_blocks_no_other_webhook_and_loses_none(
    app: App, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a webhook that meets a bug THEN Codat gets 500 and sends it again, the webhook is also quarantined, and a
    replay stores it after the bug is corrected.
    """
    company_id, failing, other = app.customer()["companyId"], str(uuid4()), str(uuid4())

    def deliver(connection_id: str) -> int:
        body = webhook_about("connection.connected", company_id=company_id, connection_id=connection_id)
        return app.deliver(body, webhook_id=f"msg_{connection_id}").status_code

    def connections() -> set[str]:
        items = app.items(f"COMPANY#{company_id}")
        return {item["connectionId"] for item in items if item["sk"].startswith("CONNECTION")}

    with monkeypatch.context() as patched:

        def buggy(update: StatusUpdate, *rest: Any, **others: Any) -> Any:
            if update.connection_id == failing:
                raise KeyError(update.connection_id)
            return record_update(update, *rest, **others)

        patched.setattr(webhooks, "record_update", buggy)
        assert [deliver(failing), deliver(other), deliver(failing)] == [500, 204, 500]
        assert connections() == {other}
        app.deliver(b"never readable", webhook_id="msg_a")
        assert f"msg_{failing}  failed with KeyError" in replay(app, capsys)
    assert f"msg_{failing}" in replay(app, capsys)
    assert connections() == {failing, other}
    assert [item["webhookId"] for item in app.items("UNREADABLE#")] == ["msg_a"]


def test_a_webhook_that_could_not_be_stored_stays_in_quarantine(
    app: App, dynamodb_wire: Proxy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a table that rejects the write THEN the webhook leaves the quarantine only after its effect is stored."""
    deliver_event_of_the_future(app, monkeypatch, str(uuid4()))

    def drop_transactions(exchange: Exchange) -> None:
        (dropped if exchange.operation == "TransactWriteItems" else passed_on)(exchange)

    dynamodb_wire.always(drop_transactions)
    assert "0 stored, 1 still in quarantine." in replay(app, capsys)
    dynamodb_wire.heal()
    assert [item["webhookId"] for item in app.items() if "webhookId" in item] == ["msg_ahead"]
    assert "1 stored, 0 still in quarantine." in replay(app, capsys)


@pytest.mark.parametrize("of_a_company", [True, False])
def test_quarantined_webhooks_are_listed_oldest_first(
    app: App, capsys: pytest.CaptureFixture[str], *, of_a_company: bool
) -> None:
    """GIVEN more webhooks than one read of many items can have THEN each is listed once."""
    company_id = app.customer()["companyId"] if of_a_company else None
    store = quarantine.Quarantine(Table(app.stack.dynamodb, app.stack.table_name))
    order = [*range(1, 120, 2), *range(0, 120, 2)]
    for minutes in order:
        received_at = datetime.now(UTC) - timedelta(minutes=minutes)
        assert store.add(f"msg_{minutes}", b"never readable", "body: json_invalid", company_id, received_at)
    output = replay(app, capsys)
    listed = [line.split()[2] for line in output.splitlines() if line.startswith("quarantined")]
    assert listed == [f"msg_{minutes}" for minutes in reversed(range(120))]
    assert "0 stored, 120 still in quarantine." in output


def test_an_unreachable_table_is_reported_in_one_line(
    app: App, dynamodb_wire: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    dynamodb_wire.always(dropped)
    assert main(["replay"], {"TABLE_NAME": app.stack.table_name}) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("{")]
    assert line.startswith("AWS: ")
    assert "Repeat the command" in line


def test_no_webhook_is_quarantined_longer_than_a_tombstone() -> None:
    """A replay must not bring back the connection of a deleted customer."""
    assert quarantine.LIFETIME <= customers.TOMBSTONE_LIFETIME
