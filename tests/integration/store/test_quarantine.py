"""Authentic webhooks that could not be parsed."""

from datetime import timedelta
from uuid import uuid4

from shared.domain.timestamps import timestamp_of
from shared.store.quarantine import LIFETIME, Quarantine
from shared.store.table import Table
from tests.integration.faults.proxy import Proxy, lost
from tests.integration.store.conftest import NOW


def test_the_raw_body_is_stored_once(shaky: Table, wire: Proxy) -> None:
    """Under the day and the message's id, as it came, for 30 days; a retry of the message is the same item."""
    assert timedelta(days=30) == LIFETIME
    quarantine, webhook_id = Quarantine(shaky), f"msg_{uuid4().hex}"
    for body in (b"\x00\xff not text", b"x" * 256 * 1024):
        wire.next(lost)
        quarantine.add(webhook_id, body, "body: json_invalid", NOW)
        quarantine.add(webhook_id, body, "body: json_invalid", NOW + timedelta(hours=1))
        [item] = [each for each in shaky.query("UNREADABLE#2026-11-22", "msg_") if each["sk"] == webhook_id]
        assert item["body"] == body
        assert item["cause"] == "body: json_invalid"
        assert item["expiresAt"] == int((NOW + timedelta(hours=1) + LIFETIME).timestamp())


def test_quarantined_webhooks_are_listed_oldest_first_until_they_are_removed(table: Table) -> None:
    """GIVEN webhooks of several days THEN each is listed once, as it was added."""
    quarantine, prefix = Quarantine(table), f"listed-{uuid4().hex}"
    days_ago = [0, LIFETIME.days, 7]
    for age in days_ago:
        quarantine.add(f"{prefix}-{age}", b"not json", "body: json_invalid", NOW - timedelta(days=age))
    listed = [webhook for webhook in quarantine.all(NOW) if webhook.webhook_id.startswith(prefix)]
    assert [webhook.webhook_id for webhook in listed] == [f"{prefix}-{age}" for age in sorted(days_ago, reverse=True)]
    assert {webhook.received_at for webhook in listed} == {timestamp_of(NOW - timedelta(days=age)) for age in days_ago}
    assert {(webhook.body, webhook.cause) for webhook in listed} == {(b"not json", "body: json_invalid")}
    quarantine.remove(listed[1])
    remaining = [webhook for webhook in quarantine.all(NOW) if webhook.webhook_id.startswith(prefix)]
    assert remaining == [listed[0], listed[2]]
