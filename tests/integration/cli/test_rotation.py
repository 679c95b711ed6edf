"""Rotate the signing secret and the API key without rejecting a webhook or failing a call."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from codat_simulator.faults import Fault
from codat_simulator.server import CodatServer
from codat_simulator.settings import Settings
from standardwebhooks import Webhook

from local.settings import new_webhook_secret
from shared.bootstrap.codat import trusted_api_keys
from shared.runtime import secrets
from tests.e2e.docs.markdown import ROOT
from tests.integration.cli.conftest import DescribedStack, Operator
from tests.integration.faults.proxy import Behaviour, Exchange, Proxy, dropped, passed_on, responds
from tests.integration.webhook_security.posting import post_webhook
from tests.payloads import signed

BODY = json.dumps({"id": "e-1", "eventType": "company.created", "generatedDate": "2026-11-22T09:00:00Z"}).encode()

NOT_STORED = "whsec_" + "A" * 32


def deliver(*secrets: str) -> int:
    """Deliver a webhook with a signature of each secret and return the status of the response."""
    headers = signed(BODY, secrets[0])
    signed_at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    signatures = [Webhook(secret).sign(headers["webhook-id"], signed_at, BODY.decode()) for secret in secrets]
    return post_webhook(BODY, {**headers, "webhook-signature": " ".join(signatures)})[0]


@pytest.mark.parametrize("cached", [True, False])
def test_no_webhook_is_rejected_while_the_signing_secret_is_rotated(operator: Operator, *, cached: bool) -> None:
    """GIVEN a function that caches the secret, or has just started THEN it accepts the webhooks of every step."""

    def assert_accepted(*signing: str) -> None:
        if not cached:
            secrets.secrets.cache_clear()
        assert deliver(*signing) == 204

    old, new = new_webhook_secret(), new_webhook_secret()
    operator.store_secret({"apiKey": "k", "webhookSecrets": [old], "owner": "team-1"})
    assert_accepted(old)
    # After a rotation in the portal, Codat signs with both secrets, and later only with the new secret.
    assert operator.run("rotate-webhook-secret", new, meanwhile=lambda: assert_accepted(old, new))[0] == 0
    for accepted in ((old, new), (new, old), (new,), (old,)):
        assert_accepted(*accepted)
    assert operator.run("retire-webhook-secret", new, meanwhile=lambda: assert_accepted(old, new))[0] == 0
    assert operator.stored_secret == {"apiKey": "k", "webhookSecrets": [new], "owner": "team-1"}
    for accepted in ((old, new), (new,)):
        assert_accepted(*accepted)
    secrets.secrets.cache_clear()
    assert deliver(old) == 401


def test_no_call_fails_while_the_api_key_is_rotated(operator: Operator) -> None:
    """GIVEN functions that cache the old key THEN calls succeed before and after the old key is deleted."""
    app = operator.app
    app.customer()
    old = operator.stored_secret["apiKey"]
    app.codat.api_keys = (old, "new-key")
    status, output = operator.run("rotate-api-key", "new-key", meanwhile=lambda: (app.customer(), None)[1], MANUAL="1")
    assert (status, operator.stored_secret["apiKey"]) == (0, "new-key")
    assert "UTC. Then delete it" in output
    app.customer()
    app.codat.api_keys = ("new-key",)
    # The cached key is rejected with 401, and the function reads the secret again.
    app.customer()


@pytest.mark.parametrize(("key", "message"), [("wrong-key", "Codat answered 401"), ("", "stored already")])
def test_a_rejected_or_identical_key_is_not_stored(operator: Operator, key: str, message: str) -> None:
    """GIVEN a key that Codat rejects, or the stored key THEN the error says so, and the secret stays."""
    before = operator.raw_secret
    status, output = operator.run("rotate-api-key", key or operator.stored_secret["apiKey"], MANUAL="1")
    assert (status, operator.raw_secret) == (1, before)
    assert message in output


def test_a_key_of_another_client_is_not_stored(operator: Operator) -> None:
    """GIVEN a key of another Codat client, which shows none of our companies THEN it is not stored."""
    operator.app.customer()
    before = operator.raw_secret
    with CodatServer(Settings(api_keys=("another-clients-key",))) as other:
        operator.environment["CODAT_BASE_URL"] = other.base_url
        status, output = operator.run("rotate-api-key", "another-clients-key", MANUAL="1")
    assert (status, operator.raw_secret) == (1, before)
    assert "another Codat client" in output
    assert "make trust-api-key" in output


def test_a_rotation_records_its_proof(operator: Operator) -> None:
    """GIVEN a rotation by the command, and then neither the old key nor a company THEN the new key is trusted."""
    app = operator.app
    customer = app.customer()
    app.codat.api_keys = (operator.stored_secret["apiKey"], "new-key")
    assert operator.run("rotate-api-key", "new-key", MANUAL="1")[0] == 0
    app.codat.api_keys = ("new-key",)
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_company(customer["companyId"])
    trusted_api_keys.cache_clear()
    secrets.secrets.cache_clear()
    assert app.http.delete(f"/customers/{customer['customerId']}").status_code == 204


def test_a_key_is_trusted_after_a_confirmation(operator: Operator) -> None:
    """GIVEN a stored key that can't prove itself THEN its Codat client is shown, and only `trust` confirms it."""
    app = operator.app
    customer = app.customer()
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_company(customer["companyId"])
    app.codat.api_keys = ("new-key",)
    operator.store_secret({**operator.stored_secret, "apiKey": "new-key"})
    trusted_api_keys.cache_clear()
    delete = f"/customers/{customer['customerId']}"
    assert app.http.delete(delete).status_code == 502
    status, output = operator.run("trust-api-key", "yes")
    assert (status, "You did not confirm" in output) == (1, True)
    assert app.http.delete(delete).status_code == 502
    status, output = operator.run("trust-api-key", "trust")
    assert status == 0
    assert "Simulated client" in output
    assert app.http.delete(delete).status_code == 204


