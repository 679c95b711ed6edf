"""Problem documents (RFC 9457), one for each error that can reach a caller."""

import inspect
from typing import Any

import pytest

from shared.domain import errors
from shared.http.problems import problem_of

PLATFORMS = {"qhyg": "QuickBooks Online", "gbol": "Xero"}


def codat_error(error: type[errors.CodatError], **fields: Any) -> errors.CodatError:
    raised = error("Codat answered.", correlation_id=fields.pop("correlation_id", None))
    for name, value in fields.items():
        setattr(raised, name, value)
    return raised


PROBLEMS: list[tuple[errors.CodatCustomersError, int, str]] = [
    (errors.CustomerNotFound("c-1"), 404, "customer-not-found"),
    (errors.CustomerConflict("c-1", ["name"]), 409, "customer-conflict"),
    (errors.CreationInProgress("Customer c-1", 7), 409, "creation-in-progress"),
    (errors.DeletionInProgress("c-1", 7), 409, "deletion-in-progress"),
    (errors.CompanyTaken("company"), 409, "company-taken"),
    (errors.CompanyUnknown("company"), 422, "company-unknown"),
    (errors.CompanyGone("c-1"), 404, "customer-not-found"),
    (errors.TooManyTags(3), 422, "too-many-tags"),
    (errors.InvalidQuery("limit", "is wrong"), 400, "invalid-query"),
    (errors.UnknownPlatform("abcd", PLATFORMS), 422, "unknown-platform"),
    (errors.NoPlatformAvailable(), 422, "no-platform-available"),
    (errors.ConnectionNotFound("c-1", "connection"), 404, "connection-not-found"),
    (errors.AccountingConnectionExists("Xero", "connection"), 409, "accounting-connection-exists"),
    (errors.ConnectionNotLinked("connection", "Unlinked"), 409, "connection-not-linked"),
    (errors.ConnectionIsDeleted("connection"), 409, "connection-deleted"),
    (errors.InvitationNotFound("c-1", "invitation"), 404, "invitation-not-found"),
    (errors.TooManyInvitations("c-1", 20), 409, "too-many-invitations"),
    (errors.InvitationExpired("expired"), 410, "invitation-expired"),
    (errors.InvitationRevoked("revoked"), 410, "invitation-revoked"),
    (codat_error(errors.CodatRejectedCredentials), 502, "codat-rejected-credentials"),
    (codat_error(errors.CodatAccountLimit), 502, "codat-account-limit"),
    (codat_error(errors.CodatNotFound), 502, "codat-not-found"),
    (codat_error(errors.CodatRejected), 502, "codat-rejected"),
    (codat_error(errors.CodatRateLimited), 429, "codat-rate-limited"),
    (codat_error(errors.CodatUnavailable), 502, "codat-unavailable"),
    (codat_error(errors.CodatTimedOut), 504, "codat-unavailable"),
    (codat_error(errors.CodatInvalidResponse), 502, "codat-unavailable"),
    (errors.StoreUnavailable("down"), 503, "store-unavailable"),
    (errors.SecretsUnavailable("down"), 503, "secrets-unavailable"),
    (errors.NotAuthentic("mismatch"), 401, "not-authentic"),
]

# They end in an alarm, a retry, the quarantine or a page, and never in a problem document.
WITHOUT_CALLER = {
    errors.CodatBusy,
    errors.InvitationUnknown,
    errors.QueueUnavailable,
    errors.NotReconciled,
    errors.UnparseableEvent,
}


@pytest.mark.parametrize(("error", "status", "kind"), PROBLEMS, ids=lambda value: type(value).__name__)
def test_an_error_becomes_a_problem(error: errors.CodatCustomersError, status: int, kind: str) -> None:
    document = problem_of(error).document("request-1")
    assert (document["status"], document["type"]) == (status, kind)
    assert (document["detail"], document["requestId"]) == (str(error), "request-1")
    assert document["title"]


def test_every_error_of_the_tree_is_listed() -> None:
    tree = {error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, Exception)}
    roots = {errors.CodatCustomersError, errors.Refused, errors.CodatError}
    assert {type(error) for error, _, _ in PROBLEMS} | WITHOUT_CALLER == tree - roots


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.CreationInProgress("Customer c-1", 7), 7),
        (errors.DeletionInProgress("c-1", 8), 8),
        (codat_error(errors.CodatRateLimited, retry_after=9), 9),
        (codat_error(errors.CodatUnavailable), None),
        (errors.CustomerNotFound("c-1"), None),
        (errors.StoreUnavailable("down"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_problem_says_when_the_call_can_be_repeated(error: errors.CodatCustomersError, seconds: int | None) -> None:
    assert problem_of(error).retry_after == seconds


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (errors.CompanyUnknown("company"), "companyId"),
        (errors.TooManyTags(3), "tags"),
        (errors.UnknownPlatform("abcd", PLATFORMS), "platformKey"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_problem_names_the_field(error: errors.CodatCustomersError, field: str) -> None:
    assert problem_of(error).document("request-1")["errors"] == [{"field": field, "detail": str(error)}]


def test_an_invalid_query_names_its_parameter_once() -> None:
    document = problem_of(errors.InvalidQuery("limit", "is wrong")).document("request-1")
    assert document["detail"] == "limit: is wrong"
    assert document["errors"] == [{"field": "limit", "detail": "is wrong"}]


def test_an_unknown_platform_is_answered_with_those_on_offer() -> None:
    document = problem_of(errors.UnknownPlatform("abcd", PLATFORMS)).document("request-1")
    assert document["platforms"] == [
        {"platformKey": "qhyg", "platformName": "QuickBooks Online"},
        {"platformKey": "gbol", "platformName": "Xero"},
    ]


def test_a_problem_contains_codats_correlation_id() -> None:
    """Codat's support asks for it."""
    error = codat_error(errors.CodatRejected, correlation_id="c0ffee")
    assert problem_of(error).document("request-1")["correlationId"] == "c0ffee"
    assert "correlationId" not in problem_of(codat_error(errors.CodatRejected)).document("request-1")
