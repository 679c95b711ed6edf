"""The browser of the tests finds what is wrong with a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser import axe_violations

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_PAGE = """<!doctype html><html lang="en"><title>A page</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'"><main><h1>A page</h1>{content}</main></html>"""


def test_axe_reports_an_image_without_a_text(browser: Browser) -> None:
    """Also under a Content-Security-Policy that forbids every script."""
    page = browser.new_page()
    page.set_content(_PAGE.format(content="<p>Text.</p>"))
    assert axe_violations(page) == []

    page.set_content(_PAGE.format(content='<img src="data:,">'))
    [violation] = axe_violations(page)
    assert violation.startswith("image-alt ")
