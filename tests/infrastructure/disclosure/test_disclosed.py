"""The search through the logs, and the attributes that `repr` leaves out."""

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
from shared.domain.invitations import new_token
from shared.runtime import clock
from tests.infrastructure.disclosure.plugin import disclosed, personal_data_in, secrets_in

PRIVATE = {
    *("access_token", "api_key", "body", "description", "detail", "discarded", "error", "error_message"),
    *("existing_tags", "item", "json", "link_url", "name", "payload", "error", "reported_error", "status_text"),
    *("tags", "token", "url", "values", "webhook_secrets"),
}
PUBLIC = {("Platform", "name"), ("Problem", "detail")}


@pytest.mark.parametrize(
    "text",
    [
        LinkUrls(clock.now).of_connection("company", "connection"),
        LinkUrls(clock.now).mint("/company"),
        f"/connect/{new_token()}",
        new_webhook_secret(),
        "Authorization: Basic a2V5",
        secrets.token_urlsafe(96),
    ],
    ids=["link", "link's token", "invitation's token", "signing secret", "API key", "access token"],
)
def test_secrets_are_recognized_by_their_format(text: str) -> None:
    assert disclosed(f'{{"message": "{text}"}}', {})


def test_stored_secrets_and_personal_data_are_recognized() -> None:
    item = {"sk": {"S": "CUSTOMER"}, "name": {"S": "Bank of Dave"}, "tags": {"M": {"plan": {"S": "enterprise"}}}}
    private = dict(personal_data_in("PutItem", {"Item": item}))
    assert disclosed("Bank of Dave", private) == ["the name of CUSTOMER"]
    assert disclosed("an enterprise", private) == ["the tags of CUSTOMER"]
    assert disclosed('{"customer_id": "bank-of-dave", "status": 201}', private) == []
    connection = {"sk": {"S": "CONNECTION#1"}, "reportedError": {"S": "Dave cancelled"}}
    private = dict(personal_data_in("TransactWriteItems", {"TransactItems": [{"Put": {"Item": connection}}]}))
    assert disclosed("failed: Dave cancelled", private) == ["the reportedError of CONNECTION#1"]
    for attribute in ("confirmedProfile", "before", "discarded"):
        profile = {"M": {"name": {"S": "Old Bank of Dave"}, "taggedCustomerId": {"S": "bank-of-dave"}}}
        private = dict(personal_data_in("PutItem", {"Item": {"sk": {"S": "CUSTOMER"}, attribute: profile}}))
        assert disclosed("Old Bank of Dave", private) == ["the name of CUSTOMER"]
        assert disclosed('{"customer_id": "bank-of-dave"}', private) == []
    secret = '{"apiKey": "a-secret-key", "webhookSecrets": ["whsec_c2VjcmV0"]}'
    for params, answer in [({"SecretString": secret}, {}), ({}, {"SecretString": secret})]:
        private = dict(secrets_in(params, answer))
        assert disclosed("a-secret-key", private) == ["the API key"]


def test_repr_shows_no_private_field() -> None:
    """Exceptions and messages may contain the `repr` of an object."""
    shown = {
        (cls.__name__, field)
        for module in pkgutil.walk_packages(shared.__path__, "shared.")
        for cls in vars(import_module(module.name)).values()
        if isinstance(cls, type) and cls.__module__ == module.name
        for field in _shown_fields(cls)
    }
    assert {(name, field) for name, field in shown if field in PRIVATE} <= PUBLIC
    assert ("Customer", "customer_id") in shown
    assert repr(Profile("Bank of Dave", "of Burnley", {"plan": "enterprise"})) == "Profile()"


def _shown_fields(cls: type) -> Iterator[str]:
    if is_dataclass(cls):
        yield from (field.name for field in fields(cls) if field.repr)
    elif issubclass(cls, BaseModel):
        instance = cls.model_construct(**dict.fromkeys(cls.model_fields))
        yield from (name for name, _ in instance.__repr_args__() if name)
