"""What the functions count, as CloudWatch reads it from their logs (the embedded metric format)."""

import pytest
from codat_simulator.faults import Fault

from tests.conftest import App
from tests.integration.functions.calls import measured

CODAT_CALL = "CodatCall"


def test_a_link_is_counted_from_the_call_to_the_state(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN a customer who links WHEN all webhooks are in THEN each promise has its figure."""
    app.linked(app.customer()["customerId"])

    values = measured(capsys.readouterr().out)

    assert sum(values["CustomerCreated",]) == sum(values["ConnectionCreated",]) == 1
    assert sum(values["WebhookAccepted", "connection.connected"]) == 1
    assert all(0 <= seconds < 60 for seconds in values["WebhookLag",])
    assert len(values["WebhookLag",]) >= 1
    calls = {outcome: values[name, outcome] for name, *rest in values if name == CODAT_CALL for outcome in rest}
    assert calls.keys() == {"200"}
    left = values["CodatQuotaRemaining",]
    assert len(left) == len(calls["200"]) >= 2, "one value for each invocation that called Codat"
    assert left == sorted(left, reverse=True)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault(kind="status", status=503, when="after", times=1), "503"),
        (Fault(kind="status", status=429, times=1), "429"),
        (Fault(kind="drop", times=1), "unreachable"),
    ],
    ids=["failed", "limited", "dropped"],
)
def test_what_codat_answers_is_counted(
    app: App, capsys: pytest.CaptureFixture[str], fault: Fault, outcome: str
) -> None:
    """A failure that the call itself got over is seen all the same."""
    app.codat.faults.add(fault)

    app.customer()

    values = measured(capsys.readouterr().out)
    assert values[CODAT_CALL, outcome]
    assert values[CODAT_CALL, "200"]
