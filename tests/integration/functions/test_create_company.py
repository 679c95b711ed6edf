"""POST /customers."""

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import boto3
import pytest
from codat_simulator.faults import Fault

from shared import retrying
from shared.domain.customers import Profile, company_name
from shared.runtime import secrets
from tests.conftest import App, Clock
from tests.integration.faults.proxy import Exchange, Proxy, before_the_answer, lost, passed_on, responds


def new_customer(**profile: Any) -> dict[str, Any]:
    return {"customerId": f"c-{uuid4()}", "name": "Bank of Dave", **profile}


def test_a_customer_becomes_a_tagged_company(app: App) -> None:
    """THEN 201 with the customer's path, and a company with the caller's tags and the customer's id."""
    body = new_customer(description="A bank", tags={"region": "us"})
    response = app.post("/customers", body)
    assert response.status_code == 201
    assert response.headers["location"] == f"/customers/{body['customerId']}"
    [company] = app.codat.state.companies()
    assert response.json() == {
        **body,
        "companyId": company.id,
        "createdAt": response.json()["createdAt"],
        "updatedAt": response.json()["updatedAt"],
        "connections": [],
    }
    assert company.tags.pop("creationId")
    assert company.tags == {"region": "us", "uid": body["customerId"]}
    assert company.description == "A bank"


