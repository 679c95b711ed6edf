"""Allow the app's origins to embed Codat's Link SDK: Codat's CORS settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.deployment import Deployment


def allow_origins(deployment: Deployment, origins: Sequence[str], *, replace: bool) -> None:
    """Add the origins to those that Codat allows, or replace them. Codat's list is only sent if it changes."""
    api_key = deployment.secret.read().api_key
    if not api_key:
        raise OperatorError("No API key is stored. Store it first: make webhook-consumer")
    with deployment.codat(api_key) as codat:
        allowed = codat.allowed_origins()
        # Codat may contain an origin with another spelling, which the portal accepted.
        spellings = {_normalized(origin): origin for origin in allowed}
        added = [origin for origin in origins if origin not in spellings]
        removed = [origin for origin in allowed if replace and _normalized(origin) not in origins]
        for origin in added:
            print(f"+ {origin}")
        for origin in removed:
            print(f"- {origin}")
        if added or removed:
            allowed = codat.set_allowed_origins([o for o in allowed if o not in removed] + added)
    print(f"Allowed origins: {', '.join(allowed)}" + ("" if added or removed else " (unchanged)"))


def _normalized(origin: str) -> str:
    return origin.strip().rstrip("/").lower()
