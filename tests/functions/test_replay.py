"""`make replay`: what was kept unread goes through again."""

import json
import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from local import replay
from shared.runtime import clock
from tests.conftest import App
from tests.payloads import webhook_about


def test_what_is_understood_now_is_stored_and_no_longer_kept(
    app: App, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event from a clock that ran ahead is kept; an hour later it is readable, and the rest stays."""
    about = {"company_id": str(uuid4()), "connection_id": str(uuid4())}
    ahead = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    body = webhook_about("connection.connected", **about, tags={"uid": f"c-{uuid4()}"}, generatedDate=ahead)
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


def test_without_a_table_it_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2."""
    environment = {name: value for name, value in os.environ.items() if name != "TABLE_NAME"}
    assert replay.main(environment) == 2
    assert "TABLE_NAME" in capsys.readouterr().err
