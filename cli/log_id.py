"""Print how log lines name a customer, if the stack's parameter HashIdsInLogs is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.errors import OperatorError
from shared.runtime.log_ids import keyed_digest

if TYPE_CHECKING:
    from cli.deployment import Deployment


def print_log_id(deployment: Deployment, customer_id: str) -> None:
    key = deployment.secret.read().log_key
    if not key:
        raise OperatorError(
            "The secret has no logKey, so lines contain `hidden`. make rotate-webhook-secret stores one."
        )
    print(keyed_digest(key, customer_id))
