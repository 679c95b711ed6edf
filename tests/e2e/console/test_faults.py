"""The console in a real browser: each fault of Codat and of its webhooks, and a stack that fails."""

from __future__ import annotations

import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser import NO_PLAYWRIGHT, axe_violations
from tests.e2e.console.page import Console, open_console

if TYPE_CHECKING:
    from playwright.sync_api import Browser, expect

    from tests.conftest import App
else:
    expect = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT).expect


def test_a_lost_webhook_and_the_reconcile_that_heals_the_drift(console: Console) -> None:
    """GIVEN the webhook of a revocation is lost THEN the customer looks linked until the reconcile."""
    console.linked()
    console.choose("The next webhook", "Is lost")
    console.on_connection("Revoke at the platform").click()
    console.rows("Webhooks", "connection.disconnected.*Lost on the way").wait_for()
    expect(console.page.get_by_role("radio", name="Arrives")).to_be_checked()  # the fault is used up
    console.expect_status("Linked")
    console.button("Reconcile").click()
    console.says("1 difference found and corrected.")
    console.expect_status("Deauthorized")
    console.page.get_by_text("Access was revoked at QuickBooks Online.").wait_for()
    console.page.get_by_role("navigation").get_by_text("1 connection needs attention").wait_for()


def test_a_forged_webhook_is_rejected_and_a_repeated_one_changes_the_state_once(console: Console) -> None:
    """WHEN an attacker posts that the connection was deleted THEN the answer is 401, and nothing changes."""
    console.linked()
    console.on_connection("Forge a webhook").click()
    console.rows("Webhooks", "connection.deleted.*Signature invalid 401").click()
    console.page.get_by_role("dialog").get_by_text("not-authentic").wait_for()
    console.page.keyboard.press("Escape")
    console.expect_status("Linked")

    console.choose("The next webhook", "Comes twice")
    console.on_connection("Revoke at the platform").click()
    console.rows("Webhooks", "connection.disconnected.*Signature valid 204").nth(1).wait_for()
    console.expect_status("Deauthorized")
    entries = console.page.locator(".timeline li", has_text="connection.disconnected")
    entries.first.wait_for()
    assert entries.count() == 1


def test_a_late_webhook_arrives_in_the_end(console: Console) -> None:
    """GIVEN the webhook of a revocation is held back THEN the status changes when it arrives."""
    console.linked()
    console.shorten_faults(1)
    console.choose("The next webhook", "Comes 3 s late")
    console.on_connection("Revoke at the platform").click()
    console.rows("Webhooks", "connection.disconnected.*Signature valid").wait_for()
    rows = console.rows("Webhooks", "connection.disconnected")
    newest, oldest = rows.all_inner_texts()
    assert "Signature valid" in newest
    assert "Held back" in oldest
    console.expect_status("Deauthorized")


def test_codat_fails_and_the_call_can_be_repeated(console: Console) -> None:
    """GIVEN Codat is down or limits the rate THEN the problem is shown under the button, until the call succeeds."""
    console.create()
    problem = console.page.get_by_role("main").get_by_role("alert")
    for choice, text in (("Is down", "Codat"), ("Limits the rate", "429")):
        console.choose("Codat", choice)
        console.button("Link to choose a platform").click()
        expect(problem).to_contain_text(text)
    console.choose("Codat", "Works")
    console.button("Link to choose a platform").click()
    console.page.get_by_label("The customer chooses the platform on this page").wait_for()
    expect(problem).to_have_count(0)


def test_codat_is_slow(console: Console) -> None:
    """The call takes as long as Codat does."""
    console.create()
    console.shorten_faults(0.4)
    console.choose("Codat", "Is slow")
    console.button("Link to choose a platform").click()
    console.page.get_by_label("The customer chooses the platform on this page").wait_for()
    row = console.rows("The app's calls", f"/customers/{console.customer_id}/link 200").inner_text()
    milliseconds = re.search(r"(\d+) ms", row)
    assert milliseconds
    assert int(milliseconds.group(1)) >= 400


def test_a_failed_refresh_is_shown(console: Console, app: App) -> None:
    """GIVEN the page can't read the customers THEN it says that it may be out of date, until a refresh succeeds."""
    page = console.page
    console.create()
    answer = {"title": "Service Unavailable", "detail": "The store is unavailable."}
    page.route("**/customers?limit=100*", lambda route: route.fulfill(status=503, json=answer))
    app.customer(f"{console.customer_id}-2")
    banner = page.get_by_role("alert")
    expect(banner).to_contain_text("The page may be out of date. The store is unavailable.")
    # The last row: after it, the page refreshes no more by itself.
    console.rows("Events on the bus", f"customer.created {console.customer_id}-2").wait_for()
    assert axe_violations(page) == []
    page.unroute("**/customers?limit=100*")
    console.button("Refresh").click()
    page.get_by_role("link", name="Bank of Dave").wait_for()
    expect(banner).to_have_count(0)


def test_a_stopped_server_is_explained_and_a_restarted_one_found(app: App, browser: Browser) -> None:
    """GIVEN the server stops THEN the page says what to do. WHEN it starts again THEN the page goes on by itself."""
    from local.gateway.server import bind  # noqa: PLC0415
    from local.stack import running_stack  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = replace(app.stack.settings, port=0)
    with browser.new_context() as context:
        with running_stack(settings, listener=bind(port)) as stack:
            console = open_console(context.new_page(), stack.url, "before")
            console.create()
        console.page.get_by_role("alert").get_by_text("make run").wait_for()
        assert axe_violations(console.page) == []
        with running_stack(settings, listener=bind(port)) as stack:
            console.says("Connected to the restarted server.")
            console.page.get_by_text("No customers yet.").wait_for()  # moto stores nothing
            assert console.page.get_by_role("alert").count() == 0
            replace(console, customer_id="after").create()
            assert [c["customerId"] for c in httpx.get(f"{stack.url}/customers").json()["customers"]] == ["after"]
