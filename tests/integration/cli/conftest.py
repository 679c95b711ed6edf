"""The operator: the commands against the running stack, with what a person would type."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest

from cli.__main__ import main
from shared import bootstrap
from tests.conftest import App


@dataclass
class Operator:
    app: App
    output: Callable[[], str]
    environment: dict[str, str]
    secret_id: str
    secrets_manager: Any = field(default_factory=lambda: boto3.client("secretsmanager"))

    def run(self, command: str, *typed: str, meanwhile: Callable[[], None] = lambda: None) -> tuple[int, str]:
        """The exit status and what is shown, which is never what was typed. Ctrl-D where more is asked for."""
        answers = list(typed)

        def ask(prompt: str) -> str:
            assert "not shown" in prompt
            meanwhile()
            if not answers:
                raise EOFError
            return answers.pop(0)

        status = main(command, self.environment, ask)
        assert not answers, "more was typed than asked for"
        shown = self.output()
        secret = [*typed, *re.findall(r'whsec_[^"]{9,}|(?<="apiKey": ")[^"]{9,}', self.raw)]
        assert not [one for one in secret if len(one) >= 9 and one in shown]
        return status, shown

    @property
    def raw(self) -> str:
        value: str = self.secrets_manager.get_secret_value(SecretId=self.secret_id)["SecretString"]
        return value

    @property
    def stored(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.raw)
        return content

    def store(self, content: dict[str, Any] | str) -> None:
        raw = content if isinstance(content, str) else json.dumps(content)
        self.secrets_manager.put_secret_value(SecretId=self.secret_id, SecretString=raw)
        bootstrap.secrets.cache_clear()

    def consumers(self) -> dict[str, set[str]]:
        return {one.id: set(one.event_types) for one in self.app.codat.webhooks.consumers.values()}


@pytest.fixture
def operator(app: App, capfd: pytest.CaptureFixture[str]) -> Iterator[Operator]:
    """As at the end of a set-up by hand; what a test stores is gone after it."""

    def output() -> str:
        """What the command printed: lines of JSON are those of the functions, which run in this process too."""
        out, err = capfd.readouterr()
        return "".join(line for line in (out + err).splitlines(keepends=True) if not line.startswith("{"))

    secret_id = app.stack.template.physical_id("CodatSecret")
    one = Operator(
        app,
        output,
        {
            "SECRET_ARN": secret_id,
            "WEBHOOK_URL": f"{app.stack.url}/webhooks/codat",
            "CODAT_BASE_URL": app.stack.codat_url,
            "TABLE_NAME": app.stack.table_name,
        },
        secret_id,
    )
    before = one.raw
    bootstrap.secrets.cache_clear()
    yield one
    one.store(before)
