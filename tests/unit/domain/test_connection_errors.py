"""Why a connection does not work, in words for a person."""

import pytest

from shared.domain.connection_errors import MAX_CHARACTERS, error_text


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        (["The user cancelled."], "The user cancelled."),
        (["  The user cancelled.\n"], "The user cancelled."),
        ([None, "", " ", "Second."], "Second."),
        (["First.", "Second."], "First."),
        (["Cancelled"], "Cancelled"),
        (["x y" * MAX_CHARACTERS], ("x y" * MAX_CHARACTERS)[:MAX_CHARACTERS]),
    ],
)
def test_the_first_text_is_shown(candidates: list[str | None], expected: str) -> None:
    assert error_text(candidates, "401", "Xero") == expected


@pytest.mark.parametrize("code", ['{"error": "x"}', " [1]", "<html>", "403", "invalid_grant", "E-7"])
def test_text_for_machines_is_skipped(code: str) -> None:
    assert error_text([code], None, "Xero") == "The connection to Xero failed."
    assert error_text([code, "The user cancelled."], None, "Xero") == "The user cancelled."


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("401", "Xero refused access."),
        ("403", "Xero refused access."),
        ("429", "Xero had too many requests."),
        ("500", "Xero could not be reached."),
        (" 503 ", "Xero could not be reached."),
        ("404", "The connection to Xero failed."),
        ("", "The connection to Xero failed."),
        (None, "The connection to Xero failed."),
    ],
)
def test_without_a_text_the_platforms_status_is_explained(status: str | None, expected: str) -> None:
    assert error_text([], status, "Xero") == expected
