"""The documents show the real output of the commands."""

import re
from textwrap import dedent

from local.settings import new_webhook_secret
from tests.e2e.docs.markdown import ROOT, commands, section
from tests.integration.cli.conftest import Operator

_VARYING = re.compile(
    r"https?://\S+/webhooks/codat|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d\d:\d\d|(?<=Codat client ')[^']+"
)


def examples_in(document: str, *headings: str) -> dict[str, str]:
    """Return the output shown for each command line."""
    text = (ROOT / document).read_text()
    sections = [dedent(section(text, heading).replace("\n   ", "\n")) for heading in headings]
    return {example.line: example.shown for text in sections for example in commands(text)}


def test_the_documents_show_the_real_output(operator: Operator) -> None:
    """GIVEN the examples of the documents THEN the commands print the same, except ids, URLs, names and times."""
    examples = examples_in("README.md", "Deploy") | examples_in(
        "docs/operations.md", "Alarms", "Rotating the API key", "Rotating the signing secret"
    )
    operator.app.codat.webhooks.consumers.clear()
    operator.store_secret({"apiKey": "", "webhookSecrets": []})
    first, second = new_webhook_secret(), new_webhook_secret()
    key = operator.app.codat.api_keys[0]
    operator.app.codat.api_keys = (key, "another-key")
    entered = {
        "webhook-consumer": (key, first),
        "rotate-webhook-secret": (second,),
        "retire-webhook-secret": (second,),
        "rotate-api-key": ("another-key",),
        "trust-api-key": ("trust",),
    }
    for command, answers in entered.items():
        output = operator.run(command, *answers)[1]
        shown = examples[f"make {command} STACK=codat-customers-dev"].splitlines()
        without_prompts = [line for line in shown if "(not shown)" not in line]
        assert [_VARYING.sub("…", line) for line in without_prompts] == _VARYING.sub("…", output).splitlines()
