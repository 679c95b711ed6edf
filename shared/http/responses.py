"""Documents of the API; those of customers and connections are in `shared.domain.documents`."""

from typing import Any

from shared.domain.customers import AccessToken
from shared.domain.platforms import Platform
from shared.domain.timeline import WEBHOOK, TimelineEntry
from shared.domain.timestamps import Timestamp


def platform_document(platform: Platform) -> dict[str, Any]:
    return {
        "platformKey": platform.key,
        "platformName": platform.name,
        "sourceType": platform.source_type,
        "needsConnector": platform.needs_connector,
    }


def entry_document(entry: TimelineEntry) -> dict[str, Any]:
    return {
        "eventId": entry.event_id,
        "eventType": entry.event_type,
        "at": entry.at,
        "actor": entry.actor.kind,
        "actorId": entry.actor.identity,
        "webhookId": entry.actor.identity if entry.actor.kind == WEBHOOK else None,
        "previousStatus": entry.previous_status,
        "status": entry.status,
        "error": entry.error,
        "applied": entry.applied,
    }


def link_document(link_url: str, issued_at: Timestamp) -> dict[str, Any]:
    return {"linkUrl": link_url, "issuedAt": issued_at}


def token_document(token: AccessToken) -> dict[str, Any]:
    return {"accessToken": token.token, "expiresIn": token.expires_in, "tokenType": token.token_type}
