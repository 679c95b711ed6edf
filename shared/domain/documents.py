"""The documents in API responses. Change events contain the connection's, without some fields."""

from typing import Any

from shared.domain.connections import Connection
from shared.domain.customers import Customer
from shared.domain.invitations import Invitation
from shared.domain.platforms import Platform
from shared.domain.timeline import WEBHOOK, TimelineEntry


def customer_document(customer: Customer, connections: list[Connection]) -> dict[str, Any]:
    return {
        "customerId": customer.customer_id,
        "companyId": customer.company_id,
        "name": customer.profile.name,
        "description": customer.profile.description,
        "tags": dict(customer.profile.tags),
        "createdAt": customer.created_at,
        "updatedAt": customer.updated_at,
        "connections": [connection_document(connection) for connection in connections],
    }


def connection_document(connection: Connection) -> dict[str, Any]:
    return {
        "connectionId": connection.connection_id,
        "customerId": connection.customer_id,
        "companyId": connection.company_id,
        "platformKey": connection.source.platform_key,
        "platformName": connection.source.platform_name,
        "sourceType": connection.source.source_type,
        "status": connection.status,
        "nextAction": connection.next_action,
        "error": connection.error,
        "lastSync": connection.last_sync,
        "linkedAt": connection.linked_at,
        "initialReadAt": connection.initial_read_at,
        "initialReadIssues": [
            {"dataType": data_type, "status": status} for data_type, status in connection.initial_read_issues
        ],
        "createdAt": connection.created_at,
        "updatedAt": connection.updated_at,
        "asOf": connection.as_of,
    }


def platform_document(platform: Platform) -> dict[str, Any]:
    return {
        "platformKey": platform.key,
        "platformName": platform.name,
        "sourceType": platform.source_type,
        "logoUrl": platform.logo_url,
        "needsConnector": platform.needs_connector,
        "beta": platform.beta,
    }


def invitation_document(invitation: Invitation) -> dict[str, Any]:
    return {
        "invitationId": invitation.invitation_id,
        "platformKey": invitation.platform_key,
        "createdAt": invitation.created_at,
        "expiresAt": invitation.expires_at,
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
