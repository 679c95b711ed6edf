"""Compare every call of a function with docs/openapi.json.

A test fails if a request or an answer contradicts the document. If all tests ran, the run fails if a documented answer
never occurred: each answer of a route and each problem of its own on that route; a problem that has its cause outside
of the route (such as `codat-unavailable`) on any route.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest

from shared.http import router
from tests.infrastructure.permissions.plugin import all_ran

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.infrastructure.contract.exchanges import Seen

_SEEN: set[Seen] = set()
_VIOLATIONS: list[str] = []
_MISSING: list[str] = []
HANDLED: dict[str, router.Route] = {}
"""The routes of the handlers that were imported, with what they read."""


def pytest_configure() -> None:
    # Before a function imports it.
    http_handler = router.http_handler

    def recording_handler(routes: Any, *options: Any) -> Any:
        handler = http_handler(routes, *options)
        HANDLED.update(routes)

        @wraps(handler)
        def compared(event: dict[str, Any], context: Any) -> Any:
            answer = handler(event, context)
            _compare(event, answer)
            return answer

        return compared

    router.http_handler = recording_handler  # type: ignore[assignment]


def _compare(event: dict[str, Any], answer: dict[str, Any]) -> None:
    from tests.infrastructure.contract import exchanges  # noqa: PLC0415 - most unit tests call no function

    if event.get("routeKey") in exchanges.operations():
        _SEEN.add(exchanges.seen(event, answer))
        _VIOLATIONS.extend(exchanges.violations(event, answer))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if call.when == "teardown" and _VIOLATIONS:
        lines = sorted(set(_VIOLATIONS))
        _VIOLATIONS.clear()
        report.outcome, report.longrepr = "failed", "\n".join([f"{item.nodeid} against docs/openapi.json:", *lines])
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if answers := getattr(node, "workeroutput", {}).get("answers"):
        from tests.infrastructure.contract.exchanges import Seen  # noqa: PLC0415

        _SEEN.update(Seen(*each) for each in answers)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["answers"] = [tuple(each) for each in _SEEN]
    elif all_ran(session):
        _MISSING.extend(never_seen(_SEEN))
        if _MISSING:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def never_seen(answers: set[Seen]) -> list[str]:
    """Return the documented answers that are not among `answers`."""
    from contract.operations import OPERATIONS  # noqa: PLC0415
    from tests.infrastructure.contract.exchanges import documented  # noqa: PLC0415

    anywhere = {(each.status, each.problem) for each in answers}
    missing = set()
    for each in documented():
        if each.problem in OPERATIONS[each.route].common_problems:
            if (each.status, each.problem) not in anywhere:
                missing.add(f"no route answered {each.status} {each.problem}")
        elif each not in answers:
            missing.add(f"{each.route} never answered {each.status} {each.problem}".rstrip())
    return sorted(missing)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _MISSING:
        terminalreporter.section("answers in docs/openapi.json that no test got", red=True, bold=True)
        for line in _MISSING:
            terminalreporter.line(line)
