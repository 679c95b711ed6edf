"""Run the commands against the stack, with the values that a person would enter."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.stub import Stubber

from cli import commands
from cli.__main__ import main
from cli.arguments import COMMANDS, Options
from cli.prompts import Prompt
from shared.runtime import secrets
from tests.conftest import App
from tests.infrastructure.permissions.roles import ACTION, actions_of
from tests.integration.faults.proxy import Exchange, Proxy, responds

if TYPE_CHECKING:
    from types import FrameType

NEEDS = {command.name: set(re.findall(ACTION, " ".join(command.needs))) for command in COMMANDS}
"""The actions that the help of each command lists."""
CLOUDFORMATION_ARN = "arn:aws:cloudformation:eu-west-1:123456789012"
STACK_ID = f"{CLOUDFORMATION_ARN}:stack/codat-customers/5a1e7f10-cb9a-11f0-8de9-0242ac120002"


@pytest.fixture(autouse=True)
def only_listed_actions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test whose commands called AWS with an action that their help does not list."""
    running: list[str] = []
    unlisted: set[tuple[str, str]] = set()
    run = commands._run
    make_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def running_a_command(options: Options, prompt: Prompt) -> None:
        running.append(options.command)
        try:
            run(options, prompt)
        finally:
            running.pop()

    def recording(client: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        if running and _is_called_by_a_command():
            unlisted.update((running[-1], action) for action in actions_of(operation, params) - NEEDS[running[-1]])
        return make_api_call(client, operation, params)

    monkeypatch.setattr(commands, "_run", running_a_command)
    monkeypatch.setattr(BaseClient, "_make_api_call", recording)
    yield
    assert unlisted == set()


def _is_called_by_a_command() -> bool:
    """The functions run in this process, too, in other threads."""
    frame: FrameType | None = sys._getframe()
    while frame := frame.f_back if frame else None:
        if frame.f_globals.get("__name__", "").startswith("cli."):
            return True
    return False


@dataclass
class Operator:
    app: App
    output: Callable[[], str]
    environment: dict[str, str]
    secret_id: str
    secrets_manager: Any = field(default_factory=lambda: boto3.client("secretsmanager"))

    def run(
        self, command: str, *entered: str, meanwhile: Callable[[], None] = lambda: None, **variables: str
    ) -> tuple[int, str]:
        """Run the command, press Ctrl-D at further prompts, and return the exit status and the output.

        Fail if the output contains a secret.
        """
        answers = list(entered)

        def prompt(text: str) -> str:
            assert "not shown" in text
            meanwhile()
            if not answers:
                raise EOFError
            return answers.pop(0)

        keys = set(self.app.codat.api_keys)
        status = main([command], self.environment | variables, prompt)
        assert not answers, "the command did not ask for all answers"
        output = self.output()
        secrets = [
            *entered,
            *keys,
            *self.app.codat.api_keys,
            *re.findall(r'whsec_[^"]{9,}|(?<="apiKey": ")[^"]{9,}', self.raw_secret),
        ]
        assert not [secret for secret in secrets if len(secret) >= 9 and secret in output]
        return status, output

    @property
    def raw_secret(self) -> str:
        value: str = self.secrets_manager.get_secret_value(SecretId=self.secret_id)["SecretString"]
        return value

    @property
    def stored_secret(self) -> dict[str, Any]:
        """The content without the key that the command made for log lines."""
        content: dict[str, Any] = json.loads(self.raw_secret)
        content.pop("logKey", None)
        return content

    def store_secret(self, content: dict[str, Any] | str) -> None:
        raw = content if isinstance(content, str) else json.dumps(content)
        self.secrets_manager.put_secret_value(SecretId=self.secret_id, SecretString=raw)
        secrets.secrets.cache_clear()

    def consumers(self) -> dict[str, set[str]]:
        """Return the event types of each webhook consumer at Codat."""
        return {consumer.id: set(consumer.event_types) for consumer in self.app.codat.webhooks.consumers.values()}


@pytest.fixture
def operator(app: App, capfd: pytest.CaptureFixture[str]) -> Iterator[Operator]:
    """Return an operator of the stack, and put the secret back after the test."""

    def output() -> str:
        """Return what the command printed, without the functions' log: they run in this process too."""
        out, err = capfd.readouterr()
        return "".join(line for line in (out + err).splitlines(keepends=True) if not line.startswith("{"))

    secret_id = app.stack.template.physical_id("CodatSecret")
    environment = {
        "SECRET_ARN": secret_id,
        "WEBHOOK_URL": f"{app.stack.url}/webhooks/codat",
        "CODAT_BASE_URL": app.stack.codat_url,
        "TABLE_NAME": app.stack.table_name,
    }
    operator = Operator(app, output, environment, secret_id)
    before = operator.raw_secret
    secrets.secrets.cache_clear()
    yield operator
    operator.store_secret(before)


@dataclass
class DescribedStack:
    """A stack in CloudFormation, under every name."""

    outputs: dict[str, str]
    parameters: dict[str, str] = field(default_factory=dict)

    def answer(self, exchange: Exchange) -> None:
        outputs = _members("Output", self.outputs)
        parameters = _members("Parameter", self.parameters)
        responds(
            200,
            '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>'
            f"<Stacks><member><StackName>s</StackName><Outputs>{outputs}</Outputs>"
            f"<Parameters>{parameters}</Parameters></member></Stacks>"
            "</DescribeStacksResult></DescribeStacksResponse>".encode(),
        )(exchange)


def _members(kind: str, values: Mapping[str, str]) -> str:
    return "".join(
        f"<member><{kind}Key>{key}</{kind}Key><{kind}Value>{value}</{kind}Value></member>"
        for key, value in values.items()
    )


@pytest.fixture
def described_stack(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Iterator[DescribedStack]:
    """Return the operator's stack, as CloudFormation describes it."""
    names = {"SecretArn": "SECRET_ARN", "WebhookUrl": "WEBHOOK_URL", "TableName": "TABLE_NAME"}
    described = DescribedStack(
        {name: operator.environment[variable] for name, variable in names.items() if variable in operator.environment}
    )
    with Proxy(operator.app.stack.url) as cloudformation:
        cloudformation.always(described.answer)
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", cloudformation.url)
        yield described


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """Return a client that accepts exactly the requests that a test prepared, in their order.

    botocore checks requests and answers against AWS's own model.
    """
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    client: Any = boto3.client("cloudformation", region_name="eu-west-1")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: client)
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()
