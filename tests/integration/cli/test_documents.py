"""The documents show what the commands print."""

import re
from textwrap import dedent

from local.settings import new_webhook_secret
from tests.e2e.docs.markdown import ROOT, commands, section
from tests.integration.cli.conftest import Operator

_VARYING = re.compile(r"https?://\S+/webhooks/codat|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d\d:\d\d")


def shown_in(document: str, *headings: str) -> dict[str, str]:
    text = (ROOT / document).read_text()
    found = (one for heading in headings for one in commands(dedent(section(text, heading).replace("\n   ", "\n"))))
    return {one.line: one.shown for one in found}


def test_the_output_shown_is_real(operator: Operator) -> None:
    """But for ids, the URL and the time; prompts are the terminal's."""
    examples = shown_in("README.md", "Deploy") | shown_in(
        "docs/operations.md", "Rotating the API key", "Rotating the signing secret"
    )
    operator.app.codat.webhooks.consumers.clear()
    operator.store({"apiKey": "", "webhookSecrets": []})
    first, second = new_webhook_secret(), new_webhook_secret()
    key = operator.app.codat.api_keys[0]
    operator.app.codat.api_keys = (key, "another-key")
    typed = {
        "webhook-consumer": (key, first),
        "rotate-webhook-secret": (second,),
        "retire-webhook-secret": (second,),
        "rotate-api-key": ("another-key",),
    }
    for command, answers in typed.items():
        printed = operator.run(command, *answers)[1]
        shown = examples[f"make {command} STACK=codat-customers"].splitlines()
        without_prompts = [line for line in shown if "(not shown)" not in line]
        assert [_VARYING.sub("…", line) for line in without_prompts] == _VARYING.sub("…", printed).splitlines()
