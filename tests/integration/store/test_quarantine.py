"""Authentic webhooks that could not be parsed."""

from datetime import timedelta
from uuid import uuid4

import pytest

from shared.store import keys
from shared.store.quarantine import LIFETIME, Quarantine
from shared.store.table import Table, put
from tests.integration.faults.proxy import Proxy, lost
from tests.integration.store.conftest import NOW

CAUSE = "body: json_invalid"


def test_the_raw_body_is_stored_once(shaky: Table, wire: Proxy) -> None:
    """As it came, for 30 days; a retry of the message is the same item."""
    assert timedelta(days=30) == LIFETIME
    quarantine, webhook_id = Quarantine(shaky), f"msg_{uuid4().hex}"
    for body in (b"\x00\xff not text", b"x" * 256 * 1024):
        wire.next(lost)
        assert quarantine.add(webhook_id, body, CAUSE, None, NOW)
        assert quarantine.add(webhook_id, body, CAUSE, None, NOW + timedelta(hours=1))
        [item] = [item for item in shaky.query("UNREADABLE#", "UNREADABLE") if item["webhookId"] == webhook_id]
        assert item["body"] == body
        assert item["cause"] == CAUSE
        assert item["expiresAt"] == int((NOW + timedelta(hours=1) + LIFETIME).timestamp())


@pytest.mark.parametrize("pointer", [None, {"customerId": "acme", "ended": True}, {"ended": True, "expiresAt": 1}])
def test_nothing_is_stored_about_a_company_without_a_customer(table: Table, pointer: dict[str, object] | None) -> None:
    """It may be another app's, or the customer was deleted, which erased what was stored."""
    company_id = str(uuid4())
    if pointer:
        table.write(put({**keys.attributes(keys.company(company_id)), **pointer}))
    assert not Quarantine(table).add("msg", b"not json", CAUSE, company_id, NOW)
    assert table.query(f"COMPANY#{company_id}", "UNREADABLE") == []
