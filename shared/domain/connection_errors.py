"""The reasons why a connection does not work, in words that an app can show to a person."""

import re
from collections.abc import Iterable

MAX_CHARACTERS = 500
_MACHINE_TEXT = re.compile(r"\s*[{\[<]|\S*[^A-Za-z.!?\s]\S*\s*$")
"""JSON, markup, or a lone code ("403", "invalid_grant")."""


def error_text(candidates: Iterable[str | None], status_code: str | None, platform_name: str) -> str:
    """Return the first candidate that consists of words, or else the meaning of the platform's HTTP status."""
    for text in candidates:
        if text and text.strip() and not _MACHINE_TEXT.match(text):
            return text.strip()[:MAX_CHARACTERS]
    match (status_code or "").strip():
        case "401" | "403":
            return f"{platform_name} refused access."
        case "429":
            return f"{platform_name} had too many requests."
        case code if code.startswith("5"):
            return f"{platform_name} could not be reached."
        case _:
            return f"The connection to {platform_name} failed."
