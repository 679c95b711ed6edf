"""`make screenshots`: images of the page of an invitation in each of its states, for the documents."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from local.settings import LocalSettings
from local.stack import running_stack
from local.terminal import function_logs
from tests.browser import find_chromium
from tests.e2e.invitations.pages import STATES, InvitationPages

if TYPE_CHECKING:
    from typing import Literal

FOLDER = Path(__file__).parents[3] / "docs" / "invitations"
MAX_BYTES = 60_000
_WIDTH, _HEIGHT = 390, 100
_APP = {"APP_NAME": "Bloom Pay", "APP_ACCENT_COLOR": "#0b6e4f"}


def main() -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # installed by make only for this command

    executable = find_chromium()
    if executable is None:
        sys.exit("Chromium is needed on the PATH, for example by apt install chromium.")
    images: list[tuple[str, str, Literal["light", "dark"]]] = [(state, state, "light") for state in STATES]
    images.append(("ready-dark", "ready", "dark"))
    FOLDER.mkdir(exist_ok=True)
    settings = LocalSettings.from_environment({"PORT": "0", **_APP})
    with ExitStack() as cleanup:
        cleanup.enter_context(function_logs("screenshots", {}))
        stack = cleanup.enter_context(running_stack(settings))
        assert stack.codat is not None
        api = cleanup.enter_context(httpx.Client(base_url=stack.url))
        playwright = cleanup.enter_context(sync_playwright())
        pages = InvitationPages(api, stack, stack.codat)
        browser = playwright.chromium.launch(executable_path=executable)
        for name, state, scheme in images:
            context = browser.new_context(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme=scheme)
            page = context.new_page()
            pages.show(state, page)
            page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
            context.close()
        browser.close()
    sys.stderr.write(f"{len(images)} images in {FOLDER}\n")


if __name__ == "__main__":
    main()
