"""The API's reference on one machine: Swagger UI from the installed package, docs/openapi.json and its pages.

It needs no network. *Try it out* calls this server.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_DOCS = Path(__file__).resolve().parents[2] / "docs"
_PAGE = Path(__file__).with_name("reference.html")
_ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_FOLDERS = ("problems", "event-types", "events")
_NO_STORE = {"cache-control": "no-store"}


def reference_routes() -> list[Route]:
    return [
        Route("/_local/docs", lambda _: FileResponse(_PAGE, headers=_NO_STORE)),
        Route("/_local/docs/{asset}", _asset),
        Route("/_local/openapi.json", _openapi),
        *(Route(f"/_local/{folder}/{{name}}", _document) for folder in _FOLDERS),
    ]


def _asset(request: Request) -> Response:
    name = request.path_params["asset"]
    package = find_spec("swagger_ui")
    if name not in _ASSETS or package is None or package.submodule_search_locations is None:
        raise HTTPException(404)
    return FileResponse(Path(package.submodule_search_locations[0]) / "static" / name)


def _openapi(_: Request) -> Response:
    """Return the document for this server instead of a deployed one."""
    document = json.loads((_DOCS / "openapi.json").read_text("utf-8"))
    return JSONResponse({**document, "servers": [{"url": "/", "description": "this machine"}]}, headers=_NO_STORE)


def _document(request: Request) -> Response:
    """Return a page to which the document links."""
    folder = _DOCS / request.url.path.split("/")[2]
    documents = {path.name: path for path in folder.iterdir()}
    try:
        return PlainTextResponse(documents[request.path_params["name"]].read_text("utf-8"))
    except KeyError:
        raise HTTPException(404) from None
