"""The API's reference on one machine: Swagger UI from its package, docs/openapi.json, and the pages that it links to.

It needs no network. *Try it out* calls this server.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_DOCS = Path(__file__).resolve().parents[2] / "docs"
_PAGE = Path(__file__).with_name("reference.html")
_FOLDERS = ("problems", "event-types", "events")
_NO_STORE = {"cache-control": "no-store"}


def reference_routes() -> list[BaseRoute]:
    return [
        Route("/_local/docs", lambda _: FileResponse(_PAGE, headers=_NO_STORE)),
        Mount("/_local/docs", StaticFiles(packages=[("swagger_ui", "static")])),
        Route("/_local/openapi.json", _openapi),
        *(Route(f"/_local/{folder}/{{name}}", _document) for folder in _FOLDERS),
    ]


def _openapi(_: Request) -> Response:
    """Return the document for this server instead of a deployed one."""
    document = json.loads((_DOCS / "openapi.json").read_text("utf-8"))
    return JSONResponse({**document, "servers": [{"url": "/", "description": "this machine"}]}, headers=_NO_STORE)


def _document(request: Request) -> Response:
    """Return a page that openapi.json links to."""
    folder = _DOCS / request.url.path.split("/")[2]
    documents = {path.name: path for path in folder.iterdir()}
    try:
        return PlainTextResponse(documents[request.path_params["name"]].read_text("utf-8"))
    except KeyError:
        raise HTTPException(404) from None
