"""The console in a real browser: what it shows, of whom, in two windows, and accessibly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.browser import NO_PLAYWRIGHT, axe_violations
from tests.e2e.console.page import Console, open_console

if TYPE_CHECKING:
    from playwright.sync_api import Browser, expect

    from tests.conftest import App
else:
    expect = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT).expect


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


def test_a_customer_has_its_own_links_and_problems(console: Console, app: App) -> None:
    """WHEN another customer is chosen, also while a link is requested or after a deletion THEN it has no link."""
    page, other = console.page, f"{console.customer_id}2"
    link = page.get_by_label(re.compile("^The customer chooses the platform|^Invitation to e-mail"))
    console.create()
    app.customer(other)
    console.shorten_faults(0.4)
    console.choose("Codat", "Is slow")
    console.button("Link to choose a platform").click()
    page.get_by_role("link", name="Bank of Dave").click()
    page.get_by_role("heading", name="Bank of Dave").wait_for()
    console.rows("The app's calls", f"/customers/{console.customer_id}/link 200").wait_for()
    console.says("The link is ready.")
    expect(link).to_have_count(0)

    page.get_by_role("link", name=console.name).click()
    page.get_by_role("heading", name=console.name).wait_for()
    console.choose("Codat", "Works")
    console.button("Invite the customer").click()
    console.button("Link to choose a platform").click()
    expect(link).to_have_count(2)
    page.get_by_role("region", name="Invitations").get_by_role("listitem").wait_for()
    assert app.http.delete(f"/customers/{console.customer_id}").status_code == 204
    page.get_by_role("heading", name="Bank of Dave").wait_for()
    expect(link).to_have_count(0)
    expect(page.get_by_role("region", name="Invitations").get_by_role("listitem")).to_have_count(0)


def test_only_the_chosen_customers_rows(console: Console, app: App) -> None:
    """GIVEN ids that are part of others, or a word of each row THEN the filter shows one customer's rows only."""
    page = console.page
    for customer_id in ("app", "app2", "a@b:c", "Bank"):
        app.customer(customer_id)
        assert app.get(f"/customers/{quote(customer_id, safe='')}").status_code == 200
    created = console.rows("Events on the bus", "customer.created")
    created.nth(3).wait_for()
    calls = console.rows("The app's calls", "customers")
    for customer_id in ("app", "a@b:c", "Bank"):
        page.locator(f"nav a[href='#{quote(customer_id, safe='')}']").click()
        page.locator(".ids").get_by_text(customer_id, exact=True).wait_for()
        page.get_by_label("Only Bank of Dave").check()
        expect(created).to_have_count(1)
        expect(calls).to_have_count(2)  # its creation and its read
        expect(calls.filter(has_text=f"/customers/{customer_id}")).to_have_count(1)
        expect(console.rows("Requests to Codat", "POST /companies 200")).to_have_count(1)
        page.get_by_label("Only Bank of Dave").uncheck()
        expect(created).to_have_count(4)


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


def test_times_and_actors_in_words(console: Console) -> None:
    """A minute after midnight is 00:01 in en-US, too. A time of another day has its date."""
    words = """async () => {
        const { actor, time, when } = await import("./words.js");
        const now = new Date().toISOString();
        return [time("2026-01-31T00:01:02"), when("2026-01-31T00:01:02"), when(now) === time(now), actor("invitation")];
    }"""
    assert console.page.evaluate("navigator.language") == "en-US"
    assert console.page.evaluate(words) == ["00:01:02", "Jan 31, 2026, 00:01:02", True, "by an invitation"]


def test_every_state_is_accessible(console: Console) -> None:
    """Axe finds nothing on the states that no other test checks, light and dark. A phone scrolls one way."""
    page = console.page
    states: dict[str, list[str]] = {}

    def check(state: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            states[f"{state}, {scheme}"] = axe_violations(page)

    check("empty")
    console.create()
    console.connect()
    check("waiting")
    console.on_connection("Authorise").click()
    console.expect_status("Linked")
    console.on_connection("Forge a webhook").click()
    console.rows("Webhooks", "Signature invalid").wait_for()
    console.choose("The next webhook", "Comes twice")
    check("linked")
    console.on_connection("Revoke at the platform").click()
    console.expect_status("Deauthorized")
    console.choose("Codat", "Limits the rate")
    console.button("Link to choose a platform").click()
    page.get_by_role("main").get_by_role("alert").wait_for()
    console.button("Rename").click()
    check("problem")
    console.button(f"Delete: {console.customer_id}").click()
    page.get_by_role("dialog").wait_for()
    check("confirmation")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 360, "height": 740})
    check("phone")
    assert {state: found for state, found in states.items() if found} == {}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    names = page.locator("button:visible:not(.row)").evaluate_all(
        "buttons => buttons.map(button => button.getAttribute('aria-label') || button.textContent)"
    )
    assert sorted(names) == sorted(set(names))
