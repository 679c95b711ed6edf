"""The page of an invitation, whose URL contains the credential: these routes need no signature.

GET and HEAD show it and change nothing, because mail scanners and previews open it too. POST leads to Codat. Query
parameters, which mailers add, are ignored.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

from functions.open_invitation.page import TEXTS, Design, Page, invitation_page, problem_page
from shared.bootstrap import codat
from shared.domain.errors import InvitationUnknown
from shared.http.problems import Problem
from shared.http.router import Request, Response, Route, http_handler
from shared.runtime.settings import PageSettings, read, settings
from shared.services.invitations import OpenedInvitation, follow_invitation, open_invitation

MAX_FORM_BYTES = 1000
_HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow",
}
_STATES = {
    "invitation-expired": TEXTS.expired,
    "invitation-revoked": TEXTS.revoked,
    "unknown-platform": TEXTS.unknown_platform,
    "no-platform-available": TEXTS.unknown_platform,
}


def show(request: Request) -> Response:
    try:
        opened = open_invitation(_token(request), codat.context(request))
    except InvitationUnknown:
        return _not_found_response(request)
    return _page_response(opened, request)


def follow(request: Request) -> Response:
    try:
        result = follow_invitation(_token(request), _chosen_platform(request), codat.context(request))
    except InvitationUnknown:
        return _not_found_response(request)
    if isinstance(result, OpenedInvitation):
        return _page_response(result, request)
    return Response(HTTPStatus.SEE_OTHER, headers={**_HEADERS, "location": result})


def respond_to_problem(problem: Problem, request: Request) -> Response:
    """Return a page in words for the person; the log has the problem."""
    # The person can do nothing about other problems but try again.
    state = _STATES.get(problem.kind.type, TEXTS.unavailable)
    retry_after = {} if problem.retry_after is None else {"retry-after": str(problem.retry_after)}
    return _html(problem.kind.status, problem_page(state, _design()), request, retry_after)


def _not_found_response(request: Request) -> Response:
    """Everyone can send random tokens, so these responses are counted, and not logged."""
    response = _html(HTTPStatus.NOT_FOUND, problem_page(TEXTS.unknown, _design()), request)
    return replace(response, is_logged=False)


def _page_response(opened: OpenedInvitation, request: Request) -> Response:
    return _html(HTTPStatus.OK, invitation_page(opened, _design()), request)


def _html(status: int, page: Page, request: Request, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    content = {"content-type": "text/html; charset=utf-8", "content-security-policy": page.policy}
    text = "" if request.method == "HEAD" else page.html
    return Response(status, text, {**content, **_HEADERS, **headers})


def _token(request: Request) -> str:
    return str(request.event["pathParameters"]["token"])


def _chosen_platform(request: Request) -> str | None:
    form = parse_qs(request.body[:MAX_FORM_BYTES].decode(errors="replace"))
    return form.get("platformKey", [None])[-1]


@cache
def _design() -> Design:
    page, codat_url = read(PageSettings), urlsplit(settings().codat_base_url)
    return Design(
        page.app_name,
        page.app_accent_color,
        page.app_logo_url,
        page.show_platform_logos,
        # Codat's own address is named because the simulated Codat has no https.
        form_targets=["https:", f"{codat_url.scheme}://{codat_url.netloc}"],
    )


_show = Route(show, query=None, has_body=True)
handler = http_handler(
    {
        "GET /connect/{token}": _show,
        "HEAD /connect/{token}": _show,
        "POST /connect/{token}": Route(follow, query=None, has_body=True),
    },
    respond_to_problem,
)
codat.initialize(_design)
