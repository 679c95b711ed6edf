"""Why a connection does not work, in words that an app can show to a person."""

import re
from collections.abc import Iterable

_MOST_CHARACTERS = 500
_FOR_MACHINES = re.compile(r"\s*[{\[<]|\S*[^A-Za-z.!?\s]\S*\s*$")
"""JSON, markup, or a lone code ("403", "invalid_grant")."""


def in_words(told: Iterable[str | None], status_code: str | None, platform_name: str) -> str:
    """The first of what was told that reads as words; else what the HTTP status means, that the platform answered."""
    for text in told:
        if text and text.strip() and not _FOR_MACHINES.match(text):
            return text.strip()[:_MOST_CHARACTERS]
    match (status_code or "").strip():
        case "401" | "403":
            return f"{platform_name} refused access."
        case "429":
            return f"{platform_name} had too many requests."
        case code if code.startswith("5"):
            return f"{platform_name} could not be reached."
        case _:
            return f"The connection to {platform_name} failed."


def revoked(platform_name: str) -> str:
    return f"{platform_name} no longer allows access: it was revoked there, or has expired. Connect again."


def unused(platform_name: str) -> str:
    return f"The link to {platform_name} was not used in time. Ask for a new one."


def with_connector(reason: str, platform_name: str) -> str:
    """For what runs on the customer's own computer."""
    return f"{reason} {platform_name} needs its connector: install it on the computer that {platform_name} runs on."
