"""What was authentic and not understood."""

from datetime import timedelta
from uuid import uuid4

from shared.store.table import Table
from shared.store.unreadable import KEPT_FOR, Unreadables
from tests.faults.proxy import Proxy, lost
from tests.store.conftest import NOW


def test_the_raw_body_is_kept_once(shaky: Table, wire: Proxy) -> None:
    """Under the day and the message's id, as it came, for 90 days; a retry of the message is the same item."""
    unreadables, webhook_id = Unreadables(shaky), f"msg_{uuid4().hex}"
    for body in (b"\x00\xff not text", b"x" * 256 * 1024):
        wire.next(lost)
        unreadables.keep(webhook_id, body, "body: json_invalid", NOW)
        unreadables.keep(webhook_id, body, "body: json_invalid", NOW + timedelta(hours=1))
        [item] = [one for one in shaky.query("UNREADABLE#2026-11-22", "msg_") if one["sk"] == webhook_id]
        assert item["body"] == body
        assert item["why"] == "body: json_invalid"
        assert item["expiresAt"] == int((NOW + timedelta(hours=1) + KEPT_FOR).timestamp())
