"""A page of the console for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.e2e.console.page import SECONDS, Console, open_console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.conftest import App


@pytest.fixture
def console(app: App, browser: Browser) -> Iterator[Console]:
    from playwright.sync_api import expect  # noqa: PLC0415 - in a group of its own

    expect.set_options(timeout=SECONDS * 1000)
    with browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce") as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        app.codat.links.one_time = False  # as in make run
        errors: list[str] = []
        context.on("weberror", lambda error: errors.append(str(error.error)))
        console = open_console(context.new_page(), app.stack.url, f"c-{uuid4().hex[:8]}")
        console.button("Clear the lanes").click()  # the rows of earlier tests
        yield console
        assert errors == []
