"""Invitations under concurrent calls, over a table that handles concurrent writers."""

from collections import Counter
from functools import partial

from shared.domain.invitations import MAX_OPEN
from tests.concurrently import concurrently
from tests.conftest import App


def test_concurrent_calls_reach_the_limit_and_no_more(app: App) -> None:
    """GIVEN 24 calls at once THEN 20 succeed."""
    app.customer("acme")
    calls = [partial(app.post, "/customers/acme/invitations", {}) for _ in range(MAX_OPEN + 4)]
    statuses = Counter(response.status_code for response in concurrently(*calls))
    assert statuses == {201: MAX_OPEN, 409: 4}
    assert len(app.get("/customers/acme/invitations").json()["invitations"]) == MAX_OPEN


def test_a_customer_deleted_meanwhile_leaves_no_invitation(app: App) -> None:
    """GIVEN invitations and a deletion at once, several times THEN no invitation outlives the customer."""
    for _ in range(5):
        app.customer("acme")
        invite = partial(app.post, "/customers/acme/invitations", {})
        *_, deleted = concurrently(*[invite] * 6, partial(app.http.delete, "/customers/acme"))
        assert deleted.status_code == 204
        assert app.items("INVITATION#") == []
        assert not [item for item in app.items() if item["sk"].startswith("INVITATION")]


def test_a_button_pressed_many_times_creates_one_connection(app: App) -> None:
    app.customer("acme")
    url = app.post("/customers/acme/invitations", {"platformKey": "qhyg"}).json()["url"]
    responses = concurrently(*[partial(app.http.post, url)] * 8)
    assert {response.status_code for response in responses} == {303}
    [company] = app.codat.state.companies()
    assert len(company.connections) == 1
