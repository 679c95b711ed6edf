"""Parse query parameters. Every function raises InvalidQuery with the required change."""

from collections.abc import Mapping

from shared.domain.connections import Status
from shared.domain.errors import InvalidQuery

DEFAULT_LIMIT = 50
MAX_LIMIT = 100
MAX_NAME = 100


def limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT))) or not 1 <= int(text) <= MAX_LIMIT:
        raise InvalidQuery("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def status(query: Mapping[str, str]) -> Status | None:
    """Parse `status`; None for `attention=true`, which replaces it. Deleted connections are not listed."""
    if "attention" in query:
        if query["attention"] != "true":
            raise InvalidQuery("attention", "must be true; without it, the list is selected by status")
        if "status" in query:
            raise InvalidQuery("attention", "can't be combined with status; leave one of them out")
        return None
    allowed = [member for member in Status if member is not Status.DELETED]
    if query.get("status") not in allowed:
        raise InvalidQuery("status", f"must be one of {', '.join(allowed)}, unless attention=true is used instead")
    return Status(query["status"])


def allow_only(query: Mapping[str, str], *names: str) -> None:
    """Reject other parameters, because a misspelt parameter would have no effect."""
    for name in query:
        if name not in names:
            allowed = f"the parameters are {', '.join(names)}" if names else "this route has none"
            raise InvalidQuery(name[:MAX_NAME], f"is not a parameter here; {allowed}")
