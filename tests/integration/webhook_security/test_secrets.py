"""Where the signing secrets come from, and what becomes of webhooks while they change or can't be had."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from standardwebhooks import Webhook

from local.settings import new_webhook_secret
from shared import bootstrap
from shared.runtime import secrets
from tests.conftest import App
from tests.integration.faults.proxy import Behaviour, Proxy, dropped, responds, silent
from tests.integration.webhook_security.posting import COMPANY_ID, post_webhook
from tests.payloads import signed, webhook_about

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

BODY = json.dumps(
    webhook_about("connection.connected", company_id=COMPANY_ID, connection_id=str(uuid4()), tags={"uid": "c-1"})
).encode()


@pytest.fixture
def direct(app: App) -> "SecretsManagerClient":  # noqa: ARG001  # the stack sets the endpoint
    """The operator's own way to Secrets Manager."""
    return boto3.client("secretsmanager")


@pytest.fixture
def secrets_manager(direct: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What lies between the function, which has cached nothing yet, and Secrets Manager."""
    with Proxy(direct.meta.endpoint_url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", proxy.url)
        bootstrap.secrets.cache_clear()
        yield proxy
    bootstrap.secrets.cache_clear()


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass for whatever limits how often the secret is read."""
    ahead = 0.0

    def later(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(secrets, "monotonic", lambda: monotonic() + ahead)
    return later


@pytest.fixture
def rotate(app: App, direct: "SecretsManagerClient") -> Iterator[Callable[..., None]]:
    """Puts other signing secrets into Secrets Manager, and the old ones back at the end."""
    secret_id = app.stack.template.physical_id("CodatSecret")
    before = direct.get_secret_value(SecretId=secret_id)["SecretString"]

    def put(*webhook_secrets: str) -> None:
        content = {**json.loads(before), "webhookSecrets": webhook_secrets}
        direct.put_secret_value(SecretId=secret_id, SecretString=json.dumps(content))

    yield put
    direct.put_secret_value(SecretId=secret_id, SecretString=before)


@pytest.mark.parametrize(
    "behaviour",
    [
        dropped,
        silent,
        responds(500, {"__type": "InternalServiceError"}),
        responds(400, {"__type": "ThrottlingException", "message": "slow down"}),
        responds(400, {"__type": "AccessDeniedException", "message": "no"}),
        responds(400, {"__type": "ResourceNotFoundException", "message": "no"}),
        responds(200, {"Name": "n", "SecretString": "not json"}),
        responds(200, {"Name": "n", "SecretString": "[]"}),
    ],
)
def test_a_secret_store_out_of_reach_is_our_failure(
    app: App, secrets_manager: Proxy, pass_time: Callable[[float], None], behaviour: Behaviour
) -> None:
    """5xx, so that Codat sends it again; never 401, never 204. Once it is back, the same message is taken."""
    headers = signed(BODY, app.stack.settings.webhook_secrets[0])
    before = app.items()
    secrets_manager.always(behaviour)
    status, problem = post_webhook(BODY, headers)
    assert (status, problem["type"]) == (503, "secrets-unavailable")
    assert app.items() == before
    secrets_manager.heal()
    pass_time(secrets.RETRY_SECONDS)
    assert post_webhook(BODY, headers)[0] == 204
    assert app.items() != before


@pytest.mark.parametrize(
    "content", [{"apiKey": "k"}, {"apiKey": "k", "webhookSecrets": []}, {"webhookSecrets": ["", "x", "whsec_"]}]
)
def test_no_secret_no_entry(app: App, secrets_manager: Proxy, content: dict[str, Any]) -> None:
    """Nothing configured, or nothing that is a secret: all are refused."""
    secrets_manager.always(responds(200, {"Name": "n", "SecretString": json.dumps(content)}))
    assert post_webhook(BODY, signed(BODY, app.stack.settings.webhook_secrets[0]))[0] == 401


def test_the_first_webhook_under_a_rotated_secret_is_taken(
    app: App, secrets_manager: Proxy, rotate: Callable[..., None]
) -> None:
    """The cached secrets explain nothing, so they are read again; the old one is refused from then on."""
    old, new = app.stack.settings.webhook_secrets[0], new_webhook_secret()
    assert post_webhook(BODY, signed(BODY, old))[0] == 204
    rotate(new)
    assert len(secrets_manager.seen) == 1
    assert post_webhook(BODY, signed(BODY, new))[0] == 204
    assert len(secrets_manager.seen) == 2
    assert post_webhook(BODY, signed(BODY, new))[0] == 204
    assert post_webhook(BODY, signed(BODY, old))[0] == 401
    assert len(secrets_manager.seen) == 2


def test_while_both_secrets_are_active_both_are_taken(
    app: App, secrets_manager: Proxy, rotate: Callable[..., None]
) -> None:
    """Codat signs with both; either alone is enough."""
    old, new = app.stack.settings.webhook_secrets[0], new_webhook_secret()
    rotate(old, new)
    headers = signed(BODY, old)
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    of_new = Webhook(new).sign(headers["webhook-id"], at, BODY.decode())
    for signatures in (headers["webhook-signature"], of_new, f"{headers['webhook-signature']} {of_new}"):
        assert post_webhook(BODY, {**headers, "webhook-signature": signatures})[0] == 204
    assert len(secrets_manager.seen) == 1


def test_a_flood_of_forgeries_reads_the_secret_twice(secrets_manager: Proxy) -> None:
    """Once to begin with, and once more a minute, however many don't match."""
    for _ in range(50):
        assert post_webhook(BODY, signed(BODY, new_webhook_secret()))[0] == 401
    assert len(secrets_manager.seen) == 2


@pytest.mark.parametrize(
    "behaviour", [dropped, responds(400, {"__type": "ThrottlingException", "message": "slow down"})]
)
def test_a_flood_of_forgeries_spares_a_secret_store_that_is_down(
    app: App, secrets_manager: Proxy, pass_time: Callable[[float], None], behaviour: Behaviour
) -> None:
    """Nobody is let in or refused for good meanwhile; it is asked again a little later, and what is real is taken."""
    headers = signed(BODY, app.stack.settings.webhook_secrets[0])
    assert post_webhook(BODY, headers)[0] == 204
    secrets_manager.always(behaviour)
    before = len(secrets_manager.seen)
    for _ in range(20):
        assert post_webhook(BODY, signed(BODY, new_webhook_secret()))[0] == 503
    assert post_webhook(BODY, headers)[0] == 204
    assert len(secrets_manager.seen) - before <= 2  # one read, and the client's own second try
    secrets_manager.heal()
    pass_time(secrets.RETRY_SECONDS)
    assert post_webhook(BODY, signed(BODY, new_webhook_secret()))[0] == 401


def test_a_second_rotation_is_noticed_a_minute_later(
    app: App, secrets_manager: Proxy, rotate: Callable[..., None], pass_time: Callable[[float], None]
) -> None:
    """At most once a minute is not once for ever."""
    first, second = new_webhook_secret(), new_webhook_secret()
    assert post_webhook(BODY, signed(BODY, app.stack.settings.webhook_secrets[0]))[0] == 204
    rotate(first)
    assert post_webhook(BODY, signed(BODY, first))[0] == 204
    rotate(second)
    assert post_webhook(BODY, signed(BODY, second))[0] == 401
    pass_time(secrets.REFRESH_SECONDS)
    assert post_webhook(BODY, signed(BODY, second))[0] == 204
    assert len(secrets_manager.seen) == 3


def test_the_first_secret_after_the_deployment_is_noticed(
    secrets_manager: Proxy,  # noqa: ARG001  # nothing is cached yet
    rotate: Callable[..., None],
    pass_time: Callable[[float], None],
) -> None:
    """Until then everything is refused."""
    secret = new_webhook_secret()
    rotate()
    assert post_webhook(BODY, signed(BODY, secret))[0] == 401
    rotate(secret)
    pass_time(secrets.REFRESH_SECONDS)
    assert post_webhook(BODY, signed(BODY, secret))[0] == 204


def test_what_fails_for_another_reason_reads_nothing_again(app: App, secrets_manager: Proxy) -> None:
    """Only a mismatch can mean a rotation."""
    headers = signed(BODY, app.stack.settings.webhook_secrets[0])
    for bent in ({"webhook-timestamp": "1"}, {"webhook-signature": ""}, {"webhook-id": "x" * 2000}):
        assert post_webhook(BODY, {**headers, **bent})[0] == 401
    assert len(secrets_manager.seen) == 1


def test_a_refresh_that_fails_is_our_failure(app: App, secrets_manager: Proxy) -> None:
    """Whether the signature is a new secret's can't be told: 5xx, so that Codat sends it again."""
    assert post_webhook(BODY, signed(BODY, app.stack.settings.webhook_secrets[0]))[0] == 204
    secrets_manager.always(dropped)
    assert post_webhook(BODY, signed(BODY, new_webhook_secret()))[0] == 503
