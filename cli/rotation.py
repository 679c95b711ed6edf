"""Either secret replaced while webhooks and calls go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cli import asking
from cli.codat import Codat
from cli.errors import OperatorError
from shared.codat.transport import api_key_fingerprint
from shared.domain.errors import CodatRejectedCredentials
from shared.runtime.secrets import CACHE_SECONDS
from shared.store.api_keys import ApiKeys

if TYPE_CHECKING:
    from cli.asking import Ask
    from cli.deployment import Deployment


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
    """`make rotate-api-key`: store a new key, after Codat accepted it and it proved to be this deployment's."""
    old = deployment.secret.read().api_key
    print(f"Create a new API key and copy it: {asking.API_KEYS}")
    new = asking.api_key(ask)
    if new == old:
        raise OperatorError("That API key is stored already. Nothing was changed.")
    with Codat(deployment.codat_base_url, new) as codat:
        try:
            codat.require_trusted_key(deployment.table())
        except CodatRejectedCredentials as error:
            if error.status is not None:
                raise
            raise OperatorError(
                "That API key shows none of this deployment's companies, so it seems to be another Codat client's. "
                "Nothing was changed. If it is right after all, store it with `aws secretsmanager put-secret-value`, "
                "from a file, and confirm it with `make trust-api-key`."
            ) from error
    with deployment.secret.changing() as content:
        content.api_key = new
    print("Stored the API key.")
    if old:
        print(f"Functions may use the old one until {_caches_are_over()}; then delete it: {asking.API_KEYS}")


def trust_api_key(deployment: Deployment, ask: Ask) -> None:
    """`make trust-api-key`: let functions create and delete under the stored key, although it proved nothing."""
    api_key = deployment.secret.read().api_key
    table = deployment.table()
    with Codat(deployment.codat_base_url, api_key) as codat:
        print(f"The stored API key belongs to the Codat client {codat.client_name()!r}.")
    print("Under another client's key, new companies are created there, and all of this deployment's count as deleted.")
    if ask("Type `trust` to confirm (not shown): ").strip() != "trust":
        raise OperatorError("Not confirmed. Nothing was changed.")
    ApiKeys(table).trust(api_key_fingerprint(api_key), "confirmed by the operator", datetime.now(UTC))
    print("The API key is trusted.")


def _caches_are_over() -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=CACHE_SECONDS, minutes=1):%H:%M} UTC"
