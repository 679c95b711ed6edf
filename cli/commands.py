"""Run a command, and turn its error into one line and an exit status."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from cli.change_set import check_change_set
from cli.deployment import Deployment, aws_config
from cli.errors import OperatorError
from cli.link_origins import allow_origins
from cli.log_id import print_log_id
from cli.prompts import API_KEYS_PAGE
from cli.protection import protect
from cli.replay import replay
from cli.restore import restore
from cli.restore_table import CONCURRENCY, restore_table
from cli.rotate_api_key import enter_api_key, rotate_api_key
from cli.rotation import retire_webhook_secret, rotate_webhook_secret, trust_api_key
from cli.webhook_consumer import register_webhook_consumer
from shared.domain.errors import CodatError, CodatRejectedCredentials, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cli.arguments import Options
    from cli.prompts import Prompt


def run(options: Options, prompt: Prompt) -> int:
    """Return the exit status; an error is one line on stderr."""
    try:
        _run(options, prompt)
    except OperatorError as error:
        message = str(error)
    except CodatRejectedCredentials as error:
        message = f"{error} Compare the API key with {API_KEYS_PAGE}. To store another: make rotate-api-key MANUAL=1"
    except CodatError as error:
        advice = " Repeat the command." if error.retryable else ""
        correlation_id = f" (correlation id {error.correlation_id})" if error.correlation_id else ""
        message = f"{error}{advice}{correlation_id}"
    except (ClientError, BotoCoreError, StoreUnavailable) as error:
        message = f"AWS: {str(error).rstrip('.')}. Repeat the command after you corrected this."
    except (EOFError, KeyboardInterrupt):
        message = "Stopped. The steps printed above are complete. You can repeat the command at any time."
    else:
        return 0
    print(" ".join(message.split()), file=sys.stderr)
    return 1


def _run(options: Options, prompt: Prompt) -> None:
    deployment = Deployment(options)
    deployment.check_options()
    commands: Mapping[str, Callable[[], None]] = {
        "webhook-consumer": lambda: register_webhook_consumer(deployment, prompt),
        "rotate-webhook-secret": lambda: rotate_webhook_secret(deployment, prompt),
        "retire-webhook-secret": lambda: retire_webhook_secret(deployment, prompt),
        "rotate-api-key": lambda: (
            enter_api_key(deployment, prompt)
            if options.manual
            else rotate_api_key(deployment, options.stack, delete_old=options.delete_old)
        ),
        "link-origins": lambda: allow_origins(deployment, options.origins, replace=options.replace),
        "trust-api-key": lambda: trust_api_key(deployment, prompt),
        "log-id": lambda: print_log_id(deployment, options.customer),
        "replay": lambda: replay(deployment.table(), deployment.timeline_days),
        "restore": lambda: restore(options.stack, deployment.table_name, options.source),
        "restore-table": lambda: restore_table(
            boto3.client("dynamodb", config=aws_config(attempts=10, max_pool_connections=CONCURRENCY)),
            options.stack,
            deployment.table_name,
            to=options.to,
            time=options.time,
        ),
        "protect": lambda: protect(options.stack),
        "check-change-set": lambda: check_change_set(options.stack, options.change_set),
    }
    commands[options.command]()