def test_a_revoked_key_is_replaced(operator: Operator) -> None:
    """GIVEN a new deployment, whose first key was revoked."""
    operator.app.start_afresh(is_new=True)
    operator.store_secret({"apiKey": "revoked-key", "webhookSecrets": []})
    operator.app.codat.api_keys = ("new-key",)
    assert operator.run("rotate-api-key", "new-key", MANUAL="1")[0] == 0
    assert operator.stored_secret["apiKey"] == "new-key"


@pytest.mark.parametrize(
    ("command", "entered"),
    [
        *[("rotate-api-key", entered) for entered in ("", "Basic bG9jYWw=", "two words", "é")],
        *[
            (command, entered)
            for command in ("rotate-webhook-secret", "retire-webhook-secret")
            for entered in (
                "",
                "whsec_",
                "whsec_c2hvcnQ=",
                NOT_STORED[6:],
                NOT_STORED[:-1],
                "whsec_é",
            )
        ],
        ("retire-webhook-secret", NOT_STORED),
    ],
)
def test_an_invalid_secret_changes_nothing(operator: Operator, command: str, entered: str) -> None:
    """GIVEN a value that can't be an API key or a signing secret, or is not stored THEN the secret stays."""
    before = operator.raw_secret
    status, output = operator.run(command, entered, MANUAL="1")
    assert (status, operator.raw_secret) == (1, before)
    assert output.splitlines()[-1].startswith("That ")


def test_a_stored_signing_secret_is_not_stored_twice(operator: Operator) -> None:
    """GIVEN a signing secret that was copied before the rotation in the portal THEN the secret stays."""
    before = operator.raw_secret
    assert operator.run("rotate-webhook-secret", operator.stored_secret["webhookSecrets"][0])[0] == 1
    assert operator.raw_secret == before


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"apiKey": 7}', '{"webhookSecrets": "whsec_"}'])
@pytest.mark.parametrize(
    "command", ["webhook-consumer", "rotate-webhook-secret", "retire-webhook-secret", "rotate-api-key"]
)
def test_a_malformed_secret_is_not_overwritten(operator: Operator, command: str, content: str) -> None:
    """GIVEN a secret that functions can't read THEN the error shows the right form, and the content stays."""
    operator.store_secret(content or " ")
    status, output = operator.run(command)
    assert (status, operator.raw_secret) == (1, content or " ")
    assert '{"apiKey": "…", "webhookSecrets": ["whsec_…"]}' in output


