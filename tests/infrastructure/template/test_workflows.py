"""GitHub's workflows build a package once, attest it, verify it and deploy it, with minimal permissions."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.artifact.make import ROOT
from tests.infrastructure.template.deployed import properties

GITHUB = ROOT / ".github"
WORKFLOWS = {path.name: path for path in sorted((GITHUB / "workflows").iterdir())}
DOCUMENTS = {name: yaml.safe_load(path.read_text()) for name, path in WORKFLOWS.items()}
DELIVERY = DOCUMENTS["delivery.yml"]
[DEPLOY] = DOCUMENTS["deploy.yml"]["jobs"].values()
ENVIRONMENTS = ("dev", "staging", "prod")
PINNED = r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
OF_A_DEPLOYMENT = {"contents": "read", "id-token": "write", "attestations": "read"}
CYCLONEDX = "https://cyclonedx.org/bom"


def commands(job: str) -> list[str]:
    return [step["run"] for step in DELIVERY["jobs"][job]["steps"] if "run" in step]


def setup_python_options(job: dict[str, Any]) -> dict[str, str]:
    [options] = options_of(job, "setup-python")
    return options


def options_of(job: dict[str, Any], action: str) -> list[dict[str, str]]:
    return [dict(step["with"]) for step in job["steps"] if f"/{action}@" in step.get("uses", "")]


def position(job: dict[str, Any], text: str) -> int:
    """Return the position of the only step that contains the text."""
    [found] = [number for number, step in enumerate(job["steps"]) if text in step.get("uses", step.get("run", ""))]
    return found


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_by_its_commit(name: str) -> None:
    """A tag can be moved to other code. A comment names the version. A workflow of this commit needs no pin."""
    actions = re.findall(r"\buses: (.*)", WORKFLOWS[name].read_text())
    assert actions
    assert [
        action
        for action in actions
        if not re.fullmatch(PINNED, action) and action.removeprefix("./") not in local_workflows()
    ] == []


def local_workflows() -> set[str]:
    return {str(path.relative_to(ROOT)) for path in WORKFLOWS.values()}


def test_an_action_has_one_version() -> None:
    actions = {action for path in WORKFLOWS.values() for action in re.findall(PINNED, path.read_text())}
    assert len({action.partition("@")[0] for action in actions}) == len(actions)


def test_permissions_are_minimal() -> None:
    """Jobs read the repository, and nothing else. One job signs, and the deployment assumes the environment's role."""
    expected = {
        ("delivery.yml", "attest"): {"id-token": "write", "attestations": "write"},
        **{("delivery.yml", environment): OF_A_DEPLOYMENT for environment in ENVIRONMENTS},
        ("deploy.yml", "deploy"): OF_A_DEPLOYMENT,
    }
    assert all(document["permissions"] == {"contents": "read"} for document in DOCUMENTS.values())
    assert {
        (workflow, name): job["permissions"]
        for workflow, document in DOCUMENTS.items()
        for name, job in document["jobs"].items()
        if "permissions" in job
    } == expected


def run(event: str = "push", environments: str = "", failing: str = "") -> dict[str, str]:
    """Return the result of each job of the delivery, as GitHub evaluates `needs` and `if`.

    A condition without a status function, such as failure(), also requires that all jobs before it succeeded.
    """
    results: dict[str, str] = {}
    ancestors: dict[str, set[str]] = {}
    for name, job in DELIVERY["jobs"].items():  # in the order of their needs
        needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
        ancestors[name] = {*needs}.union(*(ancestors[need] for need in needs))
        before = [results[ancestor] for ancestor in ancestors[name]]
        condition = str(job.get("if", "true")).removeprefix("${{").removesuffix("}}").strip()
        has_status = "failure()" in condition
        values = {
            "failure()": "failure" in before,
            "cancelled()": False,
            "github.event_name != 'pull_request'": event != "pull_request",
            "needs.attest.result == 'success'": results.get("attest") == "success",
            **{f"contains(vars.ENVIRONMENTS, '{each}')": each in environments for each in ENVIRONMENTS},
            "true": True,
        }
        terms = [(term.removeprefix("!"), term.startswith("!")) for term in condition.split(" && ")]
        is_met = all(values[term] is not negated for term, negated in terms)
        runs = is_met and (has_status or all(result == "success" for result in before))
        results[name] = ("failure" if name == failing else "success") if runs else "skipped"
    return results


def deployed(**settings: str) -> list[str]:
    results = run(**settings)
    return [environment for environment in ENVIRONMENTS if results[environment] == "success"]


