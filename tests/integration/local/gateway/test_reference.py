"""The reference under /_local/docs: a page of installed files, about this server."""

import re

import httpx
import pytest

from tests.conftest import App

PAGE = "/_local/docs"


def test_the_page_needs_only_this_server(app: App) -> None:
    """GIVEN no network THEN every script, style and image that the page names is served."""
    page = app.get(PAGE)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(named) == 4
    for url in named:
        assert url.startswith("/_local/")
        assert app.get(url).status_code == 200
    assert not re.search(r"https?://", page.text)


def test_swagger_ui_renders_openapi_3_1(app: App) -> None:
    """The version in the bundle is 5 or newer: version 4 knows only OpenAPI 3.0."""
    bundle = app.get(f"{PAGE}/swagger-ui-bundle.js").text
    assert "SwaggerUIBundle" in bundle
    assert re.search(r'"5\.\d+\.\d+"', bundle)


def test_the_document_is_about_this_server(app: App) -> None:
    """So that *Try it out* calls it. Everything else is as committed."""
    document = app.get("/_local/openapi.json").json()
    assert [server["url"] for server in document["servers"]] == ["/"]
    assert document["openapi"] == "3.1.0"
    assert "/customers" in document["paths"]


def test_the_documents_links_lead_to_pages(app: App) -> None:
    """Relative links are relative to the page."""
    links = set(re.findall(r'(?:\]\(|"url": ?")((?:problems|event-types)/[^")]+)', document_text(app)))
    assert len(links) > 30
    for link in links:
        page = httpx.URL(app.stack.url + PAGE).join(link)
        assert app.http.get(page).text.startswith(f"# {link.split('/')[1].removesuffix('.md')}")


def document_text(app: App) -> str:
    return app.get("/_local/openapi.json").text


@pytest.mark.parametrize("path", ["/docs/core.py", "/docs/../core.py", "/problems/none.md", "/problems/..%2Fapi.md"])
def test_other_files_are_not_served(app: App, path: str) -> None:
    assert app.get(f"/_local{path}").status_code == 404
