"""The pages that link URLs open.

Opening a page spends its one-time token and gives the page a session instead, with which its buttons
work once. A program may leave the page out and POST to the link URL itself.
"""

from itertools import islice
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from codat_simulator import pages
from codat_simulator.linkurls import Unusable
from codat_simulator.refusals import Refusal
from codat_simulator.simulator import SimulatedCodat

_MOST_ROWS = 500

_WHY = {
    "expired": "It is over a day old.",
    "used": "It works once, and was opened before.",
    "invalid": "It is incomplete, or was never given out.",
}


class LinkPages:
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
        try:
            action = self._open(request)
            company = self._codat.state.company(request.path_params["company_id"])
        except (Unusable, Refusal) as error:
            return _refused(error)
        return HTMLResponse(pages.choose_platform(company, action))

    async def choose_platform(self, request: Request) -> Response:
        """Makes the connection and goes on to its own link page."""
        form = await _form(request)
        try:
            self._spend(request)
            connection = self._codat.state.create_connection(
                request.path_params["company_id"], form.get("platformKey", "")
            )
        except (Unusable, Refusal) as error:
            return _refused(error)
        url = self._codat.links.of_connection(connection.company_id, connection.id)
        return RedirectResponse(url, 303)

    async def open_connection(self, request: Request) -> Response:
        company_id, connection_id = _ids(request)
        try:
            action = self._open(request)
            company = self._codat.state.company(company_id)
            connection = self._codat.state.connection(company_id, connection_id)
        except (Unusable, Refusal) as error:
            return _refused(error)
        return HTMLResponse(pages.authorize(company, connection, action))

    async def finish_connection(self, request: Request) -> Response:
        """`action=authorize` or `action=cancel`."""
        company_id, connection_id = _ids(request)
        action = (await _form(request)).get("action")
        if action not in {"authorize", "cancel"}:
            return HTMLResponse(pages.message("Nothing done", "Choose to authorise or to cancel."), 400)
        state = self._codat.state
        try:
            self._spend(request)
            if action == "authorize":
                connection = state.link(company_id, connection_id)
            else:
                connection = state.cancel(company_id, connection_id)
        except (Unusable, Refusal) as error:
            return _refused(error)
        if self._codat.settings.return_redirect:
            status = 200 if action == "authorize" else 403
            parameters = urlencode({"companyId": company_id, "statusCode": status})
            target = self._codat.settings.return_redirect
            return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{parameters}", 303)
        platform = connection.platform.name
        if action == "authorize":
            return HTMLResponse(pages.message(f"{platform} is connected", "Thank you. You can close this page."))
        return HTMLResponse(pages.message(f"{platform} is not connected", "You cancelled. Nothing is shared."))

    async def connected_apps(self, _: Request) -> Response:
        rows = (
            (company, connection)
            for company in self._codat.state.companies()
            for connection in list(company.connections.values())
        )
        return HTMLResponse(pages.connected_apps(islice(rows, _MOST_ROWS)))

    async def revoke(self, request: Request) -> Response:
        try:
            self._codat.state.revoke(*_ids(request))
        except Refusal as error:
            return _refused(error)
        return RedirectResponse("/platform", 303)

    def _open(self, request: Request) -> str:
        """Spends the token; the address for the page's form."""
        self._codat.links.spend(request.url.path, request.query_params.get("otp", ""))
        session = self._codat.links.mint(f"session:{request.url.path}")
        return f"{request.url.path}?{urlencode({'session': session})}"

    def _spend(self, request: Request) -> None:
        if "session" in request.query_params:
            self._codat.links.spend(f"session:{request.url.path}", request.query_params["session"])
        else:
            self._codat.links.spend(request.url.path, request.query_params.get("otp", ""))


def _ids(request: Request) -> tuple[str, str]:
    return request.path_params["company_id"], request.path_params["connection_id"]


async def _form(request: Request) -> dict[str, str]:
    """The last value of each field. Starlette's own parser needs another package."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    return {name: values[-1] for name, values in fields.items()}


def _refused(error: Unusable | Refusal) -> Response:
    if isinstance(error, Unusable):
        return HTMLResponse(pages.message("This link doesn't work any more", _WHY[error.reason]), 410)
    return HTMLResponse(pages.message("That is not possible", error.error), error.status)
