"""The documents show the real output of the commands."""

import re
from textwrap import dedent

import pytest

from cli import rotate_api_key
from local.settings import new_webhook_secret
from tests.e2e.docs.markdown import ROOT, commands, section
from tests.integration.cli.conftest import Operator

_VARYING = re.compile(
    r"https?://\S+/webhooks/codat|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d\d:\d\d|(?<=Codat client ')[^']+"
    r"|\d{4}-\d\d-\d\d [0-9a-f]{8}"
)


def examples_in(document: str, *headings: str) -> dict[str, str]:
    """Return the output shown for each command line."""
    text = (ROOT / document).read_text()
    sections = [dedent(section(text, heading).replace("\n   ", "\n")) for heading in headings]
    return {example.line: example.shown for text in sections for example in commands(text)}


@pytest.mark.usefixtures("described_stack")
def test_the_documents_show_the_real_output(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN the examples of the documents THEN the commands print the same, except ids, URLs, names and times."""
    examples = examples_in("docs/deploy.md", "Steps") | examples_in(
        "docs/operations.md",
        "Alarms",
        "Rotating the API key",
        "Allowing origins for the Link SDK",
        "Rotating the signing secret",
    )
    monkeypatch.setattr(rotate_api_key, "sleep", lambda _: None)
    codat = operator.app.codat
    codat.webhooks.consumers.clear()
    operator.store_secret({"apiKey": "", "webhookSecrets": []})
    first, second = new_webhook_secret(), new_webhook_secret()
    codat.api_keys = (codat.api_keys[0], "another-key")
    entered = {
        "webhook-consumer STACK=codat-customers-dev": (codat.api_keys[0], first),
        "rotate-webhook-secret STACK=codat-customers-dev": (second,),
        "retire-webhook-secret STACK=codat-customers-dev": (second,),
        "rotate-api-key STACK=codat-customers-dev DELETE_OLD=1": (),
        "rotate-api-key STACK=codat-customers-dev MANUAL=1": ("another-key",),
        "link-origins STACK=codat-customers-dev ORIGINS=https://app.example.com,http://localhost:3000": (),
        "trust-api-key STACK=codat-customers-dev": ("trust",),
    }
    resources = operator.environment
    for line, answers in entered.items():
        command, *assignments = line.split()
        operator.environment = resources | dict(assignment.split("=", 1) for assignment in assignments)
        output = operator.run(command, *answers)[1]
        shown = examples[f"make {line}"].splitlines()
        without_prompts = [text for text in shown if "(not shown)" not in text]
        assert [_VARYING.sub("…", text) for text in without_prompts] == _VARYING.sub("…", output).splitlines()
