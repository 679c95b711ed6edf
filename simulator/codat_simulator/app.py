"""The simulated Codat as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from codat_simulator.answers import failure
from codat_simulator.api import ROUTES
from codat_simulator.control import Control
from codat_simulator.links import LinkPages
from codat_simulator.pipeline import ApiEndpoint, response
from codat_simulator.refusals import Refusal, of_status
from codat_simulator.simulator import SimulatedCodat


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
