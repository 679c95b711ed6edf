"""POST /customers."""

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import boto3
import pytest
from codat_simulator.faults import Fault

from shared import bootstrap
from shared.domain.customers import Profile, company_name
from tests.conftest import App, Clock
from tests.integration.faults.proxy import Exchange, Proxy, lost, passed_on, responds


def new(**content: Any) -> dict[str, Any]:
    return {"customerId": f"c-{uuid4()}", "name": "Bank of Dave", **content}


def test_a_customer_becomes_a_tagged_company(app: App) -> None:
    """The company at Codat carries the caller's tags and the customer's id; the answer says where it is."""
    body = new(description="A bank", tags={"region": "us"})
    answer = app.post("/customers", body)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/customers/{body['customerId']}"
    [company] = app.codat.state.companies()
    assert answer.json() == {
        **body,
        "companyId": company.id,
        "createdAt": answer.json()["createdAt"],
        "updatedAt": answer.json()["updatedAt"],
        "connections": [],
    }
    assert company.tags.pop("creationId")
    assert company.tags == {"region": "us", "uid": body["customerId"]}
    assert company.description == "A bank"


def test_the_same_call_again_is_the_same_customer(app: App) -> None:
    """A repeated call answers 200 with the same company, and Codat hears of it once."""
    body = new(description="", tags={})
    first, again = app.post("/customers", body), app.post("/customers", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert app.codat.calls.count("POST", "/companies") == 1


@pytest.mark.parametrize("other", [{"name": "Bank of Mary"}, {"description": "else"}, {"tags": {"a": "b"}}])
def test_other_content_under_the_same_id_is_a_conflict(app: App, other: dict[str, Any]) -> None:
    """The id stands for what it was created with; the problem names the field that differs."""
    body = new()
    app.post("/customers", body)
    answer = app.post("/customers", {**body, **other})
    assert (answer.status_code, answer.json()["type"]) == (409, "customer-conflict")
    assert next(iter(other)) in answer.json()["detail"]
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
def test_codat_gets_a_name_that_it_would_not_change(app: App, name: str, at_codat: str) -> None:
    """The caller's own name is stored; Codat gets what it would keep of it, or the customer's id."""
    answer = app.post("/customers", {"customerId": "c-1.a@b:_", "name": name} | {"customerId": f"c-1.a@b:_{uuid4()}"})
    assert answer.status_code == 201
    assert answer.json()["name"] == name
    [company] = app.codat.state.companies()
    assert company.name.startswith(at_codat)


def test_the_customer_id_stands_in_for_a_name_with_nothing_left() -> None:
    """The id is stripped likewise."""
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
        ([], "body"),
        ("text", "body"),
    ],
)
def test_a_body_that_is_not_right_names_its_fields(app: App, body: Any, field: str) -> None:
    """422 with an entry per field, and nothing has happened."""
    before = app.items()
    answer = app.http.post("/customers", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 422
    assert any(error["field"].split(".")[0] == field for error in answer.json()["errors"])
    assert app.codat.calls.count("POST", "/companies") == 0
    assert app.items() == before


def test_of_countless_mistakes_some_are_named(app: App) -> None:
    """An answer has a size too."""
    answer = app.post("/customers", {"x" * 1000 + str(number): 1 for number in range(5000)})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20
    assert len(answer.content) < 20_000


def test_codats_words_are_passed_on_without_what_they_quote(app: App, codat_wire: Proxy) -> None:
    """A link or the API key in them would be logged and shown."""
    words = "No: https://link.codat.io/x?otp=SECRET with Basic S0VZ is refused"
    codat_wire.next(responds(400, {"statusCode": 400, "error": words, "correlationId": "c-1"}))
    assert app.post("/customers", new()).json()["detail"] == "Codat answered 400: No: … with … is refused"


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"{'a': 1}", b"\xff\xfe", b'{"customerId": "\\ud800", "name": "x"}', b"[" * 9999]
)
def test_what_is_no_json_is_a_bad_request(app: App, raw: bytes) -> None:
    """400, whatever the content type claims."""
    for content_type in ("application/json", "application/octet-stream"):
        answer = app.http.post("/customers", content=raw, headers={"content-type": content_type})
        assert (answer.status_code, answer.json()["type"]) == (400, "malformed-json")


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ({"status": 401}, 502, "codat-rejected-credentials"),
        ({"status": 403}, 502, "codat-rejected-credentials"),
        ({"status": 402}, 502, "codat-account-limit"),
        ({"status": 400}, 502, "codat-rejected"),
    ],
)
def test_a_definite_refusal_leaves_nothing_behind(app: App, fault: dict[str, Any], status: int, kind: str) -> None:
    """The caller gets Codat's words and correlation id, and a corrected call with other content works."""
    body = new()
    app.codat.faults.add(Fault(kind="status", method="POST", path="/companies", times=1, **fault))
    answer = app.post("/customers", body)
    assert (answer.status_code, answer.json()["type"]) == (status, kind)
    assert answer.json()["correlationId"]
    assert app.items(f"CUSTOMER#{body['customerId']}") == []
    assert app.get(f"/customers/{body['customerId']}").status_code == 404
    assert app.post("/customers", {**body, "name": "Corrected"}).status_code == 201


