"""Either secret is replaced, and meanwhile nothing real is refused."""

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
from shared import bootstrap
from tests.e2e.docs.markdown import ROOT
from tests.integration.cli.conftest import Operator
from tests.integration.faults.proxy import Behaviour, Exchange, Proxy, dropped, passed_on, responds
from tests.integration.webhook_security.posting import post_webhook
from tests.payloads import signed

BODY = json.dumps({"id": "e-1", "eventType": "company.created", "generatedDate": "2026-11-22T09:00:00Z"}).encode()

UNKNOWN = "whsec_" + "A" * 32


def delivered(*signing: str) -> int:
    """What Codat is answered where it signs with all of these."""
    headers = signed(BODY, signing[0])
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    signatures = [Webhook(secret).sign(headers["webhook-id"], at, BODY.decode()) for secret in signing]
    return post_webhook(BODY, {**headers, "webhook-signature": " ".join(signatures)})[0]


@pytest.mark.parametrize("cached", [True, False])
def test_no_webhook_is_refused_while_the_signing_secret_is_rotated(operator: Operator, *, cached: bool) -> None:
    """Whichever step a function knows: one that started just now, or one that still keeps what it read before."""

    def accepted(*signing: str) -> None:
        if not cached:
            bootstrap.secrets.cache_clear()
        assert delivered(*signing) == 204

    old, new = new_webhook_secret(), new_webhook_secret()
    operator.store({"apiKey": "k", "webhookSecrets": [old], "owner": "team-1"})
    accepted(old)
    # Rotated in the portal: signed with both, and then with the new one alone.
    assert operator.run("rotate-webhook-secret", new, meanwhile=lambda: accepted(old, new))[0] == 0
    for signing in ((old, new), (new, old), (new,), (old,)):
        accepted(*signing)
    assert operator.run("retire-webhook-secret", new, meanwhile=lambda: accepted(old, new))[0] == 0
    assert operator.stored == {"apiKey": "k", "webhookSecrets": [new], "owner": "team-1"}
    for signing in ((old, new), (new,)):
        accepted(*signing)
    bootstrap.secrets.cache_clear()
    assert delivered(old) == 401


def test_no_call_fails_while_the_api_key_is_rotated(operator: Operator) -> None:
    """The old key works until it is deleted; functions that still keep it notice that."""
    app = operator.app
    app.customer()
    old = operator.stored["apiKey"]
    app.codat.api_keys = (old, "new-key")
    status, shown = operator.run("rotate-api-key", "new-key", meanwhile=lambda: (app.customer(), None)[1])
    assert (status, operator.stored["apiKey"]) == (0, "new-key")
    assert "UTC; then delete it" in shown
    app.customer()
    app.codat.api_keys = ("new-key",)
    # Known and in use, the key that is gone is read again upon Codat's first 401.
    app.customer()


@pytest.mark.parametrize(("typed", "said"), [("wrong-key", "Codat answered 401"), ("same", "stored already")])
def test_a_key_that_codat_refuses_is_not_stored(operator: Operator, typed: str, said: str) -> None:
    """Nor the one that is."""
    before = operator.raw
    status = operator.run("rotate-api-key", typed if typed != "same" else operator.stored["apiKey"])
    assert (status[0], operator.raw) == (1, before)
    assert said in status[1]


def test_a_key_of_another_account_is_not_stored(operator: Operator) -> None:
    """Under it, a Codat without any of our companies would seem to have lost them all."""
    operator.app.customer()
    before = operator.raw
    with CodatServer(Settings(api_keys=("another-accounts",))) as other:
        operator.environment["CODAT_BASE_URL"] = other.base_url
        status, shown = operator.run("rotate-api-key", "another-accounts")
    assert (status, operator.raw) == (1, before)
    assert "another Codat client" in shown
    assert "make trust-api-key" in shown


def test_a_rotation_records_its_proof(operator: Operator) -> None:
    """GIVEN a rotation by the command, and then neither the old key nor a company THEN the new key is trusted."""
    app = operator.app
    customer = app.customer()
    app.codat.api_keys = (operator.stored["apiKey"], "new-key")
    assert operator.run("rotate-api-key", "new-key")[0] == 0
    app.codat.api_keys = ("new-key",)
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_company(customer["companyId"])
    bootstrap._trusted_api_keys.cache_clear()
    bootstrap.secrets.cache_clear()
    assert app.http.delete(f"/customers/{customer['customerId']}").status_code == 204


def test_a_key_is_trusted_after_a_confirmation(operator: Operator) -> None:
    """GIVEN a stored key that proves nothing THEN the operator sees whose it is, and only `trust` confirms it."""
    app = operator.app
    customer = app.customer()
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_company(customer["companyId"])
    app.codat.api_keys = ("new-key",)
    operator.store({**operator.stored, "apiKey": "new-key"})
    bootstrap._trusted_api_keys.cache_clear()
    delete = f"/customers/{customer['customerId']}"
    assert app.http.delete(delete).status_code == 502
    status, shown = operator.run("trust-api-key", "yes")
    assert (status, "Not confirmed" in shown) == (1, True)
    assert app.http.delete(delete).status_code == 502
    status, shown = operator.run("trust-api-key", "trust")
    assert status == 0
    assert "Simulated client" in shown
    assert app.http.delete(delete).status_code == 204


