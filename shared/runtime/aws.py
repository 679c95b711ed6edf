"""Clients of AWS. They come from botocore, the core of boto3, whose other parts take longer to import."""

from functools import cache
from typing import Any, Final, Literal

from botocore.config import Config
from botocore.session import get_session

SERVICES: Final = ("dynamodb", "events", "secretsmanager", "sqs")
"""`make package` leaves the other services out of the layer."""


_clients: dict[str, Any] = {}


def client(service: Literal["dynamodb", "events", "secretsmanager", "sqs"]) -> Any:
    """Return a client whose time-outs are far shorter than Codat's. For DynamoDB only Table repeats a request."""
    if service not in _clients:
        retries: Any = {"total_max_attempts": 1 if service == "dynamodb" else 2, "mode": "standard"}
        # AWS checks the parameters, too; here that would take 7 % of a webhook's time.
        config = Config(connect_timeout=1, read_timeout=2, retries=retries, parameter_validation=False)
        _clients[service] = _session().create_client(service, config=config)
    return _clients[service]


def close_clients() -> None:
    """Close all connections, and build new clients when they are needed."""
    while _clients:
        _clients.popitem()[1].close()


@cache
def _session() -> Any:
    return get_session()
