"""The console of the local stack in a real browser: the journey, each fault, two tabs, a restarted server."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest

from tests.browser import NO_PLAYWRIGHT, axe_violations
from tests.e2e.console.page import Console, open_console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, expect

    from tests.conftest import App
else:
    expect = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT).expect


@pytest.fixture
def console(app: App, browser: Browser) -> Iterator[Console]:
    with browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce") as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        app.codat.links.one_time = False  # as in make run
        errors: list[str] = []
        context.on("weberror", lambda error: errors.append(str(error.error)))
        console = open_console(context.new_page(), app.stack.url, f"c-{uuid4().hex[:8]}")
        console.button("Clear the lanes").click()  # the rows of earlier tests
        yield console
        assert errors == []


def test_the_journey(console: Console, app: App) -> None:
    """Create, connect, authorise on the link's page, unlink, reconnect, rename, delete: each lane shows it."""
    page = console.page
    page.get_by_text("Create a customer to see its connections here.").wait_for()
    console.create()
    console.connect()
    page.get_by_text("Send the customer a link, so that they authorise.").wait_for()

    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open: link of QuickBooks Online").click()
    opened.value.get_by_role("button", name="Authorise").click()
    opened.value.get_by_role("heading", name="QuickBooks Online is connected").wait_for()
    opened.value.close()

    console.expect_status("Linked")
    assert console.rows("The app's calls", "POST /customers 201").count() == 1
    assert console.rows("Requests to Codat", r"POST /companies/.*connections 200").count() == 1
    console.rows("Webhooks", "connection.connected.*Signature valid 204").wait_for()
    console.rows("Events on the bus", f"connection.updated {console.customer_id} .*Linked").first.wait_for()

    console.on_connection("Unlink").click()
    console.expect_status("Unlinked")
    page.get_by_text("The app unlinked it. Send the customer a link to reconnect.").wait_for()
    console.on_connection("Reconnect").click()
    page.get_by_label("Link for the customer").wait_for()
    console.on_connection("Authorise").click()
    console.expect_status("Linked")
    page.get_by_role("list", name=re.compile("entries, newest first")).get_by_text("connection.reconnected").wait_for()

    console.button("Link to choose a platform").click()
    url = page.get_by_label("The customer chooses the platform on this page").input_value()
    assert "Xero" in httpx.get(url).text

    console.button("Rename").click()
    page.get_by_label("New name").fill("Bloom Group")
    console.button("Save the name").click()
    page.get_by_role("heading", name="Bloom Group").wait_for()

    console.on_connection("Delete").click()
    console.button("Delete connection").click()
    page.get_by_text("No connection yet.").wait_for()
    console.button(f"Delete: {console.customer_id}").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete customer").click()
    page.get_by_text("No customers yet.").wait_for()
    assert app.get("/customers").json()["customers"] == []


def test_the_customer_cancels_or_closes_the_browser(console: Console) -> None:
    """A cancellation shows its reason. Codat sends nothing about a closed browser."""
    console.create()
    console.connect()
    console.on_connection("Close the browser").click()
    console.says("closed the browser: Codat sends nothing.")
    console.expect_status("Waiting")
    console.on_connection("Cancel").click()
    console.rows("Webhooks", "connection.failed").wait_for()
    console.page.locator(".card .why").wait_for()
    console.expect_status("Waiting")


def test_an_invitation_is_opened_and_revoked(console: Console) -> None:
    """Its page leads to Codat. After it is revoked, the page says so."""
    page = console.page
    console.create()
    console.connect()
    console.on_connection("Invite").click()
    url = page.get_by_label("Invitation to e-mail").input_value()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open: link of the invitation").click()
    opened.value.get_by_role("button", name="QuickBooks Online").click()
    opened.value.get_by_role("button", name="Authorise").click()
    opened.value.get_by_role("heading", name="QuickBooks Online is connected").wait_for()
    opened.value.close()
    console.expect_status("Linked")
    assert url.split("/")[-1] not in page.locator(".lanes").inner_text()

    console.button("Invite the customer").click()
    invitations = page.get_by_role("region", name="Invitations")
    other = page.get_by_label("Invitation to e-mail")
    expect(other).not_to_have_value(url)
    assert httpx.get(other.input_value()).status_code == 200
    revoke = invitations.get_by_role("button", name="Revoke")
    expect(revoke).to_have_count(2)
    revoke.first.click()
    expect(revoke).to_have_count(1)
    revoke.first.click()
    expect(revoke).to_have_count(0)
    assert httpx.get(other.input_value()).status_code == 410


