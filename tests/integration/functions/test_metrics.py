"""Metrics in the logs of the functions, in CloudWatch's embedded metric format."""

import pytest
from codat_simulator.faults import Fault

from tests.conftest import App
from tests.integration.functions.calls import measured

CODAT_CALL = "CodatCall"


def test_linking_a_connection_emits_metrics(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN a linked connection, and all webhooks THEN each service level has its metric."""
    app.linked(app.customer()["customerId"])

    values = measured(capsys.readouterr().out)

    assert sum(values["CustomerCreated",]) == sum(values["ConnectionCreated",]) == 1
    assert sum(values["WebhookAccepted", "connection.connected"]) == 1
    assert all(0 <= seconds < 60 for seconds in values["WebhookLag",])
    assert len(values["WebhookLag",]) >= 1
    calls = {outcome: values[name, outcome] for name, *rest in values if name == CODAT_CALL for outcome in rest}
    assert calls.keys() == {"200"}
    remaining = values["CodatQuotaRemaining",]
    assert len(remaining) == len(calls["200"]) >= 2, "a value for each invocation that called Codat"
    assert remaining == sorted(remaining, reverse=True)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault(kind="status", status=503, when="after", times=1), "503"),
        (Fault(kind="status", status=429, times=1), "429"),
        (Fault(kind="drop", times=1), "unreachable"),
    ],
    ids=["failed", "limited", "dropped"],
)
def test_failed_codat_calls_are_counted(
    app: App, capsys: pytest.CaptureFixture[str], fault: Fault, outcome: str
) -> None:
    """GIVEN a failure that a retry repaired THEN both outcomes are counted."""
    app.codat.faults.add(fault)

    app.customer()

    values = measured(capsys.readouterr().out)
    assert values[CODAT_CALL, outcome]
    assert values[CODAT_CALL, "200"]
