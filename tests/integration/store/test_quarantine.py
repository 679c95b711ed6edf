"""Authentic webhooks that could not be parsed."""

from datetime import timedelta
from uuid import uuid4

import pytest

from shared.domain.events import QuarantinedWebhook
from shared.domain.timestamps import timestamp_of
from shared.store import keys
from shared.store.quarantine import LIFETIME, Quarantine
from shared.store.table import Table, put
from tests.integration.faults.proxy import Proxy, lost
from tests.integration.store.conftest import NOW


def webhook(
    webhook_id: str, body: bytes = b"not json", *, age: int = 0, company_id: str | None = None
) -> QuarantinedWebhook:
    return QuarantinedWebhook(
        webhook_id, body, "body: json_invalid", timestamp_of(NOW - timedelta(days=age)), company_id
    )


def test_the_raw_body_is_stored_once(shaky: Table, wire: Proxy) -> None:
    """As it came, for 30 days; a retry of the message is the same item."""
    assert timedelta(days=30) == LIFETIME
    quarantine, webhook_id = Quarantine(shaky), f"msg_{uuid4().hex}"
    for body in (b"\x00\xff not text", b"x" * 256 * 1024):
        wire.next(lost)
        assert quarantine.add(webhook(webhook_id, body), NOW)
        assert quarantine.add(webhook(webhook_id, body), NOW + timedelta(hours=1))
        [item] = [item for item in shaky.query("UNREADABLE#", "") if item["webhookId"] == webhook_id]
        assert item["body"] == body
        assert item["cause"] == "body: json_invalid"
        assert item["expiresAt"] == int((NOW + timedelta(hours=1) + LIFETIME).timestamp())


@pytest.mark.parametrize("of_a_company", [True, False])
def test_quarantined_webhooks_are_listed_oldest_first_until_they_are_removed(
    table: Table, *, of_a_company: bool
) -> None:
    """GIVEN webhooks of several days THEN each is listed once, as it was added."""
    quarantine, prefix = Quarantine(table), f"listed-{uuid4().hex}"
    company_id = str(uuid4()) if of_a_company else None
    if company_id:
        table.write(put({**keys.attributes(keys.company(company_id)), "customerId": "acme"}))
    added = [webhook(f"{prefix}-{age}", age=age, company_id=company_id) for age in (0, LIFETIME.days, 7)]
    for each in added:
        assert quarantine.add(each, NOW)
    listed = [each for each in quarantine.all() if each.webhook_id.startswith(prefix)]
    assert listed == [added[1], added[2], added[0]]
    quarantine.remove(listed[1])
    assert [each for each in quarantine.all() if each.webhook_id.startswith(prefix)] == [listed[0], listed[2]]


@pytest.mark.parametrize("pointer", [None, {"customerId": "acme", "ended": True}, {"ended": True, "expiresAt": 1}])
def test_nothing_is_stored_about_a_company_without_a_customer(table: Table, pointer: dict[str, object] | None) -> None:
    """It may be another app's, or the customer was deleted, which erased what was stored."""
    company_id = str(uuid4())
    if pointer:
        table.write(put({**keys.attributes(keys.company(company_id)), **pointer}))
    assert not Quarantine(table).add(webhook("msg", company_id=company_id), NOW)
    assert table.query(f"COMPANY#{company_id}", "UNREADABLE") == []
