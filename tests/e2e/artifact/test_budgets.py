"""budgets.toml: its content, and how a difference from what a function imports is reported."""

from pathlib import Path

import pytest

from tests.e2e.artifact.budgets import FILE, Budget, differences, read, write
from tests.e2e.artifact.cold_start import FUNCTIONS, Imports, trace

BUDGETS = read(FILE.read_text())


def test_every_function_has_a_budget() -> None:
    assert BUDGETS.keys() == set(FUNCTIONS)


@pytest.fixture
def imported(python_of_lambda: None, tmp_path: Path) -> Imports:  # noqa: ARG001  # it skips
    """A handler that imports `library`, which imports xml, through a package, at first use and by its name."""
    sources = {
        "function/functions/x/app.py": "from shared import y\n\ny.initialize()\n\ndef handler():\n    pass\n",
        "layer/shared/y.py": "def initialize():\n    from shared.z import library\n",
        "layer/shared/z.py": "import library\n",
        "layer/library/__init__.py": "from importlib import import_module\nimport_module('library.parser')\n",
        "layer/library/parser.py": "import xml.dom\n",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    return trace(tmp_path / "function", tmp_path / "layer", "functions.x.app.handler", {})


def test_an_import_outside_of_the_budget_is_reported_with_its_chain(imported: Imports, tmp_path: Path) -> None:
    actual = Budget.of(imported, tmp_path / "layer")
    assert actual == Budget(
        modules=frozenset({"functions", "functions.x", "functions.x.app", "shared", "shared.y", "shared.z"}),
        packages=frozenset({"library"}),
        standard_library=frozenset({"xml"}),
    )
    budget = actual - Budget(packages=frozenset({"library"}), standard_library=frozenset({"xml"}))
    assert differences(budget, actual, imported) == [
        "not in the budget: functions.x.app → shared.y → shared.z → library",
        "not in the budget: functions.x.app → shared.y → shared.z → library → library.parser → xml",
    ]


def test_a_budget_that_is_not_used_is_reported(imported: Imports, tmp_path: Path) -> None:
    actual = Budget.of(imported, tmp_path / "layer")
    budget = actual | Budget(modules=frozenset({"shared.w"}))
    assert differences(budget, actual, imported) == ["in the budget but not imported: shared.w"]


def test_the_written_file_is_read_back() -> None:
    assert read(write(BUDGETS)) == BUDGETS
    assert write(BUDGETS) == FILE.read_text()
