"""`make webhook-consumer` and the rotation of secrets, with the operator's own AWS credentials.

STACK names the stack; or SECRET_ARN and WEBHOOK_URL give its outputs. CODAT_BASE_URL is for another Codat.
"""

from __future__ import annotations

import os
import sys
from getpass import getpass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from cli.asking import API_KEYS
from cli.deployment import Deployment
from cli.errors import OperatorError
from cli.rotation import retire_webhook_secret, rotate_api_key, rotate_webhook_secret, trust_api_key
from cli.webhook_consumer import webhook_consumer
from shared.domain.errors import CodatError, CodatRejectedCredentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.asking import Ask

COMMANDS = {
    "webhook-consumer": webhook_consumer,
    "rotate-webhook-secret": rotate_webhook_secret,
    "retire-webhook-secret": retire_webhook_secret,
    "rotate-api-key": rotate_api_key,
    "trust-api-key": trust_api_key,
}


def main(command: str, environment: Mapping[str, str] = os.environ, ask: Ask = getpass) -> int:
    """The exit status; what went wrong is one line on stderr."""
    try:
        COMMANDS[command](Deployment.of(environment), ask)
    except OperatorError as error:
        wrong = str(error)
    except CodatRejectedCredentials as error:
        wrong = f"{error} Check the API key, {API_KEYS}; another is stored by: make rotate-api-key"
    except CodatError as error:
        wrong = str(error) + (f" (correlation id {error.correlation_id})" if error.correlation_id else "")
    except (ClientError, BotoCoreError) as error:
        wrong = f"AWS: {error}"
    except (EOFError, KeyboardInterrupt):
        wrong = "Stopped. What is said above was done, and nothing else; repeat it at any time."
    else:
        return 0
    print(" ".join(wrong.split()), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
