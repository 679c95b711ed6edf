"""Draw the console's picture for the README, and every main state for a look: `make screenshots`.

The picture goes to docs/images. All states, light and dark, on a desktop and on a phone, go to
.cache/screenshots.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from local.settings import LocalSettings
from local.stack import running_stack
from local.terminal import Terminal, function_logs
from tests.browser import find_chromium
from tests.e2e.console.page import Console, open_console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page, ViewportSize

ROOT = Path(__file__).parents[3]
DOCUMENTS = ROOT / "docs" / "images"
STATES = ROOT / ".cache" / "screenshots"
README_PICTURE = "console-drift-light-desktop.webp"
SIZES: dict[str, ViewportSize] = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
CUSTOMERS = (
    ("Fern & Oak Interiors", "fern-oak", "Xero"),
    ("Harbour Coffee", "harbour-coffee", "QuickBooks Desktop"),
    ("Bloom & Daughters", "bloom", "QuickBooks Online"),
)


def states(page: Page, url: str) -> Iterator[str]:
    """Take the console from one state to the next, and yield each one's name."""
    console = open_console(page, url, "")
    yield "empty"
    for name, customer_id, platform in CUSTOMERS:
        console = Console(page, customer_id)
        console.create(name)
        console.connect(platform)
        if customer_id == CUSTOMERS[0][1]:
            console.on_connection("Authorise", platform).click()
            page.get_by_text("Nothing to do: the data can be used.").wait_for()
    yield "waiting"
    console.on_connection("Authorise").click()
    page.get_by_text("Nothing to do: the data can be used.").wait_for()
    console.on_connection("Forge a webhook").click()
    console.rows("Webhooks", "Signature invalid").wait_for()
    yield "linked"
    console.choose("The next webhook", "Is lost")
    console.on_connection("Revoke at the platform").click()
    console.rows("Webhooks", "Lost on the way").wait_for()
    console.button("Reconcile").click()
    console.says("1 difference found and corrected.")
    console.expect_status("Deauthorized")
    yield "drift"
    console.choose("Codat", "Limits the rate")
    console.button("Link to choose a platform").click()
    page.get_by_role("alert").first.wait_for()
    page.get_by_label("Customer id").fill("not an id")
    console.button("Create customer").click()
    page.locator("[aria-invalid=true]").first.wait_for()
    yield "problem"
    console.choose("Codat", "Works")
    console.rows("Webhooks", "connection.deleted").click()
    page.get_by_role("dialog").wait_for()
    yield "json"


def draw(page: Page, name: str) -> Path:
    """Save the picture as WebP, which is half as large as PNG."""
    page.wait_for_timeout(1_500)  # the highlight of new rows fades
    session = page.context.new_cdp_session(page)
    is_phone = name.endswith("phone")
    options: dict[str, Any] = {"format": "webp", "quality": 90, "captureBeyondViewport": is_phone}
    if is_phone:
        size = session.send("Page.getLayoutMetrics")["cssContentSize"]
        options["clip"] = {**size, "scale": 1}
    data = session.send("Page.captureScreenshot", options)["data"]
    session.detach()
    path = STATES / f"{name}.webp"
    path.write_bytes(base64.b64decode(data))
    return path


def main() -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - in a group of its own

    chromium = find_chromium()
    if chromium is None:
        sys.exit("The pictures need Chromium on the PATH, for example by apt install chromium")
    terminal = Terminal.on(sys.stdout, os.environ)
    settings = replace(LocalSettings.from_environment(os.environ), port=0)
    STATES.mkdir(parents=True, exist_ok=True)
    DOCUMENTS.mkdir(exist_ok=True)
    with function_logs("screenshots", os.environ), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium)
        for is_dark, device in product((False, True), SIZES):
            scheme: Literal["dark", "light"] = "dark" if is_dark else "light"
            page = browser.new_page(viewport=SIZES[device], color_scheme=scheme)
            with running_stack(settings) as stack:
                for state in states(page, stack.url):
                    path = draw(page, f"console-{state}-{scheme}-{device}")
                    terminal.line(str(path.relative_to(ROOT)))
            page.close()
        browser.close()
    shutil.copy(STATES / README_PICTURE, DOCUMENTS / "console.webp")


if __name__ == "__main__":
    main()