def test_with_one_time_links_an_opened_link_is_used_up(console: Console) -> None:
    """GIVEN one-time links WHEN the page of a link is opened THEN the link opens no more. Otherwise it does."""
    console.create()
    console.connect()
    link = console.page.get_by_label("Link for the customer")
    stable = link.input_value()
    console.page.get_by_label("One-time links").check()
    console.says("One-time links are on.")
    console.on_connection("Link").click()
    expect(link).not_to_have_value(stable)
    assert [httpx.get(link.input_value()).status_code for _ in range(2)] == [200, 410]
    console.page.get_by_label("One-time links").uncheck()
    console.says("One-time links are off.")
    assert [httpx.get(stable).status_code for _ in range(2)] == [200, 200]


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
    console.page.get_by_role("navigation").get_by_text("1 connection to reconnect").wait_for()


def test_a_webhook_that_comes_twice_changes_the_state_once(console: Console) -> None:
    console.linked()
    console.choose("The next webhook", "Comes twice")
    console.on_connection("Revoke at the platform").click()
    arrived = console.rows("Webhooks", "connection.disconnected.*Signature valid 204")
    arrived.nth(1).wait_for()
    console.expect_status("Deauthorized")
    entries = console.page.locator(".timeline li", has_text="connection.disconnected")
    entries.first.wait_for()
    assert entries.count() == 1


def test_a_late_webhook_arrives_in_the_end(console: Console) -> None:
    console.linked()
    console.choose("The next webhook", "Comes 3 s late")
    console.on_connection("Revoke at the platform").click()
    console.rows("Webhooks", "connection.disconnected.*Held back").wait_for()
    console.expect_status("Linked")
    console.rows("Webhooks", "connection.disconnected.*Signature valid").wait_for()
    console.expect_status("Deauthorized")


def test_a_forged_webhook_is_rejected(console: Console) -> None:
    """WHEN an attacker posts that the connection was deleted THEN the answer is 401, and nothing changes."""
    console.linked()
    console.on_connection("Forge a webhook").click()
    console.rows("Webhooks", "connection.deleted.*Signature invalid 401").click()
    dialog = console.page.get_by_role("dialog")
    dialog.get_by_text("not-authentic").wait_for()
    console.page.keyboard.press("Escape")
    console.expect_status("Linked")


@pytest.mark.parametrize(
    ("choice", "problem"),
    [("Is down", "Codat"), ("Limits the rate", "429")],
)
def test_codat_fails_and_the_call_can_be_repeated(console: Console, choice: str, problem: str) -> None:
    """GIVEN Codat is down or limits the rate THEN the problem is shown under the button, and it recovers."""
    console.create()
    console.choose("Codat", choice)
    console.button("Link to choose a platform").click()
    alert = console.page.get_by_role("alert")
    alert.wait_for(timeout=20_000)
    assert problem in alert.inner_text()
    console.choose("Codat", "Works")
    console.button("Link to choose a platform").click()
    console.page.get_by_label("The customer chooses the platform on this page").wait_for()
    assert console.page.get_by_role("alert").count() == 0


def test_codat_is_slow(console: Console) -> None:
    """The call takes as long as Codat does."""
    console.create()
    console.choose("Codat", "Is slow")
    console.button("Link to choose a platform").click()
    console.page.get_by_label("The customer chooses the platform on this page").wait_for(timeout=20_000)
    row = console.rows("The app's calls", f"/customers/{console.customer_id}/link 200").inner_text()
    milliseconds = re.search(r"(\d+) ms", row)
    assert milliseconds
    assert int(milliseconds.group(1)) >= 2_000


def test_problems_are_beside_the_fields_that_they_name(console: Console) -> None:
    """The first invalid field gets the focus, and its description is the problem."""
    page = console.page
    page.get_by_label("Name", exact=True).fill("Bloom")
    page.get_by_label("Customer id").fill("not an id!")
    console.button("Create customer").click()
    field = page.get_by_label("Customer id")
    expect(field).to_be_focused()
    assert field.get_attribute("aria-invalid") == "true"
    described_by = field.get_attribute("aria-describedby")
    assert "pattern" in page.locator(f"#{(described_by or '').split()[-1]}").inner_text()
    assert field.input_value() == "not an id!"
    assert axe_violations(page) == []
    field.fill(console.customer_id)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Bloom").wait_for()
    assert page.locator("[aria-invalid=true]").count() == 0


def test_a_row_opens_its_json_which_can_be_copied(console: Console, app: App) -> None:
    """No link and no token is in it. Escape returns to the row."""
    page = console.page
    console.create()
    console.connect()
    row = console.rows("The app's calls", f"/customers/{console.customer_id}/connections 201")
    row.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Copy: Response").click()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied["customerId"] == console.customer_id
    assert copied["linkUrl"] == f"{app.stack.codat_url}/(hidden)"
    assert axe_violations(page) == []
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    expect(row).to_be_focused()


