"""The page of an invitation in Chromium: its policy, and axe-core's rules of accessibility."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import axe_violations
from tests.e2e.invitations.pages import STATES, InvitationPages
from tests.e2e.invitations.screenshots import FOLDER, MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from playwright.sync_api import Browser, Page, ViewportSize

    from tests.conftest import App

PHONE: ViewportSize = {"width": 360, "height": 740}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}


@pytest.fixture
def pages(app: App) -> InvitationPages:
    return InvitationPages(app.http, app.stack, app.codat)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a phone, without scripts. The test fails if a policy blocks anything."""
    context = browser.new_context(viewport=PHONE, java_script_enabled=False)
    page, messages = context.new_page(), []
    page.on("console", lambda message: messages.append(message.text))
    yield page
    context.close()
    assert [text for text in messages if "Content Security Policy" in text] == []


def test_the_button_leads_to_codat(app: App, pages: InvitationPages, page: Page) -> None:
    """GIVEN Codat on another origin THEN the page's policy lets the browser follow the redirect."""
    page.goto(pages.url("ready") + "?utm_source=mail")
    page.get_by_role("button", name="Continue to QuickBooks Online").click()
    page.wait_for_url(f"{app.stack.codat_url}/companies/**")
    page.get_by_role("button", name="Authorise").click()
    assert page.get_by_role("heading").inner_text() == "QuickBooks Online is connected"


def test_the_person_chooses_by_keyboard_and_comes_back(app: App, pages: InvitationPages, page: Page) -> None:
    """GIVEN a choice THEN it is made by keyboard. After the back button, the same address works again."""
    url = pages.url("choice")
    page.goto(url)
    page.keyboard.press("Tab")
    chosen = page.locator("button:focus").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{app.stack.codat_url}/companies/**")
    assert page.get_by_role("heading").inner_text() == f"Connect {chosen}"
    page.go_back()
    assert page.url == url
    page.get_by_role("button", name=chosen).click()
    page.wait_for_url(f"{app.stack.codat_url}/companies/**")
    assert page.get_by_role("heading").inner_text() == f"Connect {chosen}"


def test_trying_again_works(pages: InvitationPages, page: Page) -> None:
    pages.show("unavailable", page)
    page.get_by_role("button", name="Try again").click()
    assert page.get_by_role("heading").inner_text() == "Connect QuickBooks Online"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_it_is_accessible_and_loads_nothing_else(
    pages: InvitationPages, browser: Browser, state: str, scheme: Literal["light", "dark"]
) -> None:
    """GIVEN each state, on a phone and on a desktop THEN axe-core finds nothing, and nothing is cut off."""
    context = browser.new_context(viewport=PHONE, color_scheme=scheme)
    page = context.new_page()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    pages.show(state, page)
    assert axe_violations(page) == []
    assert page.locator("main").evaluate("main => document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size(DESKTOP)
    assert axe_violations(page) == []
    context.close()
    assert {url.partition("/connect/")[0] for url in requested if not url.startswith("data:")} == {pages.stack.url}


def test_the_documents_show_every_state() -> None:
    """`make screenshots` makes the images."""
    images = {image.stem: image for image in FOLDER.glob("*.png")}
    assert set(images) == {*STATES, "ready-dark"}
    assert all(image.stat().st_size <= MAX_BYTES for image in images.values())
