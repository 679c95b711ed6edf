"""Instant doubles of DynamoDB, Secrets Manager and Codat: one HTTP server with canned answers.

Reads return the same items in every run, and writes succeed and change nothing. Conditions are not evaluated. `python
-m bench.doubles` prints its port and serves until its stdin ends. `GET /_requests` returns the requests since the last
such call, counted by service.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

from boto3.dynamodb.types import TypeSerializer

from bench.dataset import NoTelemetry
from shared.codat.transport import api_key_fingerprint
from shared.domain.connections import Precedence, Source, Status, StatusUpdate, stamp
from shared.domain.customers import Profile
from shared.domain.leases import CreationLease, LeaseRequest
from shared.domain.platforms import Platform, PlatformList
from shared.domain.timeline import Actor
from shared.domain.timestamps import timestamp_of
from shared.services.connection_state import record_update
from shared.services.context import Context
from shared.services.platform_catalog import PlatformCache, PlatformCatalog
from shared.store.api_keys import ApiKeys
from shared.store.connections import Connections
from shared.store.customers import Customers
from shared.store.invitations import Invitations
from shared.store.platforms import Platforms
from shared.store.table import Key, Table, Write

if TYPE_CHECKING:
    from collections.abc import Mapping

API_KEY = "bench"
SIGNING_SECRET = "whsec_YmVuY2gtYmVuY2gtYmVuY2gtYmVuY2g="  # noqa: S105 - of the double alone
NEW_COMPANY = "11111111-0000-4000-8000-000000000000"
NEW_CONNECTION = "22222222-0000-4000-8000-000000000000"

# Customer id, company id, and its connection's id and status.
WITHOUT_CONNECTION = ("unconnected", "33333333-0000-4000-8000-000000000000", "", None)
PENDING = ("pending", "44444444-0000-4000-8000-000000000000", "55555555-0000-4000-8000-000000000000", "PendingAuth")
LINKED = ("linked", "66666666-0000-4000-8000-000000000000", "77777777-0000-4000-8000-000000000000", "Linked")

_HEAD_END = b"\r\n\r\n"


class _RecordingTable(Table):
    """Keep the written items. Conditions are not evaluated, because the table starts empty."""

    def __init__(self) -> None:
        super().__init__(cast("Any", None), "bench")
        self.items: dict[Key, Mapping[str, Any]] = {}

    def write(self, *writes: Write) -> None:
        for write in writes:
            if write.item is not None:
                self.items[write.key] = write.item


def stored_items() -> dict[Key, dict[str, Any]]:
    """Return the items of a table with three customers, in DynamoDB's form."""
    table, at = _RecordingTable(), datetime.now(UTC) - timedelta(hours=1)
    customers = Customers(table)
    ApiKeys(table).trust(api_key_fingerprint(API_KEY), "bench", at)
    enabled = PlatformList((Platform("qhyg", "QuickBooks Online"),), timestamp_of(at))
    context = Context(
        actor=Actor("webhook"),
        telemetry=NoTelemetry(),
        now=lambda: at,
        new_id=lambda: "88888888-0000-4000-8000-000000000000",
        customers=customers,
        connections=Connections(table, timeline_lifetime=timedelta(days=400)),
        invitations=Invitations(table),
        platforms=PlatformCatalog(Platforms(table), lambda: at, PlatformCache(enabled, at)),
    )
    context.platforms.store.save(enabled)
    for customer_id, company_id, connection_id, status in (WITHOUT_CONNECTION, PENDING, LINKED):
        request = LeaseRequest(at, timedelta(minutes=1), context.new_id(), context.new_id(), context.new_id())
        lease = customers.acquire(customer_id, Profile("Bank of Dave"), request)
        assert isinstance(lease, CreationLease)
        customers.activate(lease, company_id, at, {})
        if status:
            update = StatusUpdate(
                stamp=stamp(timestamp_of(at), Precedence.EVENT, context.new_id()),
                company_id=company_id,
                connection_id=connection_id,
                source=Source("qhyg", "QuickBooks Online", "Accounting"),
                created_at=timestamp_of(at),
                status=Status(status),
                error=None,
            )
            record_update(update, context, customer_id=customer_id, event_type="connection.created", stored=None)
    serialize = TypeSerializer().serialize
    return {
        key: {name: serialize(value) for name, value in item.items() if value is not None}
        for key, item in table.items.items()
    }