@pytest.mark.parametrize(
    ("service", "behaviour"),
    [
        ("CLOUDFORMATION", dropped),
        ("SECRETS_MANAGER", dropped),
        ("SECRETS_MANAGER", responds(400, {"__type": "AccessDeniedException", "message": "not authorized"})),
    ],
)
def test_an_error_of_aws_is_one_line(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, service: str, behaviour: Behaviour
) -> None:
    """GIVEN an AWS service that is unreachable or denies access THEN the error is one line."""
    if service == "CLOUDFORMATION":
        operator.environment.update(STACK="codat-customers", SECRET_ARN="")
    with Proxy(operator.app.stack.url) as proxy:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", proxy.url)
        proxy.always(behaviour)
        status, output = operator.run("rotate-api-key")
    assert (status, output.count("\n"), output[:5]) == (1, 1, "AWS: ")


def test_a_put_that_fails_changes_nothing(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    before = operator.raw_secret

    def drop_puts(exchange: Exchange) -> None:
        (dropped if exchange.operation == "PutSecretValue" else passed_on)(exchange)

    with Proxy(operator.secrets_manager.meta.endpoint_url) as proxy:
        proxy.always(drop_puts)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", proxy.url)
        status, output = operator.run("rotate-webhook-secret", new_webhook_secret())
    assert (status, operator.raw_secret) == (1, before)
    assert "AWS: " in output
    assert "Stored" not in output


@pytest.fixture
def elsewhere(operator: Operator) -> dict[str, str]:
    """GIVEN a stack with these outputs, and none of them in the environment."""
    operator.app.codat.webhooks.consumers.clear()
    return {
        "SecretArn": operator.environment.pop("SECRET_ARN"),
        "WebhookUrl": operator.environment.pop("WEBHOOK_URL"),
        "TableName": operator.environment.pop("TABLE_NAME"),
    }


def test_options_are_read_from_the_outputs_of_the_stack(
    operator: Operator, elsewhere: dict[str, str], described_stack: DescribedStack
) -> None:
    described_stack.outputs = elsewhere
    del described_stack.outputs["TableName"]
    assert operator.run("webhook-consumer", new_webhook_secret(), STACK="s")[0] == 0
    status, output = operator.run("trust-api-key", STACK="s")
    assert [consumer.url for consumer in operator.app.codat.webhooks.consumers.values()] == [elsewhere["WebhookUrl"]]
    assert (status, output) == (1, "The stack s has no output TableName. Check the stack's name.\n")


def test_codats_url_is_read_from_the_parameters_of_the_stack(
    operator: Operator, elsewhere: dict[str, str], described_stack: DescribedStack
) -> None:
    described_stack.outputs = elsewhere
    described_stack.parameters = {"CodatBaseUrl": operator.environment.pop("CODAT_BASE_URL")}
    assert operator.run("trust-api-key", "trust", STACK="s")[0] == 0


@pytest.mark.parametrize("variable", ["SECRET_ARN", "TABLE_NAME"])
def test_another_stacks_resource_is_refused(operator: Operator, described_stack: DescribedStack, variable: str) -> None:
    """GIVEN a shell that exports a resource of another stack THEN the command names it, and changes nothing."""
    described_stack.outputs = {
        "SecretArn": operator.environment["SECRET_ARN"],
        "TableName": operator.environment["TABLE_NAME"],
    }
    before = operator.raw_secret
    own = operator.environment[variable]
    operator.environment[variable] = "another-stacks"
    status, output = operator.run("rotate-api-key", STACK="s")
    assert (status, operator.raw_secret) == (1, before)
    assert f"{variable} is another-stacks, but the stack s has {own}" in output
    assert f"unset {variable}" in output


def test_a_terminal_does_not_show_the_entered_secret(operator: Operator) -> None:
    """GIVEN a terminal, and the command as make starts it THEN the secret is stored and not shown."""
    new = new_webhook_secret()
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "cli", "rotate-webhook-secret"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **operator.environment},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    ) as process:
        os.close(end)
        output = os.read(terminal, 1000)
        while b"(not shown)" not in output:
            output += os.read(terminal, 1000)
        os.write(terminal, f"{new}\n".encode())
        assert process.wait(10) == 0
        output += os.read(terminal, 4000)
    os.close(terminal)
    assert operator.stored_secret["webhookSecrets"][-1] == new
    assert b"Stored the signing secret." in output
    assert new.encode() not in output
