"""Webhooks while the signing secrets are rotated, missing, or can't be read from Secrets Manager."""

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
from shared.runtime import aws, secrets
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
    """A client for Secrets Manager without the proxy, as an operator uses it."""
    return boto3.client("secretsmanager")


@pytest.fixture
def secrets_manager(direct: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy in front of Secrets Manager. The function has no cached secret yet."""
    with Proxy(direct.meta.endpoint_url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", proxy.url)
        _start_afresh()
        yield proxy
    _start_afresh()


def _start_afresh() -> None:
    aws.close_clients()
    secrets.secrets.cache_clear()


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Advance the clock that limits how often the secret is read."""
    ahead = 0.0

    def advance(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(secrets, "monotonic", lambda: monotonic() + ahead)
    return advance


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
def test_an_unreadable_secret_fails_with_503(
    app: App, secrets_manager: Proxy, pass_time: Callable[[float], None], behaviour: Behaviour
) -> None:
    """After a 5xx Codat sends the webhook again. It is accepted once the secret can be read."""
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
def test_without_a_valid_secret_every_webhook_is_refused(
    app: App, secrets_manager: Proxy, content: dict[str, Any]
) -> None:
    secrets_manager.always(responds(200, {"Name": "n", "SecretString": json.dumps(content)}))
    assert post_webhook(BODY, signed(BODY, app.stack.settings.webhook_secrets[0]))[0] == 401


def test_the_first_webhook_under_a_rotated_secret_is_accepted(
    app: App, secrets_manager: Proxy, rotate: Callable[..., None]
) -> None:
    """No cached secret matches, so the secrets are read again. From then on the old secret is refused."""
    old, new = app.stack.settings.webhook_secrets[0], new_webhook_secret()
    assert post_webhook(BODY, signed(BODY, old))[0] == 204
    rotate(new)
    assert len(secrets_manager.seen) == 1
    assert post_webhook(BODY, signed(BODY, new))[0] == 204
    assert len(secrets_manager.seen) == 2
    assert post_webhook(BODY, signed(BODY, new))[0] == 204
    assert post_webhook(BODY, signed(BODY, old))[0] == 401
    assert len(secrets_manager.seen) == 2


def test_both_active_secrets_are_accepted(app: App, secrets_manager: Proxy, rotate: Callable[..., None]) -> None:
    """Codat signs with both; either signature is enough."""
    old, new = app.stack.settings.webhook_secrets[0], new_webhook_secret()
    rotate(old, new)
    headers = signed(BODY, old)
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    by_new_secret = Webhook(new).sign(headers["webhook-id"], at, BODY.decode())
    for signatures in (headers["webhook-signature"], by_new_secret, f"{headers['webhook-signature']} {by_new_secret}"):
        assert post_webhook(BODY, {**headers, "webhook-signature": signatures})[0] == 204
    assert len(secrets_manager.seen) == 1


def test_many_forged_webhooks_read_the_secret_twice(secrets_manager: Proxy) -> None:
    """It is read at the start, and after mismatches at most once a minute."""
    for _ in range(50):
        assert post_webhook(BODY, signed(BODY, new_webhook_secret()))[0] == 401
    assert len(secrets_manager.seen) == 2


@pytest.mark.parametrize(
    "behaviour", [dropped, responds(400, {"__type": "ThrottlingException", "message": "slow down"})]
)
def test_many_forged_webhooks_do_not_load_an_unavailable_secrets_manager(
    app: App, secrets_manager: Proxy, pass_time: Callable[[float], None], behaviour: Behaviour
) -> None:
    """Forged webhooks get 503 meanwhile, and valid ones are accepted. The next read follows after a pause."""
    headers = signed(BODY, app.stack.settings.webhook_secrets[0])
    assert post_webhook(BODY, headers)[0] == 204
    secrets_manager.always(behaviour)
    before = len(secrets_manager.seen)
    for _ in range(20):
        assert post_webhook(BODY, signed(BODY, new_webhook_secret()))[0] == 503
    assert post_webhook(BODY, headers)[0] == 204
    assert len(secrets_manager.seen) - before <= 2  # one read, and botocore's retry
    secrets_manager.heal()
    pass_time(secrets.RETRY_SECONDS)
    assert post_webhook(BODY, signed(BODY, new_webhook_secret()))[0] == 401


def test_a_second_rotation_takes_effect_after_a_minute(
    app: App, secrets_manager: Proxy, rotate: Callable[..., None], pass_time: Callable[[float], None]
) -> None:
    first, second = new_webhook_secret(), new_webhook_secret()
    assert post_webhook(BODY, signed(BODY, app.stack.settings.webhook_secrets[0]))[0] == 204
    rotate(first)
    assert post_webhook(BODY, signed(BODY, first))[0] == 204
    rotate(second)
    assert post_webhook(BODY, signed(BODY, second))[0] == 401
    pass_time(secrets.REFRESH_SECONDS)
    assert post_webhook(BODY, signed(BODY, second))[0] == 204
    assert len(secrets_manager.seen) == 3


def test_the_first_secret_after_the_deployment_takes_effect(
    secrets_manager: Proxy,  # noqa: ARG001  # it clears the cache
    rotate: Callable[..., None],
    pass_time: Callable[[float], None],
) -> None:
    """Until then every webhook is refused."""
    secret = new_webhook_secret()
    rotate()
    assert post_webhook(BODY, signed(BODY, secret))[0] == 401
    rotate(secret)
    pass_time(secrets.REFRESH_SECONDS)
    assert post_webhook(BODY, signed(BODY, secret))[0] == 204


def test_only_a_mismatch_reads_the_secrets_again(app: App, secrets_manager: Proxy) -> None:
    """Other reasons for a refusal don't hint at a rotation."""
    headers = signed(BODY, app.stack.settings.webhook_secrets[0])
    for changed in ({"webhook-timestamp": "1"}, {"webhook-signature": ""}, {"webhook-id": "x" * 2000}):
        assert post_webhook(BODY, {**headers, **changed})[0] == 401
    assert len(secrets_manager.seen) == 1


def test_a_mismatch_fails_with_503_if_the_secrets_cannot_be_read_again(app: App, secrets_manager: Proxy) -> None:
    """The signature may belong to a new secret, so Codat has to send the webhook again."""
    assert post_webhook(BODY, signed(BODY, app.stack.settings.webhook_secrets[0]))[0] == 204
    secrets_manager.always(dropped)
    assert post_webhook(BODY, signed(BODY, new_webhook_secret()))[0] == 503