class Doubles:
    def __init__(self) -> None:
        self._items = stored_items()
        self._requests: Counter[str] = Counter()

    def respond(self, method: str, path: str, target: str, body: bytes) -> bytes:
        return json.dumps(self._respond(method, path, target, body)).encode()

    def _respond(self, method: str, path: str, target: str, body: bytes) -> Any:
        if path == "/_requests":
            counts, self._requests = self._requests, Counter()
            return counts
        service, _, operation = target.partition(".")
        request = json.loads(body or b"{}")
        if service.startswith("DynamoDB"):
            self._requests["DynamoDB"] += 1
            return self._dynamodb(operation, request)
        if operation == "GetSecretValue":
            self._requests["Secrets Manager"] += 1
            return _secret(request["SecretId"])
        self._requests["Codat"] += 1
        return _codat(method, path.partition("?")[0], request)

    def _dynamodb(self, operation: str, request: Any) -> Any:
        match operation:
            case "GetItem":
                return self._item(request["Key"])
            case "BatchGetItem":
                [(table, requested)] = request["RequestItems"].items()
                items = [found["Item"] for key in requested["Keys"] if (found := self._item(key))]
                return {"Responses": {table: items}, "UnprocessedKeys": {}}
            case "TransactGetItems":
                return {"Responses": [self._item(item["Get"]["Key"]) for item in request["TransactItems"]]}
            case "Query":
                items = self._query(request.get("IndexName"), request["ExpressionAttributeValues"])
                return {"Items": items, "Count": len(items), "ScannedCount": len(items)}
            case "BatchWriteItem":
                return {"UnprocessedItems": {}}
        return {}

    def _item(self, key: Any) -> Any:
        item = self._items.get((key["pk"]["S"], key["sk"]["S"]))
        return {} if item is None else {"Item": item}

    def _query(self, index: str | None, values: Any) -> list[Any]:
        if index:
            return []
        prefix = values.get(":prefix", {"S": ""})["S"]
        return [
            item for (pk, sk), item in sorted(self._items.items()) if pk == values[":pk"]["S"] and sk.startswith(prefix)
        ]


def _secret(secret_id: str) -> Any:
    value = {"apiKey": API_KEY, "webhookSecrets": [SIGNING_SECRET]}
    return {
        "ARN": f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{secret_id}-AbCdEf",
        "Name": secret_id,
        "VersionId": "99999999-0000-4000-8000-000000000000",
        "SecretString": json.dumps(value),
        "VersionStages": ["AWSCURRENT"],
        "CreatedDate": 1793613000,
    }


def _codat(method: str, path: str, request: Any) -> Any:
    match method, path.strip("/").split("/"):
        case "POST", ["companies"]:
            return _company(NEW_COMPANY, request)
        case "GET", ["companies", company_id]:
            return _company(company_id, {})
        case "GET", ["companies", _, "connections"]:
            return {"results": [], "pageNumber": 1, "pageSize": 100, "totalResults": 0, "_links": {}}
        case "POST", ["companies", company_id, "connections"]:
            return _connection(company_id, NEW_CONNECTION, "PendingAuth")
        case _, ["companies", company_id, "connections", connection_id]:
            return _connection(company_id, connection_id, request.get("status", "PendingAuth"))
        case _:
            raise ValueError(f"no answer to {method} {path}")


def _company(company_id: str, request: Any) -> Any:
    return {
        "id": company_id,
        "name": request.get("name", "Bank of Dave"),
        "description": request.get("description", ""),
        "redirect": f"https://link.codat.io/company/{company_id}",
        "tags": request.get("tags", {}),
        "created": _now(),
        "dataConnections": [],
    }


def _connection(company_id: str, connection_id: str, status: str) -> Any:
    return {
        "id": connection_id,
        "integrationId": "61fa1ba4-1ef9-4b6b-9bd1-2e2fb4d4ad1e",
        "integrationKey": "qhyg",
        "sourceId": "56e6575a-3f1f-4918-b009-f7535555f0d6",
        "platformName": "QuickBooks Online",
        "linkUrl": f"https://link-api.codat.io/companies/{company_id}/connections/{connection_id}/start?otp=123456",
        "status": status,
        "created": _now(),
        "sourceType": "Accounting",
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Connection(asyncio.Protocol):
    def __init__(self, doubles: Doubles) -> None:
        self._doubles = doubles
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(_HEAD_END)) >= 0:
            start_line, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body_end = end + len(_HEAD_END) + int(headers.get("content-length", 0))
            if len(self._buffer) < body_end:
                return
            body, self._buffer = self._buffer[end + len(_HEAD_END) : body_end], self._buffer[body_end:]
            method, path, _ = start_line.split(" ")
            target = headers.get("x-amz-target", "")
            self._write(self._doubles.respond(method, path, target, body), is_aws=bool(target))

    def _write(self, body: bytes, *, is_aws: bool) -> None:
        own = (
            f"Content-Type: application/x-amz-json-1.0\r\nx-amz-crc32: {crc32(body)}\r\nx-amzn-RequestId: BENCH\r\n"
            if is_aws
            else "Content-Type: application/json\r\nX-Rate-Limit-Limit: 1000\r\nX-Rate-Limit-Remaining: 900\r\n"
        )
        head = f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\nContent-Length: {len(body)}\r\n{own}\r\n"
        self._transport.write(head.encode() + body)


async def main() -> None:
    doubles = Doubles()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(doubles), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()

    def wait_for_end_of_stdin() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_end_of_stdin, daemon=True).start()
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
