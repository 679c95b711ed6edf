"""Either secret replaced while webhooks and calls go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from operations import asking
from operations.codat import Codat
from operations.errors import OperatorError
from shared.domain.errors import CodatRejectedCredentials
from shared.runtime.secrets import CACHE_SECONDS

if TYPE_CHECKING:
    from operations.asking import Ask
    from operations.deployment import Deployment


def rotate_webhook_secret(deployment: Deployment, ask: Ask) -> None:
    """`make rotate-webhook-secret`: the new one beside the old, since Codat signs with both for a while."""
    deployment.secret.read()
    print(f"Rotate the signing secret and copy the new one: {asking.CONSUMERS}")
    new = asking.signing_secret(ask)
    with deployment.secret.changing() as content:
        if new in content.webhook_secrets:
            raise OperatorError("That signing secret is stored already. Nothing was changed.")
        content.webhook_secrets = [*content.webhook_secrets, new]
        count = len(content.webhook_secrets)
    print(f"Stored; {count} signing secrets are accepted.")
    if count > 1:
        print(f"After {_caches_are_over()} remove the old: make retire-webhook-secret")


def retire_webhook_secret(deployment: Deployment, ask: Ask) -> None:
    """`make retire-webhook-secret`: only what Codat signs with stays. To be asked for it proves that it is stored."""
    deployment.secret.read()
    print(f"Copy the signing secret that Codat uses now: {asking.CONSUMERS}")
    current = asking.signing_secret(ask)
    with deployment.secret.changing() as content:
        if current not in content.webhook_secrets:
            raise OperatorError("That signing secret is not stored: make rotate-webhook-secret. Nothing was changed.")
        others = len(content.webhook_secrets) - 1
        content.webhook_secrets = [current]
    print(f"Removed {others}; 1 signing secret is accepted.")


def rotate_api_key(deployment: Deployment, ask: Ask) -> None:
    """`make rotate-api-key`: the new key is stored once Codat took it, for the account of the old one."""
    old = deployment.secret.read().api_key
    print(f"Create a new API key and copy it: {asking.API_KEYS}")
    new = asking.api_key(ask)
    if new == old:
        raise OperatorError("That API key is stored already. Nothing was changed.")
    with Codat(deployment.codat_base_url, new) as codat:
        codat.any_company()
        if (known := _company_of(deployment, old)) and not codat.has_company(known):
            raise OperatorError("That API key is another Codat account's: it lacks our companies. Nothing was changed.")
    with deployment.secret.changing() as content:
        content.api_key = new
    print("Stored the API key.")
    if old:
        print(f"Functions may use the old one until {_caches_are_over()}; then delete it: {asking.API_KEYS}")


def _company_of(deployment: Deployment, api_key: str) -> str | None:
    """None where the key sees none, or is no longer good: then there is nothing to compare with."""
    try:
        with Codat(deployment.codat_base_url, api_key) as codat:
            return codat.any_company()
    except CodatRejectedCredentials:
        return None


def _caches_are_over() -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=CACHE_SECONDS, minutes=1):%H:%M} UTC"