def test_a_repeated_call_returns_the_same_customer(app: App) -> None:
    """THEN the repeated call is 200 with the same company, without a second request to Codat."""
    body = new_customer(description="", tags={})
    first, again = app.post("/customers", body), app.post("/customers", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert app.codat.calls.count("POST", "/companies") == 1


@pytest.mark.parametrize("other", [{"name": "Bank of Mary"}, {"description": "Another"}, {"tags": {"a": "b"}}])
def test_another_profile_for_the_same_id_is_a_conflict(app: App, other: dict[str, Any]) -> None:
    """THEN 409 with the name of the field that differs."""
    body = new_customer()
    app.post("/customers", body)
    response = app.post("/customers", {**body, **other})
    assert (response.status_code, response.json()["type"]) == (409, "customer-conflict")
    assert next(iter(other)) in response.json()["detail"]
    assert len(app.codat.state.companies()) == 1


@pytest.mark.parametrize(
    ("name", "at_codat"),
    [
        ("Toft [stores] Ł", "Toft stores"),
        ("O'Neill & Sons, Ltd. (UK)!", "O'Neill & Sons, Ltd. UK!"),
        ("株式会社", "c-1.a@b"),
        ("می‌خواهم", "c-1.a@b"),
        ("株式会社\u3000日本", "c-1.a@b"),
        ("Société\u00a0X", "Socit"),
    ],
)
def test_codat_gets_a_name_that_it_accepts_unchanged(app: App, name: str, at_codat: str) -> None:
    """THEN the caller's name is stored; Codat gets its allowed characters, or the customer's id if there are none."""
    response = app.post("/customers", {"customerId": "c-1.a@b:_", "name": name} | {"customerId": f"c-1.a@b:_{uuid4()}"})
    assert response.status_code == 201
    assert response.json()["name"] == name
    [company] = app.codat.state.companies()
    assert company.name.startswith(at_codat)


def test_the_customer_id_replaces_a_name_without_allowed_characters() -> None:
    """THEN the id's own disallowed characters are removed too."""
    assert company_name(Profile("株式会社"), "c_1:a@b") == "c1a@b"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x"}, "customerId"),
        ({"customerId": "", "name": "x"}, "customerId"),
        ({"customerId": "-a", "name": "x"}, "customerId"),
        ({"customerId": "a b", "name": "x"}, "customerId"),
        ({"customerId": "a=b", "name": "x"}, "customerId"),
        ({"customerId": "a|b", "name": "x"}, "customerId"),
        ({"customerId": "a\n", "name": "x"}, "customerId"),
        ({"customerId": "ä", "name": "x"}, "customerId"),
        ({"customerId": "a" * 101, "name": "x"}, "customerId"),
        ({"customerId": 7, "name": "x"}, "customerId"),
        ({"customerId": "a"}, "name"),
        ({"customerId": "a", "name": ""}, "name"),
        ({"customerId": "a", "name": "x" * 201}, "name"),
        ({"customerId": "a", "name": "a\tb"}, "name"),
        ({"customerId": "a", "name": "a\u2028b"}, "name"),
        ({"customerId": "a", "name": "a\u202eb"}, "name"),
        ({"customerId": "a", "name": None}, "name"),
        ({"customerId": "a", "name": "x", "description": 1}, "description"),
        ({"customerId": "a", "name": "x", "tags": {"uid": "y"}}, "tags"),
        ({"customerId": "a", "name": "x", "tags": {"creationId": "y"}}, "tags"),
        ({"customerId": "a", "name": "x", "tags": {str(n): "y" for n in range(9)}}, "tags"),
        ({"customerId": "a", "name": "x", "tags": {"k" * 28: "y"}}, "tags"),
        ({"customerId": "a", "name": "x", "tags": {"": "y"}}, "tags"),
        ({"customerId": "a", "name": "x", "tags": {"k": "v" * 101}}, "tags"),
        ({"customerId": "a", "name": "x", "tags": ["k"]}, "tags"),
        ({"customerId": "a", "name": "x", "nmae": "y"}, "nmae"),
    ],
)
def test_an_invalid_body_is_rejected_with_its_fields(app: App, body: Any, field: str) -> None:
    """THEN 422 with an entry for each field, and nothing is created."""
    before = app.items()
    response = app.http.post("/customers", json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 422
    assert any(error["field"].split(".")[0] == field for error in response.json()["errors"])
    assert app.codat.calls.count("POST", "/companies") == 0
    assert app.items() == before


def test_a_validation_problem_lists_a_limited_number_of_errors(app: App) -> None:
    """GIVEN thousands of invalid fields THEN the response lists 20 of them."""
    response = app.post("/customers", {"x" * 1000 + str(number): 1 for number in range(5000)})
    assert response.status_code == 422
    assert len(response.json()["errors"]) == 20
    assert len(response.content) < 20_000


def test_codats_error_text_is_returned_without_secrets(app: App, codat_wire: Proxy) -> None:
    """GIVEN an error text with a link URL and the API key THEN they are removed."""
    text = "No: https://link.codat.io/x?otp=SECRET with Basic S0VZ is refused"
    codat_wire.next(responds(400, {"statusCode": 400, "error": text, "correlationId": "c-1"}))
    assert app.post("/customers", new_customer()).json()["detail"] == "Codat answered 400: No: … with … is refused"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"{'a': 1}", b"\xff\xfe", b'{"customerId": "\\ud800", "name": "x"}', b"[" * 9999,
        b"[]", b'"text"', b"7", b"null",
    ],
)  # fmt: skip
def test_a_body_that_is_not_a_json_object_is_a_bad_request(app: App, raw: bytes) -> None:
    """THEN 400, for every content type."""
    for content_type in ("application/json", "application/octet-stream"):
        response = app.http.post("/customers", content=raw, headers={"content-type": content_type})
        assert (response.status_code, response.json()["type"]) == (400, "malformed-json")


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ({"status": 401}, 502, "codat-rejected-credentials"),
        ({"status": 403}, 502, "codat-rejected-credentials"),
        ({"status": 402}, 502, "codat-account-limit"),
        ({"status": 400}, 502, "codat-rejected"),
    ],
)
def test_after_a_rejection_nothing_is_stored(app: App, fault: dict[str, Any], status: int, kind: str) -> None:
    """THEN the response has Codat's correlation id, and a corrected call succeeds."""
    body = new_customer()
    app.codat.faults.add(Fault(kind="status", method="POST", path="/companies", times=1, **fault))
    response = app.post("/customers", body)
    assert (response.status_code, response.json()["type"]) == (status, kind)
    assert response.json()["correlationId"]
    assert app.items(f"CUSTOMER#{body['customerId']}") == []
    assert app.get(f"/customers/{body['customerId']}").status_code == 404
    assert app.post("/customers", {**body, "name": "Corrected"}).status_code == 201


@pytest.mark.parametrize(("kind", "when"), [("status", "after"), ("drop", "before"), ("drop", "after")])
def test_a_creation_survives_a_failure_within_the_same_call(app: App, kind: Any, when: Any) -> None:
    """GIVEN a 500 after the work, or a dropped request THEN a single company is created."""
    app.codat.faults.add(Fault(kind=kind, status=500, when=when, method="POST", path="/companies", times=1))
    assert app.post("/customers", new_customer()).status_code == 201
    assert len(app.codat.state.companies()) == 1


def test_only_the_id_of_a_created_company_is_required(app: App, codat_wire: Proxy) -> None:
    """GIVEN a response whose other fields are malformed, and lists that don't show the company yet THEN 201."""
    app.customer()
    app.codat.state.list_lag = 60.0

    def malformed(exchange: Exchange) -> None:
        response = exchange.forward()
        if exchange.operation == "POST /companies":
            document = json.loads(response.body) | {"name": 5, "created": 5, "tags": 5}
            response = replace(response, body=json.dumps(document).encode())
        exchange.answer(response)

    codat_wire.always(malformed)
    response = app.post("/customers", new_customer())
    assert response.status_code == 201
    assert response.json()["companyId"] in {company.id for company in app.codat.state.companies()}