def test_two_windows_stay_in_step(console: Console, app: App, browser: Browser) -> None:
    """What one does, and the simulator's settings, appear in the other one."""
    # A window each, because Chromium slows down the timers of a tab in the background.
    with browser.new_context(reduced_motion="reduce") as context:
        other = open_console(context.new_page(), app.stack.url, console.customer_id)
        console.linked()
        other.page.get_by_role("link", name=console.name).click()
        other.expect_status("Linked")
        console.choose("Codat", "Is slow")
        expect(other.page.get_by_role("radio", name="Is slow")).to_be_checked()
        other.choose("Codat", "Works")
        other.on_connection("Revoke at the platform").click()
        console.expect_status("Deauthorized")


def test_only_the_chosen_customers_rows(console: Console, app: App) -> None:
    """GIVEN two customers WHEN the filter is on THEN the lanes show the chosen one's rows only."""
    console.create()
    app.customer("somebody-else")
    console.rows("The app's calls", "POST /customers 201").nth(1).wait_for()
    console.page.get_by_label(f"Only {console.name}").check()
    console.rows("The app's calls", "POST /customers 201").nth(1).wait_for(state="detached")
    console.rows("Events on the bus", "customer.created").wait_for()
    console.page.get_by_label(f"Only {console.name}").uncheck()
    console.rows("Events on the bus", "customer.created").nth(1).wait_for()


def test_an_interrupted_stream_loses_nothing(console: Console, app: App) -> None:
    """GIVEN a page that is offline WHEN it returns THEN it shows each row that it missed, once."""
    console.create()
    console.page.context.set_offline(True)
    # Chromium keeps a stream open that it has; a new page of the stack is what an outage looks like.
    console.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    console.page.locator(".top").get_by_text("Stopped", exact=True).wait_for()
    missed = app.customer(f"{console.customer_id}-missed")
    console.page.context.set_offline(False)
    console.page.locator(".top").get_by_text("Live", exact=True).wait_for()
    console.page.get_by_role("link", name=missed["customerId"]).or_(
        console.page.get_by_role("link", name="Bank of Dave")
    ).first.wait_for()
    rows = console.rows("Events on the bus", f"customer.created {missed['customerId']}")
    rows.wait_for()
    assert rows.count() == 1


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


def test_the_keyboard_is_enough(console: Console) -> None:
    """The first stop skips to the customer. A customer is created, connected and deleted without a mouse."""
    page = console.page
    page.reload()
    page.locator(".top").get_by_text("Live", exact=True).wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the customer"
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.type(console.name)
    page.keyboard.press("Tab")
    page.keyboard.type(console.customer_id)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=console.name).wait_for()
    page.get_by_label("Platform", exact=True).focus()
    page.keyboard.type("Xero")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    console.on_connection("Authorise", "Xero").wait_for()
    page.get_by_role("radio", name="Works").focus()
    page.keyboard.press("ArrowRight")
    console.says("Codat: Is slow.")
    page.keyboard.press("ArrowLeft")
    console.says("Codat: Works.")
    console.button(f"Delete: {console.customer_id}").focus()
    page.keyboard.press("Enter")
    expect(console.button("Close")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("dialog").get_by_role("button", name="Delete customer")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_text("No customers yet.").wait_for()
    expect(page.get_by_role("main")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_is_accessible(console: Console, scheme: Any) -> None:
    """Axe finds nothing on the empty page, on each status, on dialogs, and on a phone, which scrolls one way only."""
    page = console.page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    states = {"empty": axe_violations(page)}
    console.create()
    states["created"] = axe_violations(page)
    console.connect()
    states["waiting"] = axe_violations(page)
    console.on_connection("Authorise").click()
    console.expect_status("Linked")
    console.on_connection("Forge a webhook").click()
    console.rows("Webhooks", "Signature invalid").wait_for()
    console.choose("The next webhook", "Comes twice")
    states["linked"] = axe_violations(page)
    console.on_connection("Revoke at the platform").click()
    console.expect_status("Deauthorized")
    console.choose("Codat", "Limits the rate")
    console.button("Link to choose a platform").click()
    page.get_by_role("alert").wait_for(timeout=20_000)
    console.button("Rename").click()
    states["problem"] = axe_violations(page)
    console.button(f"Delete: {console.customer_id}").click()
    page.get_by_role("dialog").wait_for()
    states["confirmation"] = axe_violations(page)
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 360, "height": 740})
    states["phone"] = axe_violations(page)
    assert {state: found for state, found in states.items() if found} == {}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    names = page.locator("button:visible:not(.row)").evaluate_all(
        "buttons => buttons.map(button => button.getAttribute('aria-label') || button.textContent)"
    )
    assert sorted(names) == sorted(set(names))
