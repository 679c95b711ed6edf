"""The console in a real browser: what a customer, a form and a row can do."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser import NO_PLAYWRIGHT, axe_violations

if TYPE_CHECKING:
    from playwright.sync_api import expect

    from tests.conftest import App
    from tests.e2e.console.page import Console
else:
    expect = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT).expect


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
