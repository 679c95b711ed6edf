"""`make webhook-consumer`: Codat tells this deployment all that it needs to hear, and nothing else."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING

from cli import asking
from cli.codat import MOST_CONSUMERS, Codat, Consumer
from cli.deployment import is_private
from cli.errors import OperatorError
from shared.domain.events import EVENT_TYPES
from shared.runtime.secrets import REFRESH_SECONDS

if TYPE_CHECKING:
    from cli.asking import Ask
    from cli.deployment import Deployment


def webhook_consumer(deployment: Deployment, ask: Ask) -> None:
    """Codat can't change a consumer, so a right one is made first, and a wrong one deleted once the webhooks of the
    right one are accepted: none is lost in between. Consumers with other URLs are let alone.
    """
    url = deployment.webhook_url or ""
    if not (is_private(url) and url.endswith("/webhooks/codat")):
        raise OperatorError("WEBHOOK_URL must be the stack's output WebhookUrl, https://…/webhooks/codat.")
    stored = deployment.secret.read()
    api_key = stored.api_key or asking.api_key(ask)
    with Codat(deployment.codat_base_url, api_key) as codat:
        consumers = codat.consumers()
        if not stored.api_key:
            with deployment.secret.changing() as content:
                content.api_key = api_key
            print("Stored the API key.")
        ours = [consumer for consumer in consumers if consumer.url == url]
        _refuse_disabled(ours)
        right = next(filter(_is_right, ours), None)
        wrong = [consumer for consumer in ours if not _is_right(consumer)]
        if right:
            print(f"Consumer {right.id} is registered already: {url}")
            if stored.webhook_secrets and not wrong:
                print("A signing secret is stored. If it is not this consumer's: make rotate-webhook-secret")
                return
        elif len(consumers) >= MOST_CONSUMERS:
            raise OperatorError(f"Codat takes {MOST_CONSUMERS} consumers, and has them. Delete one: {asking.CONSUMERS}")
        else:
            right = codat.create_consumer(url, EVENT_TYPES)
            print(f"Registered consumer {right.id}: {url}\n  {', '.join(sorted(EVENT_TYPES))}")
        print(f"Copy its signing secret: {asking.CONSUMERS}")
        signing_secret = asking.signing_secret(ask)
        with deployment.secret.changing() as content:
            content.webhook_secrets = list(dict.fromkeys([*content.webhook_secrets, signing_secret]))
        print("Stored the signing secret. Codat sends again what was refused until now.")
        if wrong:
            _delete(wrong, codat)


def _is_right(consumer: Consumer) -> bool:
    return set(consumer.event_types or ()) == EVENT_TYPES and not consumer.company_tags


def _refuse_disabled(ours: list[Consumer]) -> None:
    """To delete one would lose what it can still recover."""
    for consumer in ours:
        if consumer.disabled:
            raise OperatorError(
                f"Consumer {consumer.id} is disabled. Enable it, have it recover what failed, and repeat this: "
                f"{asking.CONSUMERS}"
            )


def _delete(wrong: list[Consumer], codat: Codat) -> None:
    print(f"Waiting {REFRESH_SECONDS} s, after which every function takes that secret …", flush=True)
    sleep(REFRESH_SECONDS)
    for consumer in wrong:
        codat.delete_consumer(consumer.id)
        print(f"Deleted consumer {consumer.id}: it had other event types, or company tags.")
    print("Remove its signing secret: make retire-webhook-secret")
