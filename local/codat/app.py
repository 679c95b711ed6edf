"""The simulated Codat as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from local.codat.answers import failure
from local.codat.api import ROUTES
from local.codat.control import Control
from local.codat.links import LinkPages
from local.codat.pipeline import ApiEndpoint, response
from local.codat.refusals import Refusal, of_status
from local.codat.simulator import SimulatedCodat


def create_app(codat: SimulatedCodat) -> Starlette:
    """Webhooks are delivered while its lifespan runs."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with codat.running():
            yield

    def unknown(_: Request, __: Exception) -> Response:
        return response(codat, failure(of_status(404)))

    def unknown_method(_: Request, __: Exception) -> Response:
        return response(codat, failure(Refusal(405, "Method not allowed.")))

    routes: list[BaseRoute] = [*LinkPages(codat).routes(), *Control(codat).routes()]
    routes += [Route(path, ApiEndpoint(codat, work), methods=[method]) for method, path, work in ROUTES]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: unknown, 405: unknown_method})
