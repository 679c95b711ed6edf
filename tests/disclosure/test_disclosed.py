"""That the search through the logs finds what it is there to find."""

import pkgutil
import secrets
from dataclasses import fields, is_dataclass
from importlib import import_module

import pytest

import shared.domain
from local.codat.linkurls import LinkUrls
from local.settings import new_webhook_secret
from shared.domain.customers import Content
from shared.runtime import clock
from tests.disclosure.plugin import disclosed, personal_data_in, secrets_in

PERSONAL = {"body", "description", "kept_tags", "link_url", "name", "reason", "tags", "token"}


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
    secret = '{"apiKey": "a-secret-key", "webhookSecrets": ["whsec_c2VjcmV0"]}'
    for params, answer in [({"SecretString": secret}, {}), ({}, {"SecretString": secret})]:
        stored = dict(secrets_in(params, answer))
        assert disclosed("a-secret-key", stored) == ["the API key"]


def test_printing_a_thing_of_the_domain_shows_ids_alone() -> None:
    """GIVEN an exception or a message that quotes one THEN nothing personal and no credential gets out with it."""
    shown = set()
    for module in pkgutil.iter_modules(shared.domain.__path__):
        for thing in vars(import_module(f"shared.domain.{module.name}")).values():
            if is_dataclass(thing) and isinstance(thing, type):
                shown |= {(thing.__name__, field.name) for field in fields(thing) if field.repr}
    assert not {(thing, name) for thing, name in shown if name in PERSONAL and thing != "Platform"}
    assert ("Customer", "customer_id") in shown
    assert repr(Content("Bank of Dave", "of Burnley", {"plan": "enterprise"})) == "Content()"
