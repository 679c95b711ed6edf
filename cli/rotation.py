"""Replace the signing secret or the API key while webhooks and calls continue."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cli.errors import OperatorError
from cli.prompts import API_KEYS_PAGE, CONSUMERS_PAGE, ask_api_key, ask_signing_secret
from shared.codat.transport import api_key_fingerprint
from shared.domain.errors import CodatRejectedCredentials
from shared.runtime import clock
from shared.runtime.secrets import CACHE_SECONDS
from shared.store.api_keys import ApiKeys

if TYPE_CHECKING:
    from cli.deployment import Deployment
    from cli.prompts import Prompt


def rotate_webhook_secret(deployment: Deployment, prompt: Prompt) -> None:
    """Store a new signing secret beside the old one, because Codat signs with both for a while."""
    deployment.secret.read()
    print(f"Rotate the signing secret and copy the new one: {CONSUMERS_PAGE}")
    new = ask_signing_secret(prompt)
    with deployment.secret.update() as content:
        if new in content.webhook_secrets:
            raise OperatorError("That signing secret is stored already. Nothing was changed.")
        content.webhook_secrets = [*content.webhook_secrets, new]
        count = len(content.webhook_secrets)
    print(f"Stored the signing secret. Accepted signing secrets: {count}.")
    if count > 1:
        print(f"After {_cache_expiry()}, remove the old secret: make retire-webhook-secret")


def retire_webhook_secret(deployment: Deployment, prompt: Prompt) -> None:
    """Keep the secret that the operator enters and remove the others.

    The operator enters the secret again to prove that it is stored before the others are removed.
    """
    deployment.secret.read()
    print(f"Copy the signing secret that Codat uses now: {CONSUMERS_PAGE}")
    current = ask_signing_secret(prompt)
    with deployment.secret.update() as content:
        if current not in content.webhook_secrets:
            raise OperatorError(
                "That signing secret is not stored. Nothing was changed. To store it: make rotate-webhook-secret"
            )
        removed = len(content.webhook_secrets) - 1
        content.webhook_secrets = [current]
    print(f"Removed signing secrets: {removed}. Accepted signing secrets: 1.")


def rotate_api_key(deployment: Deployment, prompt: Prompt) -> None:
    """Store a new API key, after Codat accepted it and it proved to be this deployment's."""
    old = deployment.secret.read().api_key
    print(f"Create a new API key and copy it: {API_KEYS_PAGE}")
    new = ask_api_key(prompt)
    if new == old:
        raise OperatorError("That API key is stored already. Nothing was changed.")
    with deployment.codat(new) as codat:
        try:
            codat.require_trusted_key(deployment.table())
        except CodatRejectedCredentials as error:
            if error.status is not None:
                raise
            raise OperatorError(
                "That API key shows none of this deployment's companies, so it seems to be another Codat client's. "
                "Nothing was changed. If you are sure that it is right, store it with "
                "`aws secretsmanager put-secret-value`, from a file, and confirm it with `make trust-api-key`."
            ) from error
    with deployment.secret.update() as content:
        content.api_key = new
    print("Stored the API key.")
    if old:
        print(f"Functions can use the old key until {_cache_expiry()}. Then delete it: {API_KEYS_PAGE}")


def trust_api_key(deployment: Deployment, prompt: Prompt) -> None:
    """Trust the stored API key, which can't prove itself, so that functions create and delete with it."""
    api_key = deployment.secret.read().api_key
    table = deployment.table()
    with deployment.codat(api_key) as codat:
        print(f"The stored API key belongs to the Codat client {codat.client_name()!r}.")
    print("If that is another client, new companies are created there, and all your companies count as deleted.")
    if prompt("Type `trust` to confirm (not shown): ").strip() != "trust":
        raise OperatorError("You did not confirm the API key. Nothing was changed.")
    ApiKeys(table).trust(api_key_fingerprint(api_key), "confirmed by the operator", clock.now())
    print("The API key is trusted.")


def _cache_expiry() -> str:
    """Return the time at which no function caches the earlier secret, with a minute to spare."""
    return f"{clock.now() + timedelta(seconds=CACHE_SECONDS, minutes=1):%H:%M} UTC"
