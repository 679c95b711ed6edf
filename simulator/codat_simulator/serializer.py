"""Codat's JSON documents for companies, connections, API keys, consumers and event payloads."""

from collections.abc import Collection
from typing import Any

from codat_simulator.api_keys import ApiKey
from codat_simulator.clock import in_seconds, in_ticks
from codat_simulator.link_urls import LinkUrls
from codat_simulator.models import Company, Connection, Consumer

_ACCOUNTING_DATA = ("chartOfAccounts", "suppliers", "bills", "invoices")
_BANKING_DATA = ("banking-accounts", "banking-transactions")

# The failures among the statuses of Codat's pull operations.
_READ_FAILURES = frozenset(
    [
        "FetchError",
        "MapError",
        "InternalError",
        "ProcessingError",
        "ValidationError",
        "AuthError",
        "Cancelled",
        "NotSupported",
        "RateLimitError",
        "PermissionsError",
        "PrerequisiteNotMet",
    ]
)


class Serializer:
    """Serialize documents that contain link URLs or connections.

    If `omit_integration_key` is True, no connection contains `integrationKey`. Codat's contract declares
    the property as optional.
    """

    def __init__(self, links: LinkUrls) -> None:
        self.omit_integration_key = False
        self._links = links

    def company_details(self, company: Company) -> dict[str, Any]:
        """Return the company as company events contain it: without connections."""
        return {
            "id": company.id,
            "name": company.name,
            "description": company.description,
            "redirect": self._links.of_company(company.id),
            "created": in_ticks(company.created),
            **({} if company.last_sync is None else {"lastSync": in_ticks(company.last_sync)}),
            **({"tags": dict(company.tags)} if company.tags else {}),
        }

    def company(self, company: Company) -> dict[str, Any]:
        return {
            **self.company_details(company),
            "platform": "",
            "createdByUserName": None,
            "products": [],
            "referenceSubsidiaryCompanies": [],
            "dataConnections": [self.connection(connection) for connection in company.connections.values()],
        }

    def connection(self, connection: Connection) -> dict[str, Any]:
        platform = connection.platform
        document: dict[str, Any] = {
            "id": connection.id,
            "integrationId": platform.integration_id,
            **({} if self.omit_integration_key else {"integrationKey": platform.key}),
            "sourceId": platform.source_id,
            "sourceType": platform.source_type,
            "platformName": platform.name,
            "linkUrl": self._links.of_connection(connection.company_id, connection.id),
            "status": connection.status,
            "created": in_seconds(connection.created),
        }
        if connection.last_sync is not None:
            document["lastSync"] = in_ticks(connection.last_sync)
        if connection.error is not None:
            error = {
                "statusCode": connection.error.status_code,
                "statusText": connection.error.status_text,
                "errorMessage": connection.error.message,
                "erroredOnUtc": in_seconds(connection.error.at),
                "status": "Active",
            }
            document["dataConnectionErrors"] = [error]
        return document

    def connection_payload(self, company: Company, connection: Connection) -> dict[str, Any]:
        return {"referenceCompany": company_reference(company), "connection": self.connection(connection)}


def company_reference(company: Company, *, with_tags: bool = True) -> dict[str, Any]:
    return {
        "id": company.id,
        "name": company.name,
        "description": company.description,
        "links": {"portal": f"https://app.codat.io/companies/{company.id}/summary"},
        **({"tags": dict(company.tags)} if with_tags and company.tags else {}),
    }


def initial_read_payload(
    company: Company, connection: Connection, *, failed: Collection[str], failure_status: str
) -> dict[str, Any]:
    """Return the payload of `read.completed.initial`, without the company's tags as in Codat's example.

    Raise ValueError if `failed` contains a data type that is not read from this connection, or if
    `failure_status` is not a failure.
    """
    data_types = _BANKING_DATA if connection.platform.source_type == "Banking" else _ACCOUNTING_DATA
    if unknown := sorted(set(failed).difference(data_types)):
        raise ValueError(f"not read from this connection: {', '.join(unknown)}; it has {', '.join(data_types)}")
    if failure_status not in _READ_FAILURES:
        raise ValueError(f"not the status of a failed read: {failure_status}")
    return {
        "referenceCompany": company_reference(company, with_tags=False),
        "modifiedFromDate": None,
        "dataTypes": [
            {
                "connectionId": connection.id,
                "dataType": data_type,
                "recordsModified": data_type not in failed,
                "status": failure_status if data_type in failed else "Complete",
                "issues": [_read_issue(company, connection, data_type)] if data_type in failed else [],
            }
            for data_type in data_types
        ],
    }


def _read_issue(company: Company, connection: Connection, data_type: str) -> dict[str, Any]:
    # Codat documents only the issue type `warning.validation`. The type of a failure is an assumption.
    return {
        "type": "error.read",
        "message": f"The data type {data_type} could not be read from {connection.platform.name}.",
        "links": {"portal": f"https://app.codat.io/companies/{company.id}/pull-history"},
    }


def api_key_document(api_key: ApiKey) -> dict[str, Any]:
    """Return the key with its value. A key without a name has no `name`, as in Codat's example."""
    name = {} if api_key.name is None else {"name": api_key.name}
    return {"id": api_key.id, **name, "apiKey": api_key.value, "createdDate": in_seconds(api_key.created)}


def consumer_document(consumer: Consumer) -> dict[str, Any]:
    """Return the consumer without its signing secret, which only Codat's portal shows."""
    return {
        "id": consumer.id,
        "url": consumer.url,
        "disabled": consumer.disabled,
        "eventTypes": list(consumer.event_types),
        "companyTags": list(consumer.company_tags),
    }
