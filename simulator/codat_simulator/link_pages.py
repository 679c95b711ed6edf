"""The pages of link URLs.

With one-time links, opening a page uses up its token. The page's form has another token, its session, which also
works once. A program can skip the page and POST to the link URL itself.
"""

from itertools import islice
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from codat_simulator import templates
from codat_simulator.errors import ApiError
from codat_simulator.link_urls import InvalidLinkError
from codat_simulator.simulator import SimulatedCodat

_MAX_ROWS = 500

_REASONS = {
    "expired": "It is over a day old.",
    "used": "It opens once, and was opened before.",
    "invalid": "It is incomplete or forged.",
}


class LinkPages:
    """Handlers may raise ApiError and InvalidLinkError, which the application maps to `error_page`."""

    def __init__(self, codat: SimulatedCodat) -> None:
        self._codat = codat

    def routes(self) -> list[Route]:
        connection = "/companies/{company_id}/connections/{connection_id}"
        return [
            Route("/company/{company_id}", self.open_company, methods=["GET"]),
            Route("/company/{company_id}", self.choose_platform, methods=["POST"]),
            Route(f"{connection}/start", self.open_connection, methods=["GET"]),
            Route(f"{connection}/start", self.finish_connection, methods=["POST"]),
            Route("/platform", self.connected_apps, methods=["GET"]),
            Route(f"/platform{connection}", self.revoke, methods=["POST"]),
        ]

    async def open_company(self, request: Request) -> Response:
        action = self._open(request)
        company, platforms = self._codat.state.company(**request.path_params), self._codat.state.platforms.values()
        return HTMLResponse(templates.choose_platform(company, platforms, action))

    async def choose_platform(self, request: Request) -> Response:
        """Create the connection and redirect to its link page."""
        form = await _form(request)
        self._use_token(request)
        company_id = request.path_params["company_id"]
        connection = self._codat.state.create_connection(company_id, form.get("platformKey", ""))
        return RedirectResponse(self._codat.links.of_connection(connection.company_id, connection.id), 303)

    async def open_connection(self, request: Request) -> Response:
        action = self._open(request)
        connection = self._codat.state.connection(**request.path_params)
        return HTMLResponse(templates.authorize(self._codat.state.company(connection.company_id), connection, action))

    async def finish_connection(self, request: Request) -> Response:
        """Link the connection if the form contains `action=authorize`, cancel if it contains `action=cancel`."""
        action = (await _form(request)).get("action")
        if action not in {"authorize", "cancel"}:
            return HTMLResponse(templates.message("Nothing changed", "Choose to authorise or to cancel."), 400)
        self._use_token(request)
        is_authorized = action == "authorize"
        change = self._codat.state.link if is_authorized else self._codat.state.cancel
        connection = change(**request.path_params)
        if target := self._codat.settings.return_redirect:
            parameters = {"companyId": connection.company_id, "statusCode": 200 if is_authorized else 403}
            return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{urlencode(parameters)}", 303)
        platform = connection.platform.name
        if is_authorized:
            return HTMLResponse(templates.message(f"{platform} is connected", "Thank you. You can close this page."))
        return HTMLResponse(templates.message(f"{platform} is not connected", "You cancelled. No data is shared."))

    async def connected_apps(self, _: Request) -> Response:
        rows = (
            (company, connection)
            for company in self._codat.state.companies()
            for connection in company.connections.values()
        )
        return HTMLResponse(templates.connected_apps(islice(rows, _MAX_ROWS)))

    async def revoke(self, request: Request) -> Response:
        self._codat.state.revoke(**request.path_params)
        return RedirectResponse("/platform", 303)

    def _open(self, request: Request) -> str:
        """Use the token and return the address for the page's form."""
        self._codat.links.use(request.url.path, request.query_params.get("otp", ""))
        session = self._codat.links.mint(f"session:{request.url.path}")
        return f"{request.url.path}?{urlencode({'session': session})}"

    def _use_token(self, request: Request) -> None:
        if "session" in request.query_params:
            self._codat.links.use(f"session:{request.url.path}", request.query_params["session"])
        else:
            self._codat.links.use(request.url.path, request.query_params.get("otp", ""))


def error_page(_: Request, error: Exception) -> Response:
    if isinstance(error, InvalidLinkError):
        return HTMLResponse(templates.message("This link doesn't work any more", _REASONS[error.reason]), 410)
    if isinstance(error, ApiError):
        return HTMLResponse(templates.message("That is not possible", error.message), error.status)
    raise error


async def _form(request: Request) -> dict[str, str]:
    """Return the last value of each field. Starlette's own parser needs another package."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    return {name: values[-1] for name, values in fields.items()}