def test_after_an_outage_of_codat_the_same_call_completes(
    app: App, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN an outage THEN 502; after it the call completes once Codat's lists can't lag any more, which takes 5 s."""
    # The random waits between the retries can take 5 s together.
    monkeypatch.setattr(retrying, "_full_jitter", lambda _state: 0.1)
    body = new_customer()
    fault = app.codat.faults.add(Fault(kind="status", status=503, path="/**"))
    response = app.post("/customers", body)
    assert (response.status_code, response.json()["type"]) == (502, "codat-unavailable")
    assert response.json()["correlationId"]
    assert app.get(f"/customers/{body['customerId']}").status_code == 404
    app.codat.faults.remove(fault)
    waiting = app.post("/customers", body)
    assert (waiting.status_code, waiting.json()["type"]) == (409, "creation-in-progress")
    assert int(waiting.headers["retry-after"]) <= 5
    clock.advance(5)
    assert app.post("/customers", body).status_code == 201
    assert len(app.codat.state.companies()) == 1


def test_a_creation_whose_last_write_lost_its_response_succeeds(app: App, dynamodb_wire: Proxy) -> None:
    """GIVEN a write that succeeded without a response WHEN it is retried THEN its condition fails, and the call is 201
    all the same.
    """

    def lost_once(exchange: Exchange) -> None:
        if exchange.operation == "TransactWriteItems":
            dynamodb_wire.heal()
            lost(exchange)
        else:
            passed_on(exchange)

    dynamodb_wire.always(lost_once)
    response = app.post("/customers", new_customer())
    assert response.status_code == 201
    assert app.get(f"/customers/{response.json()['customerId']}").json() == response.json()
    assert len(app.codat.state.companies()) == 1


def test_a_change_during_a_repeated_call_wins(app: App, codat_wire: Proxy) -> None:
    """GIVEN a repeated call that sends a pending profile WHEN the app changes it meanwhile THEN both are sent."""
    customer = app.customer()
    path, body = f"/customers/{customer['customerId']}", {"customerId": customer["customerId"], "name": "Bank of Mary"}
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="PATCH"))
    assert app.http.patch(path, json={"name": "Bank of Mary"}).status_code == 502
    app.codat.faults.remove(fault)

    def change() -> None:
        assert app.http.patch(path, json={"description": "A bank"}).status_code == 200

    codat_wire.next(before_the_answer("PATCH", change))
    response = app.post("/customers", body)
    assert (response.status_code, response.json()["description"]) == (200, "A bank")
    [company] = app.codat.state.companies()
    assert (company.name, company.description) == ("Bank of Mary", "A bank")
    assert "confirmedProfile" not in app.items(f"CUSTOMER#{customer['customerId']}")[0]


def test_a_rate_limit_is_passed_on(app: App) -> None:
    """THEN 429 with Codat's Retry-After, if that is too long to wait."""
    app.codat.faults.add(Fault(kind="status", status=429, retry_after=77, path="/companies"))
    response = app.post("/customers", new_customer())
    assert (response.status_code, response.headers["retry-after"]) == (429, "77")
    assert response.json()["type"] == "codat-rate-limited"


@pytest.mark.parametrize("is_read", [True, False])
def test_a_rotated_api_key_is_read_again(app: App, *, is_read: bool) -> None:
    """GIVEN a 401 from Codat to a read or a creation THEN the secret is read again, and the call succeeds."""
    client = boto3.client("secretsmanager")
    secret_id = app.stack.template.physical_id("CodatSecret")
    before = client.get_secret_value(SecretId=secret_id)["SecretString"]
    secrets.secrets.cache_clear()
    link = f"/customers/{app.customer()['customerId']}/link"
    app.codat.api_keys = ("rotated",)
    try:
        client.put_secret_value(
            SecretId=secret_id, SecretString=before.replace(app.stack.settings.codat_api_key, "rotated")
        )
        response = app.post(link) if is_read else app.post("/customers", new_customer())
        assert response.status_code == (200 if is_read else 201), response.text
        assert len(app.codat.state.companies()) == (1 if is_read else 2)
    finally:
        client.put_secret_value(SecretId=secret_id, SecretString=before)
        secrets.secrets.cache_clear()
