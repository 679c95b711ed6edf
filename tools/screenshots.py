"""Draw the pictures of the documents, and every main state for a look: `make screenshots`.

The pictures of the documents go to docs/images. All states, light and dark, on a desktop and on a phone, go to
.cache/screenshots.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from local.settings import LocalSettings
from local.stack import Stack, running_stack
from local.terminal import Terminal, function_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[1]
DOCUMENTS = ROOT / "docs" / "images"
STATES = ROOT / ".cache" / "screenshots"
# The pictures of the documents, by the state's file.
USED = {"console-drift-light-desktop.png": "console.png"}
_MAX_BYTES = 150_000
_SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Console:
    page: Page

    def click(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def pick(self, name: str) -> None:
        self.page.get_by_role("radio", name=name, exact=True).check()

    def wait_for(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def settle(self) -> None:
        """Wait until the last rows are drawn and their highlight has faded."""
        self.page.wait_for_timeout(1_500)

    def create(self, name: str, customer_id: str) -> None:
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_label("Customer id").fill(customer_id)
        self.click("Create customer")
        self.page.get_by_role("heading", name=name).wait_for()

    def connect(self, platform: str) -> None:
        self.page.get_by_label("Platform", exact=True).select_option(platform)
        self.click("Connect")
        self.page.get_by_role("heading", name=platform).wait_for()


def states(console: Console) -> Iterator[str]:
    """Take the console from one state to the next, and yield each one's name."""
    page = console.page
    console.wait_for("Create a customer to see its connections here.")
    yield "empty"
    for name, customer_id, platform in (
        ("Fern & Oak Interiors", "fern-oak", "Xero"),
        ("Harbour Coffee", "harbour-coffee", "QuickBooks Desktop"),
        ("Bloom & Daughters", "bloom", "QuickBooks Online"),
    ):
        console.create(name, customer_id)
        console.connect(platform)
        if customer_id == "fern-oak":
            console.click(f"Authorise: {platform} of {customer_id}")
            console.wait_for("Nothing to do: the data can be used.")
    yield "waiting"
    of = "QuickBooks Online of bloom"
    console.click(f"Authorise: {of}")
    console.wait_for("Nothing to do: the data can be used.")
    console.click(f"Forge a webhook: {of}")
    console.wait_for("Signature invalid")
    yield "linked"
    console.pick("Is lost")
    page.get_by_role("status").get_by_text("Is lost").wait_for()
    console.click(f"Revoke at the platform: {of}")
    console.wait_for("Lost on the way")
    console.click("Reconcile")
    console.wait_for("1 difference found and corrected.")
    console.wait_for("Access was revoked at QuickBooks Online.")
    yield "drift"
    console.pick("Limits the rate")
    page.get_by_role("status").get_by_text("Limits the rate").wait_for()
    console.click("Link to choose a platform")
    page.get_by_role("alert").first.wait_for()
    page.get_by_label("Customer id").fill("not an id")
    console.click("Create customer")
    page.locator("[aria-invalid=true]").first.wait_for()
    yield "problem"
    console.pick("Works")
    page.get_by_role("region", name="Codat's webhooks").get_by_role("button").first.click()
    page.get_by_role("dialog").wait_for()
    yield "json"
    page.keyboard.press("Escape")


def draw_console(browser: Browser, settings: LocalSettings, save: Callable[[Page, str], None]) -> None:
    for scheme in ("light", "dark"):
        for device in _SIZES:
            with running_stack(settings) as stack:
                _draw_states(browser, stack, scheme, device, save)


def _draw_states(browser: Browser, stack: Stack, scheme: str, device: str, save: Callable[[Page, str], None]) -> None:
    width, height = _SIZES[device]
    colours: Literal["dark", "light"] = "dark" if scheme == "dark" else "light"
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=colours)
    page.goto(f"{stack.url}/")
    console = Console(page)
    for state in states(console):
        console.settle()
        save(page, f"console-{state}-{scheme}-{device}.png")
    page.close()


def main() -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - in a group of its own

    chromium = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if chromium is None:
        sys.exit("make screenshots needs Chromium, for example by apt install chromium")
    terminal = Terminal.on(sys.stdout, os.environ)
    STATES.mkdir(parents=True, exist_ok=True)

    def save(page: Page, name: str) -> None:
        path = STATES / name
        page.screenshot(path=path, full_page=name.endswith("phone.png"))
        terminal.line(str(path.relative_to(ROOT)))
        if document := USED.get(name):
            if path.stat().st_size > _MAX_BYTES:
                sys.exit(f"{name} has over {_MAX_BYTES:,} bytes")
            shutil.copy(path, DOCUMENTS / document)

    settings = replace(LocalSettings.from_environment(os.environ), port=0)
    with function_logs("screenshots", os.environ), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium)
        draw_console(browser, settings, save)
        browser.close()


if __name__ == "__main__":
    main()