@pytest.mark.parametrize(("kind", "when"), [("status", "after"), ("drop", "before"), ("drop", "after")])
def test_a_creation_survives_a_failure_within_the_same_call(app: App, kind: Any, when: Any) -> None:
    """A 500 after the work, or a dropped connection, ends in one company."""
    app.codat.faults.add(Fault(kind=kind, status=500, when=when, method="POST", path="/companies", times=1))
    assert app.post("/customers", new()).status_code == 201
    assert len(app.codat.state.companies()) == 1


def test_a_creations_answer_needs_only_its_id(app: App, codat_wire: Proxy) -> None:
    """GIVEN an answer whose other fields can't be parsed, and lists that don't show the company yet THEN 201."""
    app.customer()
    app.codat.state.list_lag = 60.0

    def odd(exchange: Exchange) -> None:
        answer = exchange.forward()
        if exchange.operation == "POST /companies":
            document = json.loads(answer.body) | {"name": 5, "created": 5, "tags": 5}
            answer = replace(answer, body=json.dumps(document).encode())
        exchange.answer(answer)

    codat_wire.always(odd)
    answer = app.post("/customers", new())
    assert answer.status_code == 201
    assert answer.json()["companyId"] in {company.id for company in app.codat.state.companies()}


def test_codat_down_is_reported_and_the_same_call_completes_later(app: App, clock: Clock) -> None:
    """502 while Codat answers 503. Its lists may lag behind its last answer by 5 s; after that the call completes."""
    body = new()
    fault = app.codat.faults.add(Fault(kind="status", status=503, path="/**"))
    answer = app.post("/customers", body)
    assert (answer.status_code, answer.json()["type"]) == (502, "codat-unavailable")
    assert answer.json()["correlationId"]
    assert app.get(f"/customers/{body['customerId']}").status_code == 404
    app.codat.faults.remove(fault)
    waiting = app.post("/customers", body)
    assert (waiting.status_code, waiting.json()["type"]) == (409, "creation-in-progress")
    assert int(waiting.headers["retry-after"]) <= 5
    clock.advance(5)
    assert app.post("/customers", body).status_code == 201
    assert len(app.codat.state.companies()) == 1


def test_a_creation_whose_last_write_was_made_without_our_hearing_of_it(app: App, dynamodb_wire: Proxy) -> None:
    """Made again it stands in its own way: that is the customer, and no conflict."""

    def lost_once(exchange: Exchange) -> None:
        if exchange.operation == "TransactWriteItems":
            dynamodb_wire.heal()
            lost(exchange)
        else:
            passed_on(exchange)

    dynamodb_wire.always(lost_once)
    answer = app.post("/customers", new())
    assert answer.status_code == 201
    assert app.get(f"/customers/{answer.json()['customerId']}").json() == answer.json()
    assert len(app.codat.state.companies()) == 1


def test_a_rate_limit_is_passed_on(app: App) -> None:
    """429 with Codat's own Retry-After where the caller can't be kept waiting for it."""
    app.codat.faults.add(Fault(kind="status", status=429, retry_after=77, path="/companies"))
    answer = app.post("/customers", new())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "77")
    assert answer.json()["type"] == "codat-rate-limited"


def test_a_rotated_api_key_is_read_again(app: App) -> None:
    """A 401 makes the secret be read once more; the caller notices nothing."""
    client = boto3.client("secretsmanager")
    secret_id = app.stack.template.physical_id("CodatSecret")
    before = client.get_secret_value(SecretId=secret_id)["SecretString"]
    bootstrap.secrets.cache_clear()
    app.customer()
    app.codat.api_keys = ("rotated",)
    try:
        client.put_secret_value(
            SecretId=secret_id, SecretString=before.replace(app.stack.settings.codat_api_key, "rotated")
        )
        assert app.post("/customers", new()).status_code == 201
        assert len(app.codat.state.companies()) == 2
    finally:
        client.put_secret_value(SecretId=secret_id, SecretString=before)
        bootstrap.secrets.cache_clear()
