"""Register the webhook consumer: subscribe to exactly the event types that the deployment handles."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING

from cli.codat import MAX_CONSUMERS, Codat, Consumer
from cli.errors import OperatorError
from cli.prompts import CONSUMERS_PAGE, ask_api_key, ask_signing_secret
from shared.domain.events import EVENT_TYPES
from shared.runtime.secrets import REFRESH_SECONDS

if TYPE_CHECKING:
    from cli.deployment import Deployment
    from cli.prompts import Prompt


def register_webhook_consumer(deployment: Deployment, prompt: Prompt) -> None:
    """Leave one correct consumer with the deployment's URL, and store its signing secret.

    Codat can't change a consumer. So a correct consumer is created first, and the incorrect ones are deleted after the
    functions accept its webhooks: no event is lost in between. Consumers with other URLs stay.
    """
    url = deployment.webhook_url
    stored = deployment.secret.read()
    api_key = stored.api_key or ask_api_key(prompt)
    with deployment.codat(api_key) as codat:
        consumers = codat.list_consumers()
        if not stored.api_key:
            with deployment.secret.update() as content:
                content.api_key = api_key
            print("Stored the API key.")
        own = [consumer for consumer in consumers if consumer.url == url]
        _refuse_disabled(own)
        correct = next(filter(_is_correct, own), None)
        incorrect = [consumer for consumer in own if not _is_correct(consumer)]
        if correct:
            print(f"Consumer {correct.id} is registered already: {url}")
            if stored.webhook_secrets and not incorrect:
                print("A signing secret is stored. If it is not this consumer's: make rotate-webhook-secret")
                return
        elif len(consumers) >= MAX_CONSUMERS:
            raise OperatorError(f"Codat has {MAX_CONSUMERS} consumers, its limit. Delete one: {CONSUMERS_PAGE}")
        else:
            correct = codat.create_consumer(url, EVENT_TYPES)
            print(f"Registered consumer {correct.id}: {url}\n  {', '.join(sorted(EVENT_TYPES))}")
        print(f"Copy its signing secret: {CONSUMERS_PAGE}")
        signing_secret = ask_signing_secret(prompt)
        with deployment.secret.update() as content:
            content.webhook_secrets = list(dict.fromkeys([*content.webhook_secrets, signing_secret]))
        print("Stored the signing secret. Codat sends again what was refused until now.")
        if incorrect:
            _delete(incorrect, codat)


def _is_correct(consumer: Consumer) -> bool:
    return set(consumer.event_types or ()) == EVENT_TYPES and not consumer.company_tags


def _refuse_disabled(own: list[Consumer]) -> None:
    """Raise OperatorError for a disabled consumer: deleting it would lose the events that it can still recover."""
    for consumer in own:
        if consumer.disabled:
            raise OperatorError(
                f"Consumer {consumer.id} is disabled. Enable it, recover its failed messages, and repeat the command: "
                f"{CONSUMERS_PAGE}"
            )


def _delete(incorrect: list[Consumer], codat: Codat) -> None:
    print(f"Waiting {REFRESH_SECONDS} s, until every function accepts this secret …", flush=True)
    sleep(REFRESH_SECONDS)
    for consumer in incorrect:
        codat.delete_consumer(consumer.id)
        print(f"Deleted consumer {consumer.id}: it had other event types, or company tags.")
    print("Remove its signing secret: make retire-webhook-secret")