def test_trusting_asks_for_its_table(operator: Operator) -> None:
    """In one line."""
    del operator.environment["TABLE_NAME"]
    status, shown = operator.run("trust-api-key")
    assert (status, "TABLE_NAME" in shown) == (1, True)


def test_a_key_that_was_revoked_is_replaced(operator: Operator) -> None:
    """There is nothing left to compare with."""
    operator.store({"apiKey": "revoked-key", "webhookSecrets": []})
    operator.app.codat.api_keys = ("new-key",)
    assert operator.run("rotate-api-key", "new-key")[0] == 0
    assert operator.stored["apiKey"] == "new-key"


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        *[("rotate-api-key", typed) for typed in ("", "Basic bG9jYWw=", "two words", "é")],
        *[
            (command, typed)
            for command in ("rotate-webhook-secret", "retire-webhook-secret")
            for typed in (
                "",
                "whsec_",
                "whsec_c2hvcnQ=",
                UNKNOWN[6:],
                UNKNOWN[:-1],
                "whsec_é",
            )
        ],
        ("retire-webhook-secret", UNKNOWN),
    ],
)
def test_what_is_no_secret_changes_nothing(operator: Operator, command: str, typed: str) -> None:
    """And what it should be is said."""
    before = operator.raw
    status, shown = operator.run(command, typed)
    assert (status, operator.raw) == (1, before)
    assert shown.splitlines()[-1].startswith("That ")


def test_a_secret_that_is_accepted_is_not_stored_twice(operator: Operator) -> None:
    """Copied before it was rotated."""
    before = operator.raw
    assert operator.run("rotate-webhook-secret", operator.stored["webhookSecrets"][0])[0] == 1
    assert operator.raw == before


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"apiKey": 7}', '{"webhookSecrets": "whsec_"}'])
@pytest.mark.parametrize(
    "command", ["webhook-consumer", "rotate-webhook-secret", "retire-webhook-secret", "rotate-api-key"]
)
def test_a_malformed_secret_is_left_as_it_is(operator: Operator, command: str, content: str) -> None:
    """It may hold what somebody misses."""
    operator.store(content or " ")
    status, shown = operator.run(command)
    assert (status, operator.raw) == (1, content or " ")
    assert '{"apiKey": "…", "webhookSecrets": ["whsec_…"]}' in shown


@pytest.mark.parametrize(
    ("service", "behaviour"),
    [
        ("CLOUDFORMATION", dropped),
        ("SECRETS_MANAGER", dropped),
        ("SECRETS_MANAGER", responds(400, {"__type": "AccessDeniedException", "message": "not authorized"})),
    ],
)
def test_aws_out_of_reach_is_one_line(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, service: str, behaviour: Behaviour
) -> None:
    """So is its refusal."""
    operator.environment["STACK"] = "codat-customers" if service == "CLOUDFORMATION" else ""
    with Proxy(operator.app.stack.url) as proxy:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", proxy.url)
        proxy.always(behaviour)
        status, shown = operator.run("rotate-api-key")
    assert (status, shown.count("\n"), shown[:5]) == (1, 1, "AWS: ")


def test_a_put_that_fails_changes_nothing(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command can be repeated."""
    before = operator.raw

    def no_put(exchange: Exchange) -> None:
        (dropped if exchange.operation == "PutSecretValue" else passed_on)(exchange)

    with Proxy(operator.secrets_manager.meta.endpoint_url) as proxy:
        proxy.always(no_put)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", proxy.url)
        status, shown = operator.run("rotate-webhook-secret", new_webhook_secret())
    assert (status, operator.raw) == (1, before)
    assert "AWS: " in shown
    assert "Stored" not in shown


def test_the_stack_tells_its_outputs(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of their being given."""
    outputs = {
        "SecretArn": operator.environment.pop("SECRET_ARN"),
        "WebhookUrl": operator.environment.pop("WEBHOOK_URL"),
    }
    members = "".join(
        f"<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
        for key, value in outputs.items()
    )
    answer = (
        '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>'
        f"<Stacks><member><StackName>s</StackName><Outputs>{members}</Outputs></member></Stacks>"
        "</DescribeStacksResult></DescribeStacksResponse>"
    )
    operator.environment["STACK"] = "s"
    operator.app.codat.webhooks.consumers.clear()
    with Proxy(operator.app.stack.url) as cloudformation:
        cloudformation.always(responds(200, answer.encode()))
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", cloudformation.url)
        assert operator.run("webhook-consumer", new_webhook_secret())[0] == 0
    assert [one.url for one in operator.app.codat.webhooks.consumers.values()] == [outputs["WebhookUrl"]]


def test_what_is_typed_on_a_terminal_is_not_echoed(operator: Operator) -> None:
    """The command as make starts it."""
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
    ) as started:
        os.close(end)
        shown = os.read(terminal, 1000)
        while b"(not shown)" not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, f"{new}\n".encode())
        assert started.wait(10) == 0
        shown += os.read(terminal, 4000)
    os.close(terminal)
    assert operator.stored["webhookSecrets"][-1] == new
    assert b"Stored;" in shown
    assert new.encode() not in shown
