"""The bodies of Codat's responses."""

from http.client import responses
from uuid import uuid4

from starlette.responses import JSONResponse, Response

from codat_simulator.errors import ApiError


class JsonResponse(JSONResponse):
    media_type = "application/json; charset=utf-8"


def error_response(error: ApiError, *, with_correlation_id: bool = True) -> Response:
    """Return Codat's ErrorMessage, with a new correlation id by default."""
    body = {
        "statusCode": error.status,
        "service": error.service,
        "error": error.message,
        **({"correlationId": uuid4().hex} if with_correlation_id else {}),
        "canBeRetried": "Unknown",
        "detailedErrorCode": 0,
        **({} if error.validation is None else {"validation": error.validation}),
    }
    return JsonResponse(body, error.status, error.headers)


def gateway_error_page(error: ApiError) -> Response:
    """Return the HTML page of a gateway in front of Codat."""
    title = f"{error.status} {responses.get(error.status, 'Error')}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n"
        f"<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    return Response(page, error.status, {"Content-Type": "text/html", **error.headers})