def test_pull_requests_neither_sign_nor_deploy() -> None:
    results = run("pull_request", "dev staging prod")
    assert {name for name, result in results.items() if result == "skipped"} == {"attest", *ENVIRONMENTS}
    assert DOCUMENTS["deploy.yml"][True].keys() == {"workflow_call"}  # YAML 1.1 reads the key `on` as True


@pytest.mark.parametrize("environments", ["", "dev", "staging", "prod", "dev prod", "staging prod", "dev staging prod"])
def test_the_named_environments_are_deployed(environments: str) -> None:
    """GIVEN a fork without the variable THEN nothing is deployed, and its first push succeeds."""
    assert deployed(environments=environments) == environments.split()
    assert "failure" not in run(environments=environments).values()


@pytest.mark.parametrize("failing", DELIVERY["jobs"])
def test_nothing_is_deployed_after_a_failure(failing: str) -> None:
    """GIVEN a job that fails THEN the environments after it stay as they are."""
    environments = "dev staging prod"
    before = ENVIRONMENTS[: ENVIRONMENTS.index(failing)] if failing in ENVIRONMENTS else ()
    assert deployed(environments=environments, failing=failing) == list(before)
    if failing not in ENVIRONMENTS:
        assert deployed(environments="prod", failing=failing) == []


def test_an_environment_has_one_deployment_at_a_time() -> None:
    assert DEPLOY["environment"] == "${{ inputs.environment }}"
    assert DEPLOY["environment"] in DEPLOY["concurrency"]["group"]
    assert DEPLOY["concurrency"]["cancel-in-progress"] is False


def test_every_environment_gets_the_same_package() -> None:
    """GIVEN one build in a run THEN it is attested and deployed by its id, which no other job can replace."""
    package = DELIVERY["jobs"]["package"]
    [upload] = [step for step in package["steps"] if "/upload-artifact@" in step.get("uses", "")]
    uploads = [step for job in DELIVERY["jobs"].values() for step in job.get("steps", []) if "upload" in str(step)]
    assert uploads == [upload]
    assert upload["with"]["path"] == ".aws-sam/package"
    assert package["outputs"]["artifact-id"] == f"${{{{ steps.{upload['id']}.outputs.artifact-id }}}}"
    built = "${{ needs.package.outputs.artifact-id }}"
    [attested] = options_of(DELIVERY["jobs"]["attest"], "download-artifact")
    assert attested["artifact-ids"] == built
    for environment in ENVIRONMENTS:
        job = DELIVERY["jobs"][environment]
        assert "package" in job["needs"]
        assert job["uses"] == "./.github/workflows/deploy.yml"
        assert job["with"] == {"environment": environment, "artifact-id": built}
    [deployed] = options_of(DEPLOY, "download-artifact")
    assert deployed["artifact-ids"] == "${{ inputs.artifact-id }}"
    assert deployed["path"] == ".aws-sam/build"


def test_the_package_is_built_without_packages_for_tests() -> None:
    """Code of a package for tests could change what is deployed. So it runs in other jobs."""
    assert commands("package") == ["make archive"]
    assert commands("attest") == []
    made = made_for("archive")
    assert {"package", "sbom", ".sam/.synced", "$(WHEELS)/.complete", ".uv/$(UV_VERSION)"} <= made
    assert made.isdisjoint({".venv/.synced", ".scan/.synced", ".ric/.synced"})


def made_for(target: str) -> set[str]:
    """Return the prerequisites of a make target, and the targets that its recipe makes, and theirs."""
    makefile = (ROOT / "Makefile").read_text()
    [(prerequisites, recipe)] = re.findall(
        rf"^{re.escape(target)}:([^=\n#]*)(?:#.*)?\n((?:[\t#].*\n)*)", makefile, re.MULTILINE
    ) or [("", "")]
    nested = re.findall(r"\$\(MAKE\) --no-print-directory (\S+?)[;\s]", recipe)
    targets = {*prerequisites.replace("|", " ").split(), *nested} - {target}
    return targets.union(*(made_for(name) for name in targets))


def test_uv_is_installed_by_hash() -> None:
    """The file has the version, which the Makefile reads, and a hash of each of its distributions."""
    requirement, *hashes = (ROOT / "uv-requirements.txt").read_text().replace("\\\n", "").split()
    assert re.fullmatch(r"uv==\d+\.\d+\.\d+", requirement)
    assert len(hashes) > 1
    assert [line for line in hashes if not re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line)] == []
    makefile = (ROOT / "Makefile").read_text()
    assert requirement.removeprefix("uv==") not in makefile
    assert "--require-hashes" in makefile.partition("\n.uv/$(UV_VERSION):")[2].partition("\n\n")[0]


