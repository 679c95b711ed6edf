"""`make replay`: what was kept unread goes through again."""

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from cli import replay
from shared.domain.connections import StatusUpdate
from shared.runtime import clock
from shared.services import webhooks
from shared.services.connection_state import record_update
from shared.store import customers, quarantine
from tests.conftest import App
from tests.integration.faults.proxy import Exchange, Proxy, dropped, passed_on
from tests.payloads import webhook_about


def test_what_is_understood_now_is_stored_and_no_longer_kept(
    app: App, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event from a clock that ran ahead is kept; an hour later it is readable, and the rest stays."""
    about = {"company_id": app.customer()["companyId"], "connection_id": str(uuid4())}
    ahead = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    body = webhook_about("connection.connected", **about, generatedDate=ahead)
    app.deliver(json.dumps(body).encode(), webhook_id="msg_ahead")
    app.deliver(b"never readable", webhook_id="msg_never")
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(hours=1))
    assert replay.main() == 0
    assert "1 understood and stored, 1 left." in capsys.readouterr().out
    [register] = [item for item in app.items(f"COMPANY#{about['company_id']}") if item["sk"].startswith("CONNECTION#")]
    assert register["status"] == "Linked"
    assert [item["sk"] for item in app.items("UNREADABLE#")] == ["msg_never"]
    assert replay.main() == 0
    assert "0 understood and stored, 1 left." in capsys.readouterr().out


def test_a_bug_blocks_nobody_and_loses_nothing(
    app: App, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codat is told 500 and will send it again; should the bug outlive that, the webhook is kept for the replay."""
    company_id, poison, other = app.customer()["companyId"], str(uuid4()), str(uuid4())

    def deliver(connection_id: str) -> int:
        body = webhook_about("connection.connected", company_id=company_id, connection_id=connection_id)
        return app.deliver(body, webhook_id=f"msg_{connection_id}").status_code

    def connections() -> set[str]:
        return {one["connectionId"] for one in app.items(f"COMPANY#{company_id}") if one["sk"].startswith("CONNECTION")}

    with monkeypatch.context() as patched:

        def buggy(update: StatusUpdate, *rest: Any, **others: Any) -> Any:
            if update.connection_id == poison:
                raise KeyError(update.connection_id)
            return record_update(update, *rest, **others)

        patched.setattr(webhooks, "record_update", buggy)
        assert [deliver(poison), deliver(other), deliver(poison)] == [500, 204, 500]
        assert connections() == {other}
        app.deliver(b"never readable", webhook_id="msg_a")
        assert replay.main() == 0
        assert f"msg_{poison}  failed with KeyError" in capsys.readouterr().out
    assert replay.main() == 0
    assert f"msg_{poison}" in capsys.readouterr().out
    assert connections() == {poison, other}
    assert [item["sk"] for item in app.items("UNREADABLE#")] == ["msg_a"]


def test_what_could_not_be_stored_stays_kept(
    app: App, dynamodb_wire: Proxy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kept webhook is let go once its effect is stored, never before."""
    ahead = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    about: dict[str, Any] = {"company_id": app.customer()["companyId"], "connection_id": str(uuid4())}
    app.deliver(webhook_about("connection.connected", **about, generatedDate=ahead), webhook_id="msg_ahead")
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(hours=1))

    def no_transaction(exchange: Exchange) -> None:
        (dropped if exchange.operation == "TransactWriteItems" else passed_on)(exchange)

    dynamodb_wire.always(no_transaction)
    replay.main()
    assert "0 understood and stored, 1 left." in capsys.readouterr().out
    dynamodb_wire.heal()
    assert [item["sk"] for item in app.items("UNREADABLE#")] == ["msg_ahead"]
    replay.main()
    assert "1 understood and stored, 0 left." in capsys.readouterr().out


def test_nothing_is_kept_longer_than_what_tells_that_it_was_deleted() -> None:
    """A replay must not bring a deleted customer's connection back."""
    assert quarantine.LIFETIME <= customers.TOMBSTONE_LIFETIME


def test_without_a_table_it_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2."""
    environment = {name: value for name, value in os.environ.items() if name != "TABLE_NAME"}
    assert replay.main(environment) == 2
    assert "TABLE_NAME" in capsys.readouterr().err
