"""Compare the functions' calls to AWS in a run of the tests with the permissions in the template.

A missing permission fails the run. If all tests ran, a permission that none of them needed fails it, too.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient

from shared.runtime.secrets import Secrets
from tests.infrastructure.permissions.granted import granted, missing, needed_by_lambda, unused
from tests.infrastructure.permissions.needed import Permission, needed
from tests.infrastructure.template.deployed import transformed

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEEDS: dict[str, dict[Permission, str]] = defaultdict(dict)
"""The permissions that each function needed, with the first test that needed them."""
_DIFFERENCES: list[str] = []
_SELECTING_OPTIONS = ("collectonly", "deselect", "ignore", "ignore_glob", "keyword", "lf", "markexpr", "stepwise")


def pytest_configure() -> None:
    make_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]
    content_of = Secrets._content

    def recording(client: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        _record(operation, params)
        return make_api_call(client, operation, params)

    def recording_a_secret(secret: Secrets) -> Any:
        # Also if the value is cached, because on Lambda each function has its own cache.
        _record("GetSecretValue", {})
        return content_of(secret)

    BaseClient._make_api_call = recording  # type: ignore[attr-defined]
    Secrets._content = recording_a_secret  # type: ignore[assignment, method-assign]


def _record(operation: str, params: dict[str, Any]) -> None:
    if function := _calling_function():
        for permission in needed(operation, params):
            _NEEDS[function].setdefault(permission, os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0])


def _calling_function() -> str | None:
    """Return the NAME of the handler `functions.NAME.app` that runs in this thread, if any."""
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        folder, _, rest = frame.f_globals.get("__name__", "").partition(".")
        if folder == "functions":
            return str(rest.partition(".")[0])
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for function, needs in getattr(node, "workeroutput", {}).get("needs", {}).items():
        for *permission, test in needs:
            _NEEDS[function].setdefault(Permission(permission[0], permission[1], tuple(permission[2])), test)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["needs"] = {
            function: [(*permission, test) for permission, test in needs.items()] for function, needs in _NEEDS.items()
        }
        return
    complete = all_ran(session)
    if _NEEDS or complete:
        _DIFFERENCES.extend(_differences(complete=complete))
    if _DIFFERENCES:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def all_ran(session: pytest.Session) -> bool:
    return (
        session.config.args_source is pytest.Config.ArgsSource.TESTPATHS
        and not any(session.config.getoption(selection, None) for selection in _SELECTING_OPTIONS)
        and session.testscollected > 0
        and session.exitstatus == pytest.ExitCode.OK
    )


def _differences(*, complete: bool) -> Iterator[str]:
    template = transformed()
    by_lambda = needed_by_lambda(template)
    for function, permitted in granted(template).items():
        needs = {**dict.fromkeys(by_lambda.get(function, ()), "its event source"), **_NEEDS[function]}
        for need in sorted(missing(permitted, needs.keys())):
            yield f"{function} may not {' '.join((*need[:2], *need.keys))}, which {needs[need]} needs"
        if complete:
            for permission in sorted(unused(permitted, needs.keys())):
                yield f"{function} may {' '.join((*permission[:2], *permission.keys))}, which no test needs"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _DIFFERENCES:
        terminalreporter.section("permissions of template.yaml", red=True, bold=True)
        for line in _DIFFERENCES:
            terminalreporter.line(line)
