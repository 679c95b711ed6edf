"""Links, tables and names in the documents agree with the project."""

import re
from pathlib import Path

import pytest

from contract.operations import PUBLIC_PREFIX
from contract.problems import UNREACHABLE
from local.template import Template
from shared.http import problems
from tests.e2e.docs.markdown import DOCUMENTS, ROOT, anchors, code, links, rows, section

README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
LOCAL = (ROOT / "docs" / "local.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()

TASK_PAGES = (
    *("get-started", "integrate", "calling", "app-webhook", "embedding", "invitations", "local"),
    *("deploy", "operations", "architecture"),
)
MAX_README_LINES = 160


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_resolves(document: Path) -> None:
    """The file exists, and so does the heading."""
    for target, anchor in links(document.read_text()):
        linked = document.parent / target if target else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text()), f"{target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_named_file_and_target_exists(document: Path) -> None:
    """Paths of the tree in backticks, and targets of `make`."""
    text = document.read_text()
    for path in re.findall(r"`((?:shared|functions|local|cli|simulator|docs|tests|events)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:^    |`|&& )make ([a-z-]+)", text, re.MULTILINE)) <= set(targets)


def test_the_api_table_lists_the_routes_of_the_template() -> None:
    """Each of them, and no other."""
    listed = [route for cell, *_ in rows(section(API, "Routes")) if "/" in cell for route in code(cell)]
    api = [route.key for route in Template.load().routes if not route.path.startswith(PUBLIC_PREFIX)]
    assert sorted(listed) == sorted(api)


def test_the_problems_table_lists_every_problem_that_a_caller_can_get() -> None:
    """Each type with its statuses, and no other."""
    listed = {
        (int(status), kind)
        for statuses, kinds, _ in rows(section(API, "Problems"))
        for status in re.findall(r"\d{3}", statuses)
        for kind in code(kinds)
    }
    constants = [kind for kind in vars(problems).values() if isinstance(kind, problems.ProblemType)]
    defined = {(kind.status, kind.type) for kind in [*constants, *problems.KINDS.values()]}
    assert listed == {(status, kind) for status, kind in defined if kind not in UNREACHABLE}


def test_the_listed_variables_are_read() -> None:
    """By name, somewhere in the stack on one machine."""
    source = "".join(path.read_text() for path in (ROOT / "local").rglob("*.py"))
    listed = [name for cells in rows(section(LOCAL, "Variables")) for name in code(cells[0])]
    assert len(listed) >= 5
    assert [name for name in listed if f'"{name}"' not in source] == []


def test_the_listed_metrics_are_the_published_ones() -> None:
    """Each of them, and no other."""
    source = "".join(path.read_text() for folder in ("shared", "functions") for path in (ROOT / folder).rglob("*.py"))
    calls = re.findall(r"(?:telemetry|Telemetry\(\))\.(?:count|count_many|measure|measure_seconds)\(([^)]*)", source)
    published = {name for call in calls for name in re.findall(r'"([A-Z]\w+)"', call)}
    listed = {code(cells[0])[0] for cells in rows(section(OPERATIONS, "Metrics")) if code(cells[0])}
    assert listed == published


def test_the_described_events_are_those_with_a_schema() -> None:
    """Each detail type, linked to its schema, and no other."""
    listed = re.findall(r"\]\(events/([a-z.]+)\.json\)", section(API, "Change events"))
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "docs" / "events").glob("*.json"))


def test_the_named_parameters_and_outputs_exist() -> None:
    """Names of the template in backticks, in CamelCase."""
    template = (ROOT / "template.yaml").read_text()
    for document in DOCUMENTS:
        for name in re.findall(r"(?:parameter|output|stack's) `([A-Z]\w+)`", document.read_text()):
            assert re.search(rf"^  {name}:$", template, re.MULTILINE), f"{document.name}: {name}"


@pytest.mark.parametrize("page", TASK_PAGES)
def test_a_page_starts_with_its_result(page: str) -> None:
    """So that a reader knows whether to go on."""
    _, _, text = (ROOT / "docs" / f"{page}.md").read_text().partition("\n\n")
    assert text.startswith("After this page ")


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= MAX_README_LINES
