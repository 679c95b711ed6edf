"""The HTML of an invitation's page, and its policy."""

import re
from base64 import b64encode
from dataclasses import fields, replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from functions.open_invitation.page import Design, Page, invitation_page, problem_page
from functions.open_invitation.texts import ENGLISH, State
from shared.domain.platforms import Platform
from shared.services.invitations import OpenedInvitation

HOSTILE = """<script>alert("x")</script> & {app} ' " </style>"""
DESIGN = Design("Bloom", "#1f4fd8")
HOSTILE_DESIGN = Design(HOSTILE, "#1f4fd8", "https://cdn.example.com/a?b=1&c=2", shows_platform_logos=True)
PLATFORM = Platform("qhyg", "QuickBooks Online", logo_url="https://static.codat.io/logo.png")
HOSTILE_PLATFORM = Platform('"><script>', HOSTILE, HOSTILE, 'https://static.codat.io/"><script>', needs_connector=True)
READY = OpenedInvitation("Acme Ltd", (PLATFORM,), None)
OPENED = {
    "ready": READY,
    "choice": replace(READY, platforms=(PLATFORM, Platform("gbol", "Xero"))),
    "connected": replace(READY, platforms=(), linked_platform="QuickBooks Online"),
}
PROBLEMS = {
    name: getattr(ENGLISH, name) for name in ("expired", "revoked", "unknown", "unknown_platform", "unavailable")
}
VOID = {"meta", "link", "img"}


def page_of(state: str, design: Design = DESIGN) -> Page:
    return problem_page(PROBLEMS[state], design) if state in PROBLEMS else opened_page(OPENED[state], design)


def opened_page(opened: OpenedInvitation, design: Design = DESIGN) -> Page:
    return invitation_page(opened, design)


class Elements(HTMLParser):
    """Check that every element is closed, and collect the elements with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


STATES = sorted({*OPENED, *PROBLEMS})


def test_every_state_of_the_texts_is_here() -> None:
    assert {field.name for field in fields(ENGLISH) if isinstance(getattr(ENGLISH, field.name), State)} == set(STATES)


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_a_complete_document(state: str) -> None:
    html = page_of(state).html
    assert html.startswith("<!doctype html>\n")
    assert html.isascii() or 'charset="utf-8"' in html
    document = Elements(html)
    assert document.all("html") == [{"lang": "en"}]
    assert [len(document.all(tag)) for tag in ("title", "main", "h1")] == [1, 1, 1]
    assert all(image.get("alt") is not None for image in document.all("img"))
    assert "{" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    assert "Bloom" in document.text
    assert bool(document.all("form")) == (state in {"ready", "choice", "unavailable"})


@pytest.mark.parametrize("state", STATES)
def test_hostile_names_are_text(state: str) -> None:
    """GIVEN markup in the names of the app, the customer and the platform THEN the page shows it as it is."""
    hostile = {
        "ready": OpenedInvitation(HOSTILE, (HOSTILE_PLATFORM,), HOSTILE),
        "choice": OpenedInvitation(HOSTILE, (HOSTILE_PLATFORM, HOSTILE_PLATFORM), HOSTILE),
        "connected": OpenedInvitation(HOSTILE, (), HOSTILE),
    }
    page = opened_page(hostile[state], HOSTILE_DESIGN) if state in hostile else page_of(state, HOSTILE_DESIGN)
    document = Elements(page.html)
    assert document.all("script") == []
    assert HOSTILE in document.text
    assert {tag for tag, _ in document.elements} <= {
        *("html", "head", "meta", "link", "title", "style", "body", "main", "div", "h1", "p", "form", "ul", "li"),
        *("button", "img"),
    }
    assert {name for _, attributes in document.elements for name in attributes} <= {
        *("lang", "charset", "name", "content", "rel", "href", "class", "src", "alt", "method", "aria-label", "value"),
    }
    assert [button["value"] for button in document.all("button") if "value" in button] in (
        [],
        [HOSTILE_PLATFORM.key],
        [HOSTILE_PLATFORM.key] * 2,
    )
    assert "script" not in page.policy


def test_the_policy_allows_exactly_the_style_and_the_images() -> None:
    page = opened_page(READY, replace(DESIGN, logo_url="data:image/png;base64,AAAA"))
    [style] = re.findall(r"<style>(.*?)</style>", page.html, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert page.policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self' https:; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    shown = replace(DESIGN, logo_url="https://cdn.example.com:8443/logo.png?v=1", shows_platform_logos=True)
    assert "img-src data: https://cdn.example.com:8443 https://static.codat.io;" in opened_page(READY, shown).policy
    ended = problem_page(ENGLISH.expired, shown)
    assert "img-src data: https://cdn.example.com:8443;" in ended.policy


def test_a_logo_that_is_no_https_url_is_left_out() -> None:
    design = replace(DESIGN, shows_platform_logos=True)
    for logo_url in ("", "http://static.codat.io/logo.png", "javascript:alert(1)"):
        page = opened_page(replace(READY, platforms=(replace(PLATFORM, logo_url=logo_url),)), design)
        assert "<img" not in page.html
        assert "img-src data:;" in page.policy


def test_ended_pages_name_no_customer() -> None:
    for state in PROBLEMS:
        assert "Acme" not in page_of(state).html


def test_a_single_platform_needs_no_choice() -> None:
    assert "Continue to QuickBooks Online" in opened_page(READY).html


@pytest.mark.parametrize("state", ["ready", "choice"])
def test_a_connected_platform_is_named_beside_those_left(state: str) -> None:
    html = opened_page(replace(OPENED[state], linked_platform="Sage")).html
    assert "Sage is connected. You can connect other software too." in html
    assert "is connected" not in opened_page(OPENED[state]).html


def luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    "color", ["#000000", "#ffffff", "#1f4fd8", "#FFCC00", "#767676", "#777777", "#ff0000", "#00ff00", "#0000ff"]
)
def test_the_buttons_text_is_readable(color: str) -> None:
    """WCAG asks for a contrast of 4.5:1."""
    [text] = re.findall(r"button\.main \{ justify-content: center; color: (#\w+);", Design("Bloom", color).style)
    lighter, darker = sorted((luminance(color), luminance(text + text[1:])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
    assert f"background: {color}" in Design("Bloom", color).style
