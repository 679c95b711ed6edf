"""The console's page, as tests and pictures use it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

# The longest wait for anything on the page. Only a failing test takes so long, also on a busy machine.
SECONDS = 20


@dataclass(frozen=True)
class Console:
    """A page of the console, with the customer that the test uses."""

    page: Page
    customer_id: str

    @property
    def name(self) -> str:
        return f"Bloom {self.customer_id}"

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def on_connection(self, label: str, platform: str = "QuickBooks Online") -> Locator:
        return self.button(f"{label}: {platform} of {self.customer_id}")

    def create(self, name: str = "") -> None:
        name = name or self.name
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_label("Customer id").fill(self.customer_id)
        self.button("Create customer").click()
        self.page.get_by_role("heading", name=name).wait_for()

    def connect(self, platform: str = "QuickBooks Online") -> None:
        self.page.get_by_label("Platform", exact=True).select_option(platform)
        self.button("Connect").click()
        self.expect_status("Waiting")

    def linked(self) -> None:
        self.create()
        self.connect()
        self.on_connection("Authorise").click()
        self.expect_status("Linked")
        self.page.get_by_text("Nothing to do: the data can be used.").wait_for()

    def expect_status(self, status: str) -> None:
        self.page.locator(".card .chip", has_text=re.compile(f"^{status}$")).wait_for()

    def choose(self, group: str, choice: str) -> None:
        self.page.get_by_role("group", name=group, exact=True).get_by_role("radio", name=choice, exact=True).check()
        self.says(f"{group}: {choice}.")

    def shorten_faults(self, seconds: float) -> None:
        """Let the faults that the page adds from now on last so long."""

        def shorten(route: Route) -> None:
            fault = route.request.post_data_json if route.request.method == "POST" else None
            if fault and "seconds" in fault:
                route.continue_(post_data=json.dumps({**fault, "seconds": seconds}))
            else:
                route.continue_()

        self.page.route("**/codat/faults", shorten)

    def rows(self, lane: str, text: str) -> Locator:
        """Return the lane's rows that match, after choosing the lane on a phone."""
        tab = self.page.locator(".tabs").get_by_role("button", name=lane)
        if tab.is_visible():
            tab.click()
        return self.page.get_by_role("region", name=lane, exact=True).get_by_role(
            "button",
            name=re.compile(text.replace("/", r"\/")),  # Playwright doesn't escape it
        )

    def says(self, text: str) -> None:
        self.page.get_by_role("status").get_by_text(text).wait_for()


def open_console(page: Page, url: str, customer_id: str) -> Console:
    """Open the page, and wait until it shows what has happened."""
    page.set_default_timeout(SECONDS * 1000)
    page.goto(f"{url}/")
    page.locator(".top").get_by_text("Live", exact=True).wait_for()
    return Console(page, customer_id)
