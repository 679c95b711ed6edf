"""The rules of the API for each request."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from codat_simulator.server import CodatServer

Json = dict[str, Any]


def tagged(number: int) -> dict[str, str]:
    return {f"key{n}": "value" for n in range(number)}


def test_company_name_loses_forbidden_characters(api: httpx.Client) -> None:
    """Codat removes them without an error, as in the example of its documentation."""
    response = api.post("/companies", json={"name": "Example Company (Codat[1])"})

    assert response.status_code == 200
    assert response.json()["name"] == "Example Company Codat1"


def test_names_need_not_be_unique(api: httpx.Client) -> None:
    """A second call creates a second company."""
    first, second = (api.post("/companies", json={"name": "Twin"}).json() for _ in range(2))

    assert first["id"] != second["id"]
    assert api.get("/companies").json()["totalResults"] == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"name"',
        b"[" * 100_000,
        b"{}",
        b'{"name": null}',
        b'{"name": ""}',
        b'{"name": 7}',
        b'{"name": "[[]]"}',
        b'{"name": "Fine", "description": 7}',
        b'{"name": "Fine", "tags": []}',
        b'{"name": "Fine", "tags": {"uid": 7}}',
    ],
)
def test_invalid_company_is_rejected(api: httpx.Client, body: bytes) -> None:
    response = api.post("/companies", content=body)

    assert response.status_code == 400
    assert response.json()["validation"]["errors"]
    assert api.get("/companies").json()["totalResults"] == 0


@pytest.mark.parametrize(
    "tags", [tagged(11), {"": "x"}, {"k" * 28: "x"}, {"key": "x" * 101}], ids=["11", "no key", "28", "101"]
)
def test_tags_beyond_the_limits_are_rejected(api: httpx.Client, tags: dict[str, str]) -> None:
    assert api.post("/companies", json={"name": "Tagged", "tags": tags}).status_code == 400


def test_tags_at_the_limits_are_accepted(api: httpx.Client) -> None:
    tags = {**tagged(9), "k" * 27: "x" * 100}

    assert api.post("/companies", json={"name": "Tagged", "tags": tags}).json()["tags"] == tags


def test_patch_keeps_values_that_are_null_or_missing(api: httpx.Client, company: Json) -> None:
    response = api.patch(f"/companies/{company['id']}", json={"name": None, "description": "New"}).json()

    assert (response["name"], response["description"], response["tags"]) == (
        "Bank of Dave",
        "New",
        {"uid": "customer-1"},
    )


def test_patch_with_empty_tags_removes_them(api: httpx.Client, company: Json) -> None:
    assert "tags" not in api.patch(f"/companies/{company['id']}", json={"tags": {}}).json()
    assert api.get("/companies", params={"tags": "uid=customer-1"}).json()["totalResults"] == 0


def test_put_replaces_everything(api: httpx.Client, company: Json) -> None:
    response = api.put(f"/companies/{company['id']}", json={"name": "Renamed"}).json()

    assert (response["name"], response["description"], "tags" in response) == ("Renamed", "", False)


def test_deleted_company_has_no_connections(api: httpx.Client, connection: Json, company: Json) -> None:
    path = f"/companies/{company['id']}"

    assert api.delete(path).status_code == 204

    for deleted in (path, f"{path}/connections", f"{path}/connections/{connection['id']}", f"{path}/accessToken"):
        assert api.get(deleted).status_code == 404
    assert api.delete(path).status_code == 404


def test_companies_are_listed_in_pages_with_links(api: httpx.Client) -> None:
    for number in range(5):
        api.post("/companies", json={"name": f"Company {number}"})

    page = api.get("/companies", params={"page": 2, "pageSize": 2}).json()

    assert [row["name"] for row in page["results"]] == ["Company 2", "Company 3"]
    assert (page["pageNumber"], page["pageSize"], page["totalResults"]) == (2, 2, 5)
    assert page["_links"] == {
        "self": {"href": "/companies"},
        "current": {"href": "/companies?page=2&pageSize=2"},
        "next": {"href": "/companies?page=3&pageSize=2"},
        "previous": {"href": "/companies?page=1&pageSize=2"},
    }
    assert "next" not in api.get("/companies?page=3&pageSize=2").json()["_links"]


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "pageSize=0", "pageSize=5001"])
def test_page_out_of_range_is_rejected(api: httpx.Client, query: str) -> None:
    assert api.get(f"/companies?{query}").status_code == 400


def test_listed_companies_contain_their_connections(api: httpx.Client, connection: Json) -> None:
    (listed,) = api.get("/companies", params={"tags": "uid=customer-1"}).json()["results"]

    assert [row["id"] for row in listed["dataConnections"]] == [connection["id"]]


def test_malformed_tag_query_is_rejected(api: httpx.Client) -> None:
    response = api.get("/companies", params={"tags": "uid=a||"})

    assert response.status_code == 400
    assert response.json()["error"] == "Error parsing query - Malformed query."


def test_new_connection_is_pending(connection: Json, company: Json) -> None:
    assert connection["status"] == "PendingAuth"
    assert (connection["integrationKey"], connection["platformName"]) == ("qhyg", "QuickBooks Online")
    assert f"/companies/{company['id']}/connections/{connection['id']}/start?" in connection["linkUrl"]


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"platformKey": 7}, 400), ({"platformKey": "none"}, 404), ({"platformKey": "vjms"}, 404)],
)
def test_unknown_or_disabled_platform_is_rejected(api: httpx.Client, company: Json, body: Json, status: int) -> None:
    assert api.post(f"/companies/{company['id']}/connections", json=body).status_code == status


def test_a_platform_is_enabled_and_disabled_in_the_portal(api: httpx.Client, codat: CodatServer, company: Json) -> None:
    path, body = f"/companies/{company['id']}/connections", {"platformKey": "qhyg"}
    codat.state.enable_platform("qhyg", enabled=False)
    assert not api.get("/integrations/qhyg").json()["enabled"]
    assert api.post(path, json=body).status_code == 404
    assert "QuickBooks Online<" not in httpx.get(company["redirect"]).text
    codat.state.enable_platform("qhyg")
    assert api.post(path, json=body).status_code == 200


def test_only_a_linked_connection_can_be_unlinked(
    api: httpx.Client, codat: CodatServer, company: Json, connection: Json
) -> None:
    path = f"/companies/{company['id']}/connections/{connection['id']}"
    assert api.patch(path, json={"status": "Unlinked"}).status_code == 400

    codat.state.link(company["id"], connection["id"])

    assert api.patch(path, json={"status": "Linked"}).status_code == 400
    assert api.patch(path, json={"status": "Unlinked"}).json()["status"] == "Unlinked"
    assert api.patch(path, json={"status": "Unlinked"}).status_code == 400


def test_deleted_connection_is_not_found(api: httpx.Client, company: Json, connection: Json) -> None:
    path = f"/companies/{company['id']}/connections/{connection['id']}"

    assert api.delete(path).status_code == 200

    assert api.get(path).status_code == 404
    assert api.delete(path).status_code == 404
    assert api.patch(path, json={"status": "Unlinked"}).status_code == 404


def test_connection_of_another_company_is_not_found(api: httpx.Client, connection: Json) -> None:
    other = api.post("/companies", json={"name": "Other"}).json()

    assert api.get(f"/companies/{other['id']}/connections/{connection['id']}").status_code == 404


def test_integrations_are_filtered(api: httpx.Client) -> None:
    """Without the filter, the list contains a bank and a disabled platform."""
    accounting = api.get("/integrations", params={"query": "sourceType=Accounting&&enabled=true"}).json()["results"]

    keys = {integration["key"] for integration in accounting}
    assert keys == {"pdvj", "akxx", "qhyg", "pqsw", "knfz", "fbrh", "gbol", "rwuv", "mqjo", "ndsk"}
    listed = api.get("/integrations").json()["results"]
    assert {integration["sourceType"] for integration in listed} == {"Accounting", "Banking", "BankFeed", "Commerce"}
    assert {integration["key"] for integration in listed if integration["isOfflineConnector"]} == {"pqsw", "hbql"}
    pages = [api.get("/integrations", params={"page": page, "pageSize": 10}).json() for page in (1, 2)]
    assert [integration for page in pages for integration in page["results"]] == listed
    assert {page["totalResults"] for page in pages} == {len(listed)}
    assert api.get("/integrations", params={"query": "colour=red"}).status_code == 400


@pytest.mark.parametrize("header", [None, "", "Basic", "Basic d3Jvbmc=", "Bearer x", "Basic \u00e9"])
def test_wrong_api_key_is_unauthorized(codat: CodatServer, header: str | None) -> None:
    headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
    response = httpx.get(f"{codat.base_url}/companies", headers=headers, trust_env=False)

    assert response.status_code == 401
    assert response.json()["error"] == "Unauthorized"


def test_errors_have_the_form_of_codats_and_a_new_correlation_id(api: httpx.Client) -> None:
    company_id = uuid4()
    first, second = (api.get(f"/companies/{company_id}").json() for _ in range(2))

    assert first.pop("correlationId") != second["correlationId"]
    assert first == {
        "statusCode": 404,
        "service": "ClientsApi",
        "error": f"No company was found with ID {company_id}",
        "canBeRetried": "Unknown",
        "detailedErrorCode": 0,
    }
    assert api.get("/nowhere").json()["statusCode"] == 404
    assert api.put("/companies").json()["statusCode"] == 405


def test_company_limit(api: httpx.Client, codat: CodatServer) -> None:
    codat.state.company_limit = 1
    api.post("/companies", json={"name": "First"})

    response = api.post("/companies", json={"name": "Second"})

    assert response.status_code == 402
    assert "1-company limit" in response.json()["error"]


def test_quota_has_headers_and_is_enforced(api: httpx.Client, codat: CodatServer) -> None:
    codat.quota.limit = 2

    remaining = [api.get("/companies").headers["X-Rate-Limit-Remaining"] for _ in range(2)]
    exceeded = api.get("/companies")

    assert remaining == ["1", "0"]
    assert exceeded.status_code == 429
    assert int(exceeded.headers["Retry-After"]) > 0
    assert exceeded.headers["X-Rate-Limit-Limit"] == "2"


def test_default_quota_of_codat_grows_with_active_companies(
    api: httpx.Client, codat: CodatServer, company: Json, connection: Json
) -> None:
    codat.quota.limit = None
    assert api.get("/companies").headers["X-Rate-Limit-Limit"] == "1000"

    codat.state.link(company["id"], connection["id"])

    assert api.get("/companies").headers["X-Rate-Limit-Limit"] == "2000"


def test_webhook_consumers(api: httpx.Client) -> None:
    body = {"url": "https://example.com/hook", "eventTypes": ["connection.connected"], "companyTags": ["uid:1"]}

    created = api.post("/webhooks", json=body)

    assert created.status_code == 201
    assert created.json() == {**body, "id": created.json()["id"], "disabled": False}
    assert api.get("/webhooks").json() == {"results": [created.json()]}
    assert api.delete(f"/webhooks/{created.json()['id']}").status_code == 204
    assert api.delete(f"/webhooks/{created.json()['id']}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"url": "ftp://x"}, {"url": "https://x", "eventTypes": "all"}, {"url": "https://x", "companyTags": ["a"]}],
)
def test_invalid_webhook_consumer_is_rejected(api: httpx.Client, body: Json) -> None:
    assert api.post("/webhooks", json=body).status_code == 400


def test_there_are_at_most_50_webhook_consumers(api: httpx.Client) -> None:
    responses = [api.post("/webhooks", json={"url": "https://example.com"}).status_code for _ in range(51)]

    assert responses == [201] * 50 + [400]


def test_calls_are_counted(api: httpx.Client, codat: CodatServer, company: Json, connection: Json) -> None:
    api.get(f"/companies/{company['id']}/connections/{connection['id']}")

    assert codat.calls.count("POST", "/companies") == 1
    assert codat.calls.count("GET", "/companies/*") == 0
    assert codat.calls.count("*", "/companies/**") == 2
    assert [call.status for call in codat.calls.list()] == [200, 200, 200]
