"""Companies, connections and events as Codat writes them."""

from typing import Any

from local.codat.clock import in_seconds, in_ticks
from local.codat.linkurls import LinkUrls
from local.codat.records import Company, Connection, Consumer

_ACCOUNTING_DATA = ("chartOfAccounts", "suppliers", "bills")
_BANKING_DATA = ("banking-accounts", "banking-transactions")


def company_details(company: Company, links: LinkUrls) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": company.id,
        "name": company.name,
        "description": company.description,
        "redirect": links.of_company(company.id),
        "created": in_ticks(company.created),
    }
    if company.last_sync is not None:
        body["lastSync"] = in_ticks(company.last_sync)
    if company.tags:
        body["tags"] = dict(company.tags)
    return body


def company_body(company: Company, links: LinkUrls) -> dict[str, Any]:
    return {
        **company_details(company, links),
        "platform": "",
        "createdByUserName": None,
        "products": [],
        "referenceSubsidiaryCompanies": [],
        "dataConnections": [connection_body(c, links) for c in company.connections.values()],
    }


def connection_body(connection: Connection, links: LinkUrls) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": connection.id,
        "integrationId": connection.platform.integration_id,
        "integrationKey": connection.platform.key,
        "sourceId": connection.platform.source_id,
        "sourceType": connection.platform.source_type,
        "platformName": connection.platform.name,
        "linkUrl": links.of_connection(connection.company_id, connection.id),
        "status": connection.status,
        "created": in_seconds(connection.created),
    }
    if connection.last_sync is not None:
        body["lastSync"] = in_ticks(connection.last_sync)
    if connection.error is not None:
        body["dataConnectionErrors"] = [
            {
                "statusCode": connection.error.status_code,
                "statusText": connection.error.status_text,
                "errorMessage": connection.error.message,
                "erroredOnUtc": in_seconds(connection.error.at),
                "status": "Active",
            }
        ]
    return body


def company_reference(company: Company, *, with_tags: bool = True) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": company.id,
        "name": company.name,
        "description": company.description,
        "links": {"portal": f"https://app.codat.io/companies/{company.id}/summary"},
    }
    if with_tags and company.tags:
        body["tags"] = dict(company.tags)
    return body


def connection_payload(company: Company, connection: Connection, links: LinkUrls) -> dict[str, Any]:
    return {"referenceCompany": company_reference(company), "connection": connection_body(connection, links)}


def initial_read_payload(company: Company, connection: Connection) -> dict[str, Any]:
    """Without the company's tags, as in Codat's own example: a receiver must know its companies."""
    banking = connection.platform.source_type == "Banking"
    return {
        "referenceCompany": company_reference(company, with_tags=False),
        "modifiedFromDate": None,
        "dataTypes": [
            {
                "connectionId": connection.id,
                "dataType": data_type,
                "recordsModified": True,
                "status": "Complete",
                "issues": [],
            }
            for data_type in (_BANKING_DATA if banking else _ACCOUNTING_DATA)
        ],
    }


def consumer_body(consumer: Consumer) -> dict[str, Any]:
    """The signing secret isn't in it: it is copied from Codat's portal."""
    return {
        "id": consumer.id,
        "url": consumer.url,
        "disabled": consumer.disabled,
        "eventTypes": list(consumer.event_types),
        "companyTags": list(consumer.company_tags),
    }
