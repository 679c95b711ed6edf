"""Check the double of Codat against the contract, with Codat's official client as the oracle."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from random import Random
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.properties.adversary.codat_double import (
    DATA_TYPES,
    PLATFORMS,
    Choices,
    Client,
    Codat,
    Failure,
    HttpRequest,
    HttpResponse,
    parse_query,
)

# The official client exports its names lazily, which mypy cannot follow.
codat_platform: Any = import_module("codat_platform")
errors: Any = import_module("codat_platform.models.errors")
operations: Any = import_module("codat_platform.models.operations")
shared: Any = import_module("codat_platform.models.shared")

START = datetime(2026, 11, 2, 9, 30, 15, 123456, tzinfo=UTC)
KEY = "0B8C2B0E-5C6B-4B0A-9D2C-0D5A5D1C7A11"
OTHER_KEY = "5d4f8a9e-1f55-4d4e-8f0e-2f2b3a7f9c22"

VARIANTS = {
    "default": Choices(),
    "sparse": Choices(
        correlation_id=False,
        omit_error_details=True,
        omit_integration_key=True,
        omit_last_sync=True,
        omit_event_tags=True,
        omit_empty=True,
        no_description="omitted",
        hide_resolved_errors=True,
        time_digits=0,
        time_zone="",
    ),
    "nulls": Choices(nulls=True, no_description="null", no_errors="null", time_digits=3, time_zone="-05:00"),
    "rich": Choices(extra_fields=True, one_time_links=True, no_errors="empty", escape_unicode=True, time_zone="+00:00"),
}


class Setup:
    """Provide a double with one client and API key, under a clock that the test moves."""

    def __init__(self, seed: int = 1) -> None:
        self.time = START
        self.codat = Codat(now=lambda: self.time, random=Random(seed))  # noqa: S311 - not for secrets
        self.client: Client = self.codat.client("acme")
        self.api_key = self.client.create_api_key()

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> HttpRequest:
        """Return a request. `key` is its idempotency key, `api_key` another API key; the rest is the query."""
        headers = {"authorization": "Basic " + base64.b64encode(options.pop("api_key", self.api_key).encode()).decode()}
        if key := options.pop("key", None):
            headers["idempotency-key"] = key
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return HttpRequest(method, path, {name: str(value) for name, value in options.items()}, headers, content)

    def send(
        self, method: str, path: str, body: Any = None, *, choices: Choices | None = None, **options: Any
    ) -> HttpResponse:
        return self.codat.perform(self.codat.arrive(self.request(method, path, body, **options), choices))

    def get(self, path: str, choices: Choices | None = None, **query: Any) -> Any:
        response = self.send("GET", path, choices=choices, **query)
        assert response.status == 200
        return json.loads(response.body)

    def names(self, choices: Choices | None = None, **query: Any) -> list[str]:
        return [company["name"] for company in self.get("/companies", choices, **query)["results"]]

    def event_types(self) -> list[str]:
        return [event.body["eventType"] for event in self.codat.outbox]

    def company(self, name: str = "Bank of Dave", **tags: str) -> str:
        return self.client.create_company_by_hand(name, tags)

    def connection(self, company_id: str, platform_key: str = "gbol") -> str:
        return self.client.create_connection_on_hosted_page(company_id, platform_key)

    def status(self, company_id: str, connection_id: str) -> str:
        return self.client.companies[company_id].connections[connection_id].status

    def sdk(self, choices: Choices | None = None, api_key: str | None = None) -> Any:
        def answer(request: httpx.Request) -> httpx.Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            query = dict(request.url.params)
            arrival = self.codat.arrive(
                HttpRequest(request.method, request.url.path, query, headers, request.content), choices
            )
            response = self.codat.perform(arrival)
            return httpx.Response(response.status, headers=response.headers, content=response.body)

        encoded = base64.b64encode((api_key or self.api_key).encode()).decode()
        return codat_platform.CodatPlatform(
            security=shared.Security(auth_header=f"Basic {encoded}"),
            client=httpx.Client(transport=httpx.MockTransport(answer)),
        )


@pytest.fixture
def setup() -> Setup:
    return Setup()


def sdk_error(call: Callable[[], object]) -> Any:
    with pytest.raises(errors.ErrorMessage) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("choices", VARIANTS.values(), ids=VARIANTS)
def test_the_official_client_reads_companies_and_connections(setup: Setup, choices: Choices) -> None:
    sdk = setup.sdk(choices)
    body = shared.CompanyRequestBody(name="Dave (Codat[1])", tags={"uid": "c-1"})
    company = sdk.companies.create(request=body)
    assert (company.name, company.tags) == ("Dave Codat1", {"uid": "c-1"})
    ids = {"company_id": company.id}
    new = operations.CreateConnectionRequest(**ids, request_body={"platformKey": "gbol"})
    connection = sdk.connections.create(request=new)
    assert (connection.status, connection.platform_name) == ("PendingAuth", "Xero")
    assert setup.client.cancel(company.id, connection.id, choices)
    assert setup.client.authorise(company.id, connection.id, choices)
    assert setup.client.finish_initial_read(company.id, connection.id, choices=choices)

    ids |= {"connection_id": connection.id}
    read = sdk.connections.get(request=operations.GetConnectionRequest(**ids))
    assert (read.status, read.integration_key) == ("Linked", None if choices.omit_integration_key else "gbol")
    assert (read.last_sync is None) == choices.omit_last_sync
    assert not sdk.integrations.list(request={"query": "sourceType=Banking&&enabled=false"}).results
    accounting = sdk.integrations.list(request={"query": "sourceType=Accounting&&enabled=true"}).results or []
    assert {"qhyg", "gbol", "knfz", "pqsw", "akxx", "pdvj"} == {integration.key for integration in accounting}

    listed = sdk.companies.list(request=operations.ListCompaniesRequest(tags="uid=c-1"))
    assert listed.total_results == 1
    [item] = listed.results or []
    assert [each.id for each in item.data_connections or []] == [connection.id]
    connections = sdk.connections.list(request=operations.ListConnectionsRequest(company_id=company.id))
    assert [each.id for each in connections.results or []] == [connection.id]
    unlink = shared.UpdateConnectionStatus(status=shared.DataConnectionStatus.UNLINKED)
    unlinked = sdk.connections.unlink(
        request=operations.UnlinkConnectionRequest(**ids, update_connection_status=unlink)
    )
    assert unlinked.status == "Unlinked"
    token = sdk.companies.get_access_token(request=operations.GetCompanyAccessTokenRequest(company_id=company.id))
    assert (token.expires_in, token.token_type) == (86400, "Bearer")

    update = shared.CompanyUpdateRequest(description="A bank")
    updated = sdk.companies.update(
        request=operations.UpdateCompanyRequest(company_id=company.id, company_update_request=update)
    )
    assert (updated.description, updated.tags) == ("A bank", {"uid": "c-1"})
    put = operations.ReplaceCompanyRequest(company_id=company.id, company_request_body={"name": "Mary"})
    replaced = sdk.companies.replace(request=put)
    assert (replaced.name, replaced.description or "", replaced.tags or {}) == ("Mary", "", {})
    sdk.connections.delete(request=operations.DeleteConnectionRequest(**ids))
    sdk.companies.delete(request=operations.DeleteCompanyRequest(company_id=company.id))
    get = operations.GetCompanyRequest(company_id=company.id)
    error = sdk_error(lambda: sdk.companies.get(request=get))
    assert (error.status_code, error.data.status_code) == (404, 404)
    assert (error.data.correlation_id is None) != choices.correlation_id
    assert not sdk.companies.list().results


@pytest.mark.parametrize("choices", VARIANTS.values(), ids=VARIANTS)
def test_the_official_client_reads_api_keys(setup: Setup, choices: Choices) -> None:
    sdk = setup.sdk(choices)
    created = [sdk.settings.create_api_key(request=shared.CreateAPIKey(name=f"key {number}")) for number in range(9)]
    [first, *others] = sdk.settings.list_api_keys().results or []
    assert (first.api_key, [key.api_key for key in others]) == (setup.api_key, [key.api_key for key in created])
    assert sdk_error(lambda: sdk.settings.create_api_key(request=shared.CreateAPIKey())).status_code == 409
    # The official client expects an error document with the 204, because the contract has a misplaced reference there.
    assert setup.send("DELETE", f"/apiKeys/{created[0].id}").status == 204
    assert sdk_error(setup.sdk(choices, created[0].api_key).settings.list_api_keys).status_code == 401
    assert sdk.settings.get_profile().name == "acme"


@pytest.mark.parametrize("choices", VARIANTS.values(), ids=VARIANTS)
def test_the_official_models_read_events(setup: Setup, choices: Choices) -> None:
    company_id = setup.client.create_company_by_hand("Dave", {"uid": "c-1"}, choices)
    connection_id = setup.client.create_connection_on_hosted_page(company_id, "gbol", choices)
    ids = (company_id, connection_id)
    acts = (setup.client.cancel, setup.client.authorise, setup.client.unlink, setup.client.authorise)
    assert all(act(*ids, choices) for act in (*acts, setup.client.revoke))
    assert setup.client.finish_initial_read(*ids, ["bills"], choices)
    assert setup.client.delete_connection(*ids, choices)
    assert setup.client.delete_company(company_id, choices)
    read, statuses = [], []
    for event in setup.codat.outbox:
        assert event.client == "acme"
        event_type = event.body["eventType"]
        if event_type.startswith("company"):
            assert shared.CompanyWebhook(**event.body).payload.id == company_id
        elif event_type == "read.completed.initial":
            read = [
                (each.data_type, each.status) for each in shared.ReadCompletedWebhook(**event.body).payload.data_types
            ]
        else:
            payload = shared.ConnectionWebhook(**event.body).payload
            assert (payload.reference_company.id, payload.connection.id) == ids
            assert (payload.reference_company.tags or {}) == ({} if choices.omit_event_tags else {"uid": "c-1"})
            statuses.append((event_type.removeprefix("connection."), payload.connection.status))
    assert [data_type for data_type, status in read if status != "Complete"] == ["bills"]
    assert statuses == [
        ("created", "PendingAuth"),
        ("failed", "PendingAuth"),
        ("connected", "Linked"),
        ("disconnected", "Unlinked"),
        ("reconnected", "Linked"),
        ("disconnected", "Deauthorized"),
        ("deleted", "Deauthorized"),
    ]


def test_an_unknown_api_key_is_unauthorized(setup: Setup) -> None:
    other = setup.codat.client("other").create_api_key()
    company_id = setup.company()
    path = f"/companies/{company_id}"
    assert setup.send("GET", path, api_key="unknown").status == 401
    assert setup.send("GET", path, api_key=other).status == 404
    assert setup.send("GET", path, api_key=other, choices=Choices(prefer_forbidden=True)).status == 403
    assert setup.client.delete_api_key(setup.api_key)
    assert setup.send("GET", path).status == 401
    assert setup.send("GET", path, choices=Choices(prefer_forbidden=True)).status == 403
    assert setup.codat.perform(setup.codat.arrive(HttpRequest("GET", path))).status == 401


def test_the_same_idempotency_key_replays_the_answer(setup: Setup) -> None:
    first = setup.send("POST", "/companies", {"name": "Dave"}, key=KEY)
    setup.time += timedelta(minutes=89)
    arrival = setup.codat.arrive(setup.request("POST", "/companies", {"name": "Dave"}, key=KEY.lower()))
    assert arrival.response == first == setup.codat.perform(arrival)
    fresh = setup.send("POST", "/companies", {"name": "Dave"}, key=KEY, choices=Choices(fresh_replay_headers=True))
    assert fresh.body == first.body
    assert (first.headers["date"], fresh.headers["date"]) == (
        "Mon, 02 Nov 2026 09:30:15 GMT",
        "Mon, 02 Nov 2026 10:59:15 GMT",
    )
    assert setup.send("POST", "/companies", {"name": "Mary"}, key=KEY).status == 422
    assert len(setup.client.companies) == 1
    setup.time += timedelta(minutes=1)
    assert setup.send("POST", "/companies", {"name": "Dave"}, key=KEY).body != first.body
    assert len(setup.client.companies) == 2


def test_an_idempotency_key_in_progress_is_a_conflict(setup: Setup) -> None:
    request = setup.request("POST", "/companies", {"name": "Dave"}, key=KEY)
    arrival = setup.codat.arrive(request)
    assert arrival.response is None
    assert setup.client.companies == {}
    setup.time += timedelta(days=1)
    conflict = setup.codat.perform(setup.codat.arrive(request))
    assert conflict.status == 409
    assert setup.codat.perform(arrival).status == 200
    assert setup.codat.arrive(request).response == arrival.response
    assert setup.codat.perform(arrival) == arrival.response
    assert len(setup.client.companies) == 1


def test_an_idempotency_key_belongs_to_one_client_and_to_post_and_patch(setup: Setup) -> None:
    other = setup.codat.client("other").create_api_key()
    second = setup.client.create_api_key()
    body = {"name": "Dave"}
    first = setup.send("POST", "/companies", body, key=KEY)
    assert setup.send("POST", "/companies", body, key=KEY, api_key=second) == first
    assert setup.send("POST", "/companies", body, key=KEY, api_key=other).body != first.body
    assert setup.send("GET", "/companies", key="no GUID").status == 200
    assert setup.send("POST", "/companies", body, key="no GUID").status == 400
    path = f"/companies/{json.loads(first.body)['id']}"
    assert setup.send("PATCH", path, body, key=KEY).status == 422


def test_a_failure_is_cached_unless_it_is_429(setup: Setup) -> None:
    request = setup.request("POST", "/companies", {"name": "Dave"}, key=KEY)
    limited = setup.codat.perform(setup.codat.arrive(request), Failure(429, work_is_done=False, retry_after=3))
    assert (limited.status, limited.headers["retry-after"], len(setup.client.companies)) == (429, "3", 0)
    failed = setup.codat.perform(setup.codat.arrive(request), Failure(503, work_is_done=True))
    assert (failed.status, len(setup.client.companies)) == (503, 1)
    assert setup.codat.arrive(request).response == failed
    again = replace(request, headers=request.headers | {"idempotency-key": OTHER_KEY})
    assert setup.codat.perform(setup.codat.arrive(again), Failure(500, work_is_done=False)).status == 500
    assert setup.codat.arrive(again).response is not None
    assert setup.event_types() == ["company.created"]
    documents = [json.loads(response.body) for response in (limited, failed)]
    assert [document["statusCode"] for document in documents] == [429, 503]
    assert documents[0]["correlationId"] != documents[1]["correlationId"]
    choices = Choices(documented_status_codes=True)
    answer = setup.codat.perform(
        setup.codat.arrive(setup.request("GET", "/companies"), choices), Failure(503, work_is_done=False)
    )
    assert (answer.status, json.loads(answer.body)["statusCode"]) == (503, 500)


def test_lists_lag_and_reads_by_id_are_current(setup: Setup) -> None:
    deleted, kept = setup.company("Dave"), setup.company("Mary")
    setup.time += timedelta(seconds=20)
    lag = Choices(lag=timedelta(seconds=30))
    assert setup.names(lag) == []
    setup.time += timedelta(seconds=20)
    setup.client.delete_company(deleted)
    setup.client.set_tags(kept, {"uid": "c-1"})
    connection_id = setup.connection(kept)
    assert setup.names(lag) == ["Dave", "Mary"]
    assert setup.names(lag, tags="uid=c-1") == []
    assert setup.get(f"/companies/{kept}/connections", lag)["results"] == []
    assert setup.get(f"/companies/{kept}", lag)["tags"] == {"uid": "c-1"}
    assert setup.get(f"/companies/{kept}/connections/{connection_id}", lag)["id"] == connection_id
    assert setup.send("GET", f"/companies/{deleted}", choices=lag).status == 404
    assert setup.names(tags="uid=c-1") == ["Mary"]
    setup.time += timedelta(minutes=20)
    setup.client.set_tags(kept, {})
    assert setup.names(lag, tags="uid=c-1") == ["Mary"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("uid=1", "A"),
        (" uid = 1 ", "A"),
        ("uid!=1", "BCD"),
        ("region~u", "ABC"),
        ("region=uk && team=red", "A"),
        ("region=us||team=red", "AC"),
        ("uid=3||uid=1&&team=blue", "C"),
        ("{uid=3||uid=1}&&team=red", "A"),
        ("{ { uid=1 } || { uid=2 } } && region=uk", "AB"),
        ("note=a&b|c=d", "D"),
    ],
)
def test_tags_are_queried(setup: Setup, query: str, expected: str) -> None:
    setup.company("A", uid="1", region="uk", team="red")
    setup.company("B", uid="2", region="uk", team="blue")
    setup.company("C", uid="3", region="us", team="blue")
    setup.company("D", note="a&b|c=d")
    assert "".join(setup.names(tags=query)) == expected


@pytest.mark.parametrize(
    "query",
    ["uid", "uid=", "=1", "uid=1&&", "||uid=1", "{uid=1", "uid=1}", "{}", "{uid=1}{uid=2}", "u{id=1}", "{" * 9999],
)
def test_a_malformed_query_is_a_bad_request(setup: Setup, query: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_query(query)
    response = setup.send("GET", "/companies", tags=query)
    assert (response.status, json.loads(response.body)["service"]) == (400, "ClientsApi")


def test_the_query_language_may_ignore_case(setup: Setup) -> None:
    setup.company("A", uid="Abc")
    assert setup.names(tags="uid=aBC") == []
    assert setup.names(Choices(ignore_case=True), tags="uid=aBC") == ["A"]


def test_lists_are_paged_ordered_and_queried(setup: Setup) -> None:
    for name in "BACED":
        setup.company(name, uid="x")
    page = setup.get("/companies", page=2, pageSize=2, tags="uid=x")
    assert [company["name"] for company in page["results"]] == ["C", "E"]
    assert (page["pageNumber"], page["pageSize"], page["totalResults"]) == (2, 2, 5)
    assert {name: link["href"] for name, link in page["_links"].items()} == {
        "self": "/companies",
        "current": "/companies?page=2&pageSize=2&tags=uid%3Dx",
        "previous": "/companies?page=1&pageSize=2&tags=uid%3Dx",
        "next": "/companies?page=3&pageSize=2&tags=uid%3Dx",
    }
    assert set(setup.get("/companies")["_links"]) == {"self", "current"}
    assert setup.names(page=9) == []
    assert "".join(setup.names(orderBy="-name", pageSize=3)) == "EDC"
    assert "".join(setup.names(Choices(newest_first=True))) == "DECAB"
    assert setup.names(query="name=A||name~E", orderBy="name") == ["A", "E"]
    cut = setup.get("/companies", Choices(max_page_size=3), pageSize=5000)
    assert (len(cut["results"]), cut["pageSize"], "next" in cut["_links"]) == (3, 3, True)
    for query in ({"page": 0}, {"page": "x"}, {"pageSize": 5001}, {"orderBy": "colour"}, {"query": "colour=red"}):
        assert setup.send("GET", "/companies", **query).status == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "Société (X) Ltd.\u3000!"}, 200),
        ({"name": "x", "description": None, "tags": None}, 200),
        ({"name": "x", "tags": {"k" * 27: "v" * 100} | {str(number): "" for number in range(9)}}, 200),
        ({"name": "x", "tags": {str(number): "" for number in range(11)}}, 400),
        ({"name": "x", "tags": {"": "v"}}, 400),
        ({"name": "x", "tags": {"k" * 28: "v"}}, 400),
        ({"name": "x", "tags": {"k": "v" * 101}}, 400),
        ({"name": "x", "tags": {"k": 1}}, 400),
        ({"name": "x", "tags": {"k": None}}, 400),
        ({"name": "x", "tags": ["k"]}, 400),
        ({"name": "x", "description": 1}, 400),
        ({"name": "()"}, 400),
        ({"name": ""}, 400),
        ({"name": 1}, 400),
        ({"name": None}, 400),
        ({}, 400),
        ([], 400),
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b'{"name": NaN}', 400),
        (b'{"name": "x", "description": "\\ud800"}', 400),
        (b"[" * 99999, 400),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_company_bodies_are_checked(setup: Setup, method: str, body: Any, status: int) -> None:
    path = "/companies" if method == "POST" else f"/companies/{setup.company('old', a='b')}"
    response = setup.send(method, path, body)
    document = json.loads(response.body)
    assert response.status == status, document
    if status == 200:
        assert document["name"] in ("Socit X Ltd.\u3000!", "x")
    else:
        assert document["statusCode"] == 400


def test_patch_keeps_what_is_null_or_missing(setup: Setup) -> None:
    path = f"/companies/{setup.company('Dave', a='1', b='2')}"
    setup.send("PATCH", path, {"description": "A bank", "name": None, "tags": None})
    company = json.loads(setup.send("PATCH", path, {}).body)
    assert (company["name"], company["description"], company["tags"]) == ("Dave", "A bank", {"a": "1", "b": "2"})
    assert json.loads(setup.send("PATCH", path, {"tags": {"c": "3"}}).body)["tags"] == {"c": "3"}
    kept = setup.send("PATCH", path, {"tags": {}}, choices=Choices(ignore_empty_tags=True))
    assert json.loads(kept.body)["tags"] == {"c": "3"}
    assert json.loads(setup.send("PATCH", path, {"tags": {}}).body)["tags"] == {}
    assert setup.send("PATCH", path, {"name": ""}).status == 400
    assert setup.event_types() == ["company.created"]


def test_deleting_a_company_deletes_its_connections(setup: Setup) -> None:
    company_id = setup.company()
    connection_id = setup.connection(company_id)
    del setup.codat.outbox[:]
    response = setup.send("DELETE", f"/companies/{company_id}", choices=Choices(announce_deleted_connections=True))
    assert (response.status, response.body) == (204, b"")
    assert setup.event_types() == ["connection.deleted", "company.deleted"]
    for path in ("", "/connections", f"/connections/{connection_id}", "/accessToken"):
        assert setup.send("GET", f"/companies/{company_id}{path}").status == 404
    assert setup.send("DELETE", f"/companies/{company_id}").status == 404
    assert not setup.client.authorise(company_id, connection_id)


def test_only_one_accounting_connection_is_linked(setup: Setup) -> None:
    company_id = setup.company()
    xero, sage = setup.connection(company_id, "gbol"), setup.connection(company_id, "knfz")
    banks = [setup.connection(company_id, "dfxm"), setup.connection(company_id, "bnkp")]
    assert setup.client.authorise(company_id, xero)
    assert not setup.client.authorise(company_id, sage)
    assert all(setup.client.authorise(company_id, bank) for bank in banks)
    assert setup.client.revoke(company_id, xero)
    assert setup.client.authorise(company_id, sage)
    assert not setup.client.authorise(company_id, xero)
    [error] = setup.client.companies[company_id].connections[xero].errors
    assert (error.status_code, error.resolved) == ("401", None)


def test_only_a_linked_connection_is_unlinked(setup: Setup) -> None:
    company_id = setup.company()
    connection_id = setup.connection(company_id)
    path = f"/companies/{company_id}/connections/{connection_id}"
    assert setup.send("PATCH", path, {"status": "Unlinked"}).status == 400
    assert setup.client.authorise(company_id, connection_id)
    assert not setup.client.cancel(company_id, connection_id)
    assert setup.send("PATCH", path, {"status": "Linked"}).status == 400
    assert setup.send("PATCH", path, {"status": "Unlinked"}).status == 200
    assert setup.status(company_id, connection_id) == "Unlinked"
    response = setup.send("DELETE", path)
    assert (response.status, response.body) == (200, b"")
    assert setup.send("DELETE", path).status == 404


@pytest.mark.parametrize("body", [{"platformKey": "zzzz"}, {"platformKey": ["gbol"]}, {"platformKey": "pbtz"}, {}])
def test_an_unknown_or_disabled_platform_is_a_bad_request(setup: Setup, body: dict[str, Any]) -> None:
    assert setup.send("POST", f"/companies/{setup.company()}/connections", body).status == 400


def test_a_read_sets_the_last_synchronisation_unless_all_of_it_failed(setup: Setup) -> None:
    company_id = setup.company()
    connection_id = setup.connection(company_id)
    ids = (company_id, connection_id)
    assert not setup.client.finish_initial_read(*ids)
    assert not setup.client.sync(*ids)
    assert setup.client.authorise(*ids)
    assert setup.client.finish_initial_read(*ids, DATA_TYPES["Accounting"])
    assert setup.client.companies[company_id].connections[connection_id].last_sync is None
    assert "Complete" not in {each["status"] for each in setup.codat.outbox[-1].body["payload"]["dataTypes"]}
    assert setup.client.finish_initial_read(*ids, DATA_TYPES["Accounting"][:-1])
    setup.time += timedelta(hours=1)
    assert setup.client.sync(*ids)
    assert setup.client.companies[company_id].connections[connection_id].last_sync == setup.time
    assert setup.get(f"/companies/{company_id}", Choices(time_digits=0))["lastSync"] == "2026-11-02T10:30:15Z"
    assert setup.event_types()[-2:] == ["read.completed.initial"] * 2


def test_one_time_links_differ_with_every_read(setup: Setup) -> None:
    company_id = setup.company()
    path = f"/companies/{company_id}/connections/{setup.connection(company_id)}"
    choices = Choices(one_time_links=True)
    assert setup.get(path, choices)["linkUrl"] != setup.get(path, choices)["linkUrl"]
    assert setup.get(path)["linkUrl"] == f"https://link-api.codat.io{path}/start"


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        (Choices(time_digits=3), "2026-11-02T09:30:15.123Z"),
        (Choices(time_digits=0, time_zone=""), "2026-11-02T09:30:15"),
        (Choices(time_digits=0, time_zone="-05:00"), "2026-11-02T04:30:15-05:00"),
    ],
)
def test_times_are_written_as_chosen(setup: Setup, choices: Choices, expected: str) -> None:
    assert setup.get(f"/companies/{setup.company()}", choices)["created"] == expected
    assert setup.get(f"/companies/{setup.company()}")["created"].startswith("2026-11-02T09:30:15.123456")


def test_an_unknown_route_is_not_found(setup: Setup) -> None:
    for method, path in (("GET", "/"), ("GET", "/nothing"), ("PUT", "/companies"), ("GET", "/companies/x/y/z/w")):
        response = setup.send(method, path)
        assert response.status == 404
        assert json.loads(response.body).keys() >= {"statusCode", "service", "error", "correlationId", "canBeRetried"}
        assert {"date", "x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"} <= response.headers.keys()


def test_the_same_seed_replays_the_same_bytes() -> None:
    def run(seed: int) -> list[object]:
        setup = Setup(seed)
        created = setup.send("POST", "/companies", {"name": "Dave"}, choices=Choices(one_time_links=True))
        company_id = json.loads(created.body)["id"]
        assert UUID(company_id).version == 4
        for platform_key in PLATFORMS:
            assert setup.client.authorise(company_id, setup.connection(company_id, platform_key)) in (True, False)
        return [setup.api_key, created, setup.send("GET", "/companies"), setup.send("GET", "/x"), setup.codat.outbox]

    assert run(7) == run(7)
    assert run(7) != run(8)
