"""`make link-origins` changes the origins that may embed Codat's Link SDK."""

import pytest
from codat_simulator.faults import Fault

from tests.integration.cli.conftest import Operator
from tests.integration.faults.proxy import Proxy, lost, passed_on

APP, OTHER = "https://app.example.com", "https://other.example"


def sent(operator: Operator) -> int:
    return operator.app.codat.calls.count("POST", "/corsSettings")


def test_origins_are_added_once(operator: Operator) -> None:
    """GIVEN an origin of another app THEN it stays, and a repeated command sends nothing."""
    operator.app.codat.allowed_origins = (OTHER,)
    status, output = operator.run("link-origins", ORIGINS=f"{APP},{OTHER}")
    assert (status, output) == (0, f"+ {APP}\nAllowed origins: {OTHER}, {APP}\n")
    assert list(operator.app.codat.allowed_origins) == [OTHER, APP]
    before = sent(operator)
    status, output = operator.run("link-origins", ORIGINS=APP)
    assert (status, output, sent(operator)) == (0, f"Allowed origins: {OTHER}, {APP} (unchanged)\n", before)


def test_origins_are_replaced_on_request(operator: Operator) -> None:
    operator.app.codat.allowed_origins = (OTHER, APP)
    status, output = operator.run("link-origins", ORIGINS=APP, REPLACE="1")
    assert (status, output) == (0, f"- {OTHER}\nAllowed origins: {APP}\n")
    before = sent(operator)
    assert operator.run("link-origins", ORIGINS=APP, REPLACE="1") == (0, f"Allowed origins: {APP} (unchanged)\n")
    assert sent(operator) == before


@pytest.mark.parametrize("replace", ["0", "1"])
def test_another_spelling_is_the_same_origin(operator: Operator, replace: str) -> None:
    operator.app.codat.allowed_origins = ("https://App.example.com/",)
    status, output = operator.run("link-origins", ORIGINS=APP, REPLACE=replace)
    assert (status, output) == (0, "Allowed origins: https://App.example.com/ (unchanged)\n")


def test_a_lost_response_is_repeated(operator: Operator, codat_wire: Proxy) -> None:
    """GIVEN a change whose response was lost THEN the second run finds the changed list."""
    operator.app.codat.allowed_origins = ()
    codat_wire.next(passed_on, lost)
    status, output = operator.run("link-origins", ORIGINS=APP, CODAT_BASE_URL=codat_wire.url)
    assert (status, output.splitlines()[-1]) == (1, "The connection to Codat broke. Repeat the command.")
    assert operator.run("link-origins", ORIGINS=APP) == (0, f"Allowed origins: {APP} (unchanged)\n")


@pytest.mark.parametrize(("status", "message"), [(403, "Compare the API key"), (404, "Codat answered 404")])
def test_an_error_of_codat_changes_nothing(operator: Operator, status: int, message: str) -> None:
    operator.app.codat.allowed_origins = (OTHER,)
    operator.app.codat.faults.add(Fault(kind="status", status=status, path="/corsSettings"))
    exit_status, output = operator.run("link-origins", ORIGINS=APP)
    assert (exit_status, message in output, operator.app.codat.allowed_origins) == (1, True, (OTHER,))


def test_an_api_key_is_needed(operator: Operator) -> None:
    operator.store_secret({"apiKey": "", "webhookSecrets": []})
    assert operator.run("link-origins", ORIGINS=APP) == (
        1,
        "No API key is stored. Store it first: make webhook-consumer\n",
    )