def test_provenance_and_sbom_are_attested() -> None:
    provenance, sbom = options_of(DELIVERY["jobs"]["attest"], "attest")
    assert provenance == {"subject-path": "package/*"}
    assert sbom == {"subject-path": "package/SharedLayer.zip", "sbom-path": "package/sbom.cdx.json"}


def test_attestations_are_verified_before_the_role_is_assumed() -> None:
    """GIVEN a file that this workflow did not build from this commit THEN nothing is deployed."""
    verified = DEPLOY["steps"][position(DEPLOY, "gh attestation verify")]["run"]
    assert 'for file in .aws-sam/build/*; do verify "$file"; done' in verified
    assert f"verify .aws-sam/build/SharedLayer.zip --predicate-type {CYCLONEDX}" in verified
    assert {
        '--repo "$GITHUB_REPOSITORY"',
        '--signer-workflow "$GITHUB_REPOSITORY/.github/workflows/delivery.yml"',
        '--source-digest "$GITHUB_SHA"',
        '--source-ref "$GITHUB_REF"',
        "--deny-self-hosted-runners",
    } <= set(re.findall(r"--[a-z-]+(?: \"[^\"]+\")?", verified))
    steps = ("download-artifact", "gh attestation verify", "configure-aws-credentials", "tools/deploy.sh")
    positions = [position(DEPLOY, text) for text in steps]
    assert positions == sorted(positions)


@pytest.mark.parametrize("file", ["first", "second", "SharedLayer.zip"])
def test_one_unverified_file_fails_the_deployment(tmp_path: Path, file: str) -> None:
    """GIVEN a package with a file whose attestation `gh` rejects THEN the step fails."""
    step = DEPLOY["steps"][position(DEPLOY, "gh attestation verify")]
    (tmp_path / ".aws-sam/build").mkdir(parents=True)
    for name in ("first", "second", "SharedLayer.zip"):
        (tmp_path / ".aws-sam/build" / name).touch()
    (tmp_path / "gh").write_text('#!/bin/sh\ncase $* in *"$REJECTED"*) exit 1;; esac\n')
    (tmp_path / "gh").chmod(0o755)

    def run(rejected: str) -> int:
        environment = {"PATH": f"{tmp_path}:{os.defpath}", "REJECTED": rejected}
        return subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=environment, check=False).returncode

    assert run("no file") == 0
    assert run(f"build/{file}") != 0
    assert run(CYCLONEDX) != 0


def test_a_deployment_installs_no_packages_for_tests() -> None:
    """The role's credentials are in that job."""
    [(command, environment)] = [
        (step["run"], step["env"]) for step in DEPLOY["steps"] if "make " in step.get("run", "")
    ]
    assert (command, environment) == ("make .sam/.synced .venv/.synced", {"UV_NO_DEV": "1"})


def test_dependencies_are_audited_every_week() -> None:
    """`make check` looks the same packages up, by the same target."""
    audit = DOCUMENTS["audit.yml"]
    [schedule] = audit[True]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule["cron"])
    [job] = audit["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make audit"]
    assert "audit" in made_for("check")


def test_checks_tests_and_package_run_on_the_python_of_lambda(template: dict[str, Any]) -> None:
    jobs = [DELIVERY["jobs"]["check"], DELIVERY["jobs"]["package"], DEPLOY, *DOCUMENTS["audit.yml"]["jobs"].values()]
    for job in jobs:
        assert setup_python_options(job) == {"python-version-file": ".python-version"}
    version = (ROOT / ".python-version").read_text().strip()
    functions = properties(template, "AWS::Lambda::Function").values()
    assert {function["Runtime"] for function in functions} == {f"python{version}"}
    assert [command.split()[:2] for command in commands("check")] == [["make", "check"], ["make", "test"]]


def test_the_local_stack_runs_on_every_supported_python() -> None:
    """From the oldest version that pyproject.toml allows to the newest that make uses."""
    versions = DELIVERY["jobs"]["local"]["strategy"]["matrix"]["python"]
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    used_by_make = re.findall(r"\bpython(3\.\d+)\b", (ROOT / "Makefile").read_text().split(".uv/$(UV_VERSION):")[1])
    assert sorted(versions) == sorted(set(used_by_make))
    assert versions[0] == oldest
    assert setup_python_options(DELIVERY["jobs"]["local"])["python-version"].split("\n")[-2:] == [
        "${{ matrix.python }}",
        "",
    ]
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
