"""`make replay TABLE_NAME=…`: puts authentic webhooks that were kept unread through again.

Runs with the operator's own AWS credentials, on the table that TABLE_NAME names. What the rest of the template sets is
taken from its defaults; CODAT_TAG_KEY where the deployment's differs.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from local.gateway.lambda_context import LambdaContext
from local.template import Template

if TYPE_CHECKING:
    from collections.abc import MutableMapping

USAGE_ERROR = 2


def main(environment: MutableMapping[str, str] = os.environ) -> int:
    if not environment.get("TABLE_NAME"):
        print("Say which table: make replay TABLE_NAME=… (the stack's output TableName).", file=sys.stderr)
        return USAGE_ERROR
    template = Template.load()
    for name, value in template.environment().items():
        environment.setdefault(name, value)

    from shared import bootstrap  # noqa: PLC0415 - reads the environment that is only now complete
    from shared.domain.timeline import WEBHOOK, Actor  # noqa: PLC0415 - as above
    from shared.services.webhooks import replay  # noqa: PLC0415 - as above

    context = LambdaContext(template.functions["CodatWebhookFunction"])
    understood, left = replay(
        call=bootstrap.call_by(Actor(WEBHOOK), context),
        door=bootstrap.door(),
        customers=bootstrap.customers(),
        connections=bootstrap.connections(),
        unreadables=bootstrap.unreadables(),
    )
    for kept in understood:
        print(f"stored  {kept.received_at}  {kept.webhook_id}")
    for kept in left:
        print(f"unread  {kept.received_at}  {kept.webhook_id}  {kept.why}")
    print(f"{len(understood)} understood and stored, {len(left)} left.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
