"""`make replay TABLE_NAME=…`: puts authentic webhooks that were kept unread through again.

Runs with the operator's own AWS credentials, on the table that TABLE_NAME names. All other settings are the template's
defaults.
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
    from shared.services.webhooks import replay  # noqa: PLC0415 - as above

    context = LambdaContext(template.functions["CodatWebhookFunction"])
    stored, remaining = replay(bootstrap.webhook_context_until(lambda: context.get_remaining_time_in_millis() / 1000))
    for webhook in stored:
        print(f"stored  {webhook.received_at}  {webhook.webhook_id}")
    for webhook in remaining:
        print(f"unread  {webhook.received_at}  {webhook.webhook_id}  {webhook.cause}")
    print(f"{len(stored)} understood and stored, {len(remaining)} left.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
