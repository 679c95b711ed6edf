"""What runs on GitHub holds the keys to the deployments."""

import re
from typing import Any

import pytest
import yaml

from tests.e2e.artifact.make import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
PINNED = r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit(workflow: Any) -> None:
    """A tag can be moved to other code; the version is beside it for the reader."""
    used = re.findall(r"\buses\W+(.*)", workflow.read_text())
    assert used
    assert [action for action in used if not re.fullmatch(PINNED, action)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_only_a_deployment_gets_an_identity(workflow: Any) -> None:
    """And it never runs for a pull request, or beside another of its environment."""
    read = yaml.safe_load(workflow.read_text())
    assert read["permissions"] == {"contents": "read"}
    for name, job in read["jobs"].items():
        if "permissions" in job:
            assert (name, job["permissions"]) == ("deploy", {"contents": "read", "id-token": "write"})
            assert job["if"] == "github.event_name != 'pull_request'"
            assert job["environment"] in job["concurrency"]["group"]
            assert job["concurrency"]["cancel-in-progress"] is False
