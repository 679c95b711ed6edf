"""The simulator as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from codat_simulator.api import ROUTES
from codat_simulator.control import Control
from codat_simulator.endpoint import ApiEndpoint, with_headers
from codat_simulator.errors import ApiError, error_for_status
from codat_simulator.link_pages import LinkPages, error_page
from codat_simulator.link_urls import InvalidLinkError
from codat_simulator.responses import error_response
from codat_simulator.simulator import SimulatedCodat


def create_app(codat: SimulatedCodat) -> Starlette:
    """Return the application. It delivers webhooks while its lifespan runs."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with codat.running():
            yield

    def unknown_route(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return with_headers(codat, error_response(error_for_status(status)))

    routes: list[BaseRoute] = [*LinkPages(codat).routes(), Mount("/_control", Control(codat).app())]
    routes += [Route(path, ApiEndpoint(codat, handler), methods=[method]) for method, path, handler in ROUTES]
    handlers = {HTTPException: unknown_route, ApiError: error_page, InvalidLinkError: error_page}
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
