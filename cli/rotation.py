"""Replace the signing secret while webhooks continue, and confirm an API key that can't prove itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.caches import WEBHOOK_SECONDS, expiry
from cli.errors import OperatorError
from cli.prompts import CONSUMERS_PAGE, ask_signing_secret
from shared.codat.transport import api_key_fingerprint
from shared.runtime import clock
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
        print(
            f"After {expiry(clock.now(), WEBHOOK_SECONDS):%H:%M} UTC, remove the old secret: make retire-webhook-secret"
        )


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
