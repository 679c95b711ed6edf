"""GitHub's workflows: because they deploy, their actions are pinned and their permissions minimal."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.artifact.make import ROOT
from tests.infrastructure.template.deployed import properties

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").iterdir())
DELIVERY = yaml.safe_load((GITHUB / "workflows/delivery.yml").read_text())
PINNED = r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"


def commands(job: str) -> list[str]:
    return [step["run"] for step in DELIVERY["jobs"][job]["steps"] if "run" in step]


def setup_python_options(job: str) -> dict[str, str]:
    [options] = [step["with"] for step in DELIVERY["jobs"][job]["steps"] if "setup-python" in step.get("uses", "")]
    return dict(options)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit(workflow: Path) -> None:
    """A tag can be moved to other code. A comment names the version."""
    actions = re.findall(r"\buses\W+(.*)", workflow.read_text())
    assert actions
    assert [action for action in actions if not re.fullmatch(PINNED, action)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_only_the_deployment_may_assume_a_role(workflow: Path) -> None:
    """It doesn't run for pull requests, nor at the same time as another deployment to its environment."""
    document = yaml.safe_load(workflow.read_text())
    assert document["permissions"] == {"contents": "read"}
    for name, job in document["jobs"].items():
        if "permissions" in job:
            assert (name, job["permissions"]) == ("deploy", {"contents": "read", "id-token": "write"})
            assert job["if"] == "github.event_name != 'pull_request'"
            assert job["environment"] in job["concurrency"]["group"]
            assert job["concurrency"]["cancel-in-progress"] is False


def test_a_deployment_waits_for_every_other_job() -> None:
    assert set(DELIVERY["jobs"]["deploy"]["needs"]) == DELIVERY["jobs"].keys() - {"deploy"}


def test_checks_tests_and_package_run_on_the_python_of_lambda(template: dict[str, Any]) -> None:
    assert setup_python_options("package") == {"python-version-file": ".python-version"}
    version = (ROOT / ".python-version").read_text().strip()
    functions = properties(template, "AWS::Lambda::Function").values()
    assert {function["Runtime"] for function in functions} == {f"python{version}"}
    assert [command.split()[:2] for command in commands("package")] == [
        ["make", "check"],
        ["make", "test"],
        ["make", "package"],
    ]


def test_the_local_stack_runs_on_every_supported_python() -> None:
    """From the oldest version that pyproject.toml allows to the newest that make uses."""
    versions = DELIVERY["jobs"]["local"]["strategy"]["matrix"]["python"]
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    used_by_make = re.findall(r"\bpython(3\.\d+)\b", (ROOT / "Makefile").read_text().split(".uv/$(UV_VERSION):")[1])
    assert sorted(versions) == sorted(set(used_by_make))
    assert versions[0] == oldest
    assert setup_python_options("local")["python-version"].split("\n")[-2:] == ["${{ matrix.python }}", ""]
    demo, unit, integration = commands("local")
    assert (demo, unit) == ("make demo", "make unit")
    assert "pytest tests/integration " in integration


def test_dependencies_and_actions_are_updated_together() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"uv", "github-actions"}
    assert all(group["patterns"] == ["*"] for update in updates for group in update["groups"].values())


def test_commit_hooks_run_the_projects_own_tools() -> None:
    """Local hooks need no network."""
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    assert all(hook["language"] == "system" for hook in repository["hooks"])
    assert all(hook["entry"].startswith(".venv/bin/") for hook in repository["hooks"])
