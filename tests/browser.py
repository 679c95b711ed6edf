"""A real browser in tests: the machine's Chromium, driven by Playwright, with axe-core's rules of accessibility."""

from __future__ import annotations

import json
import shutil
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.npm import npm_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

AXE = "axe-core@4.14.1"
NO_PLAYWRIGHT = "needs Playwright: make .venv/.browser installs it"
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, closed after the module: its event loop would disturb later tests that run their own."""
    executable = find_chromium()
    if executable is None:
        pytest.skip("needs Chromium on the PATH, for example by apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=executable)
        yield launched
        launched.close()


def find_chromium() -> str | None:
    """Return the path of the machine's Chromium, or None."""
    return next(filter(None, map(shutil.which, _CHROMIUM)), None)


def axe_violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong on the page: each rule, with the elements that break it."""
    # By the debugger, because the page's Content-Security-Policy forbids scripts.
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": _axe_source()})
    run = "axe.run().then(results => JSON.stringify(results.violations))"
    answer = session.send("Runtime.evaluate", {"expression": run, "awaitPromise": True, "returnByValue": True})
    session.detach()
    violations = json.loads(answer["result"]["value"])
    return [
        f"{violation['id']} ({violation['help']}): {', '.join(node['html'] for node in violation['nodes'])}"
        for violation in violations
    ]


@cache
def _axe_source() -> str:
    return (npm_packages(AXE) / "axe-core" / "axe.min.js").read_text()
