"""The plugin fails a test whose calls contradict the document."""

import subprocess
import sys
from pathlib import Path

from tests.e2e.artifact.make import ROOT

CALLING = """
from types import SimpleNamespace

from shared.http.router import Response, http_handler
from tests.payloads import api_event

def answer(document):
    handler = http_handler({"GET /platforms": lambda request: Response(200, document)})
    event = api_event("list_platforms")
    assert handler(event, SimpleNamespace(aws_request_id="1"))["statusCode"] == 200

def test_as_documented():
    answer({"platforms": []})

def test_undocumented():
    answer({"platforms": [], "more": 1})
"""


def test_a_test_with_an_undocumented_answer_fails(tmp_path: Path) -> None:
    (tmp_path / "test_calling.py").write_text(CALLING)
    plugins = ["-p", "tests.infrastructure.permissions.plugin", "-p", "tests.infrastructure.contract.plugin"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-p", "no:cacheprovider", "-c", "/dev/null", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed, 1 error" in run.stdout or "2 passed, 1 error" in run.stdout, run.stdout + run.stderr
    assert "GET /platforms 200: Additional properties are not allowed" in run.stdout
    # With the variable CI, pytest's summary repeats the text.
    before_summary, _, _ = run.stdout.partition("short test summary info")
    assert before_summary.count("against docs/openapi.json:") == 1
