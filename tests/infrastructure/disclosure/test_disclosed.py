"""That the search through the logs finds what it is there to find."""

import pkgutil
import secrets
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module

import pytest
from codat_simulator.link_urls import LinkUrls
from pydantic import BaseModel

import shared
from local.settings import new_webhook_secret
from shared.domain.customers import Profile
from shared.runtime import clock
from tests.infrastructure.disclosure.plugin import disclosed, personal_data_in, secrets_in

PRIVATE = {
    *("access_token", "api_key", "body", "description", "detail", "discarded", "error", "error_message"),
    *("existing_tags", "item", "json", "link_url", "name", "payload", "error", "reported_error", "status_text"),
    *("tags", "token", "url", "values", "webhook_secrets"),
}
FOR_EVERYBODY = {("Platform", "name"), ("Problem", "detail")}


@pytest.mark.parametrize(
    "text",
    [
        LinkUrls(clock.now).of_connection("company", "connection"),
        LinkUrls(clock.now).mint("/company"),
        new_webhook_secret(),
        "Authorization: Basic a2V5",
        secrets.token_urlsafe(96),
    ],
    ids=["link", "link's token", "signing secret", "API key", "access token"],
)
def test_secrets_are_known_by_their_form(text: str) -> None:
    assert disclosed(f'{{"message": "{text}"}}', {})


def test_what_was_stored_is_known() -> None:
    item = {"sk": {"S": "CUSTOMER"}, "name": {"S": "Bank of Dave"}, "tags": {"M": {"plan": {"S": "enterprise"}}}}
    known = dict(personal_data_in("PutItem", {"Item": item}))
    assert disclosed("Bank of Dave", known) == ["the name of CUSTOMER"]
    assert disclosed("an enterprise", known) == ["the tags of CUSTOMER"]
    assert disclosed('{"customer_id": "bank-of-dave", "status": 201}', known) == []
    connection = {"sk": {"S": "CONNECTION#1"}, "reportedError": {"S": "Dave cancelled"}}
    known = dict(personal_data_in("TransactWriteItems", {"TransactItems": [{"Put": {"Item": connection}}]}))
    assert disclosed("failed: Dave cancelled", known) == ["the reportedError of CONNECTION#1"]
    for attribute in ("confirmedProfile", "before", "discarded"):
        profile = {"M": {"name": {"S": "Old Bank of Dave"}, "taggedCustomerId": {"S": "bank-of-dave"}}}
        known = dict(personal_data_in("PutItem", {"Item": {"sk": {"S": "CUSTOMER"}, attribute: profile}}))
        assert disclosed("Old Bank of Dave", known) == ["the name of CUSTOMER"]
        assert disclosed('{"customer_id": "bank-of-dave"}', known) == []
    secret = '{"apiKey": "a-secret-key", "webhookSecrets": ["whsec_c2VjcmV0"]}'
    for params, answer in [({"SecretString": secret}, {}), ({}, {"SecretString": secret})]:
        stored = dict(secrets_in(params, answer))
        assert disclosed("a-secret-key", stored) == ["the API key"]


def test_printing_a_thing_shows_nothing_private() -> None:
    """GIVEN an exception or a message that quotes one THEN no personal data and no credential gets out with it."""
    shown = {
        (thing.__name__, field)
        for module in pkgutil.walk_packages(shared.__path__, "shared.")
        for thing in vars(import_module(module.name)).values()
        if isinstance(thing, type) and thing.__module__ == module.name
        for field in _shown(thing)
    }
    assert {(thing, field) for thing, field in shown if field in PRIVATE} <= FOR_EVERYBODY
    assert ("Customer", "customer_id") in shown
    assert repr(Profile("Bank of Dave", "of Burnley", {"plan": "enterprise"})) == "Profile()"


def _shown(thing: type) -> Iterator[str]:
    if is_dataclass(thing):
        yield from (field.name for field in fields(thing) if field.repr)
    elif issubclass(thing, BaseModel):
        some = thing.model_construct(**dict.fromkeys(thing.model_fields))
        yield from (name for name, _ in some.__repr_args__() if name)
