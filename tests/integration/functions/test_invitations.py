"""Invitations: what the app calls."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from codat_simulator.faults import Fault

from shared.domain.invitations import MAX_OPEN, hash_of
from shared.domain.timestamps import Timestamp, datetime_of
from tests.concurrently import concurrently
from tests.conftest import App, Clock

URL = "/customers/acme/invitations"


def invite(app: App, customer_id: str = "acme", **body: Any) -> dict[str, Any]:
    response = app.post(f"/customers/{customer_id}/invitations", body)
    assert response.status_code == 201, response.text
    invitation: dict[str, Any] = response.json()
    return invitation


def stored(app: App) -> list[dict[str, Any]]:
    """Return the items of invitations, without the count of the company."""
    return [item for item in app.items() if item["sk"].startswith("INVITATION") and "invitationId" in item]


@pytest.fixture(autouse=True)
def customer(app: App) -> dict[str, Any]:
    return app.customer("acme")


def test_an_invitation_has_a_url_with_a_token_of_256_bits(app: App) -> None:
    """GIVEN two calls THEN each makes an invitation, and only the token's hash is in the table."""
    first, second = invite(app, platformKey="qhyg"), invite(app, platformKey="qhyg")
    assert set(first) == {"invitationId", "url", "expiresAt", "platformKey", "createdAt"}
    assert first["platformKey"] == "qhyg"
    assert first["url"] != second["url"]
    base, _, token = first["url"].rpartition("/connect/")
    assert base == app.stack.url
    assert len(token) == 43
    assert token not in str(app.items())
    items = [item for item in stored(app) if item["invitationId"] == first["invitationId"]]
    assert {item["pk"].partition("#")[0] for item in items} == {"INVITATION", "COMPANY"}
    assert {item["tokenHash"] for item in items} == {hash_of(token)}
    assert f"INVITATION#{hash_of(token)}" in [item["pk"] for item in items]


@pytest.mark.parametrize(("body", "days"), [(None, 7), ({}, 7), ({"expiresInDays": 1}, 1), ({"expiresInDays": 30}, 30)])
def test_it_expires_after_the_given_days(app: App, body: dict[str, Any] | None, days: int) -> None:
    response = app.post(URL, body)
    assert response.status_code == 201
    invitation = response.json()
    created_at, expires_at = (datetime_of(Timestamp(invitation[name])) for name in ("createdAt", "expiresAt"))
    assert expires_at - created_at == timedelta(days=days)
    assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=1)
    assert invitation["platformKey"] is None
    # The page says for a while that it has expired.
    assert {item["expiresAt"] for item in stored(app)} == {int((expires_at + timedelta(days=30)).timestamp())}


@pytest.mark.parametrize(
    ("body", "problem", "field"),
    [
        ({"expiresInDays": 0}, "validation-error", "expiresInDays"),
        ({"expiresInDays": 31}, "validation-error", "expiresInDays"),
        ({"expiresInDays": 1.5}, "validation-error", "expiresInDays"),
        ({"expiresInDays": "7"}, "validation-error", "expiresInDays"),
        ({"expiresInDays": True}, "validation-error", "expiresInDays"),
        ({"expiresInDays": None}, "validation-error", "expiresInDays"),
        ({"platformKey": 1}, "validation-error", "platformKey"),
        ({"platformKey": "x" * 101}, "validation-error", "platformKey"),
        ({"platform": "qhyg"}, "validation-error", "platform"),
        ({"platformKey": "none"}, "unknown-platform", "platformKey"),
        ({"platformKey": "plad"}, "unknown-platform", "platformKey"),  # banking, which SourceTypes excludes
    ],
)
def test_a_wrong_field_is_named(app: App, body: dict[str, Any], problem: str, field: str) -> None:
    response = app.post(URL, body)
    assert (response.status_code, response.json()["type"]) == (422, problem)
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert stored(app) == []


def test_a_body_that_is_not_json_is_rejected(app: App) -> None:
    response = app.http.post(URL, content=b"{", headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["type"]) == (400, "malformed-json")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("customer_id", ["unknown", "not%20an%20id", "deleted"])
def test_customers_that_do_not_exist(app: App, method: str, customer_id: str) -> None:
    if customer_id == "deleted":
        app.customer("deleted")
        app.http.delete("/customers/deleted")
    path = f"/customers/{customer_id}/invitations" + ("/1" if method == "DELETE" else "")
    response = app.http.request(method, path)
    assert (response.status_code, response.json()["type"]) == (404, "customer-not-found")


def test_the_list_has_the_open_ones_without_their_urls(app: App, clock: Clock) -> None:
    """GIVEN an expired, a revoked and two open invitations THEN the two are listed, oldest first."""
    invite(app, expiresInDays=1)
    clock.advance(24 * 3600 + 1)
    revoked, first, second = invite(app), invite(app, platformKey="qhyg"), invite(app, expiresInDays=30)
    assert app.http.delete(f"{URL}/{revoked['invitationId']}").status_code == 204
    expected = [{name: value for name, value in each.items() if name != "url"} for each in (first, second)]
    response = app.get(URL)
    assert (response.status_code, response.json()) == (200, {"invitations": expected})


def test_revoking_can_be_repeated(app: App) -> None:
    invitation = invite(app)
    path = f"{URL}/{invitation['invitationId']}"
    assert [app.http.delete(path).status_code for _ in range(2)] == [204, 204]
    assert app.get(URL).json() == {"invitations": []}


def test_only_the_customers_own_invitations_can_be_revoked(app: App) -> None:
    """GIVEN an id of another customer, and unknown ones THEN 404, and nothing is revoked."""
    app.customer("beta")
    invitation = invite(app)
    for path in (f"/customers/beta/invitations/{invitation['invitationId']}", f"{URL}/unknown", f"{URL}/{'x' * 101}"):
        response = app.http.delete(path)
        assert (response.status_code, response.json()["type"]) == (404, "invitation-not-found"), path
    assert len(app.get(URL).json()["invitations"]) == 1


def test_a_customer_has_a_limited_number_of_open_invitations(app: App, clock: Clock) -> None:
    """GIVEN 20 open ones THEN another is rejected, until one is revoked or has expired."""
    invitations = [invite(app, expiresInDays=1) for _ in range(MAX_OPEN)]
    response = app.post(URL, {})
    assert (response.status_code, response.json()["type"]) == (409, "too-many-invitations")
    app.customer("beta")
    invite(app, "beta")

    assert app.http.delete(f"{URL}/{invitations[0]['invitationId']}").status_code == 204
    invite(app)
    assert app.post(URL, {}).status_code == 409

    clock.advance(24 * 3600 + 1)
    invite(app)


def test_concurrent_calls_do_not_exceed_the_limit(app: App) -> None:
    """GIVEN 18 open invitations and six calls at once THEN two succeed."""
    for _ in range(MAX_OPEN - 2):
        invite(app)
    calls = [partial(app.post, URL, {}) for _ in range(6)]
    statuses = sorted(response.status_code for response in concurrently(*calls))
    assert statuses == [201, 201, 409, 409, 409, 409]
    assert len(app.get(URL).json()["invitations"]) == MAX_OPEN


def test_the_app_can_invite_while_codat_is_down(app: App) -> None:
    """GIVEN no list of platforms and no Codat THEN an invitation without a platform needs neither."""
    app.codat.faults.add(Fault(kind="status", status=503))
    invite(app)
    assert app.post(URL, {"platformKey": "qhyg"}).status_code == 502
