"""`make rotate-api-key` replaces the API key, and continues after an interruption at any step."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from codat_simulator.faults import Fault
from codat_simulator.server import CodatServer
from codat_simulator.settings import Settings

from cli import rotate_api_key
from cli.caches import MAX_INVOCATION_SECONDS
from local.template import Template
from shared.runtime import clock, secrets
from tests.integration.cli.conftest import Operator
from tests.integration.faults.proxy import Exchange, Proxy, dropped, lost, passed_on

WAIT = secrets.CACHE_SECONDS + MAX_INVOCATION_SECONDS


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record each wait instead of waiting."""
    waits: list[float] = []
    monkeypatch.setattr(rotate_api_key, "sleep", waits.append)
    return waits


@pytest.fixture(autouse=True)
def deployment(operator: Operator) -> None:
    """GIVEN a deployment with a customer, whose key is trusted."""
    operator.app.customer()


def key_at_codat(operator: Operator, value: str) -> tuple[str, str | None]:
    """Return the id and the name of a key."""
    [key] = [key for key in operator.app.codat.api_key_store.list() if key.value == value]
    return key.id, key.name


def assert_rotated(operator: Operator, old: str, *, number: int = 2) -> None:
    """Assert that a new key is stored, that its rotation is complete, and how many keys Codat has."""
    new = operator.stored_secret["apiKey"]
    assert new != old
    assert new in operator.app.codat.api_keys
    assert len(operator.app.codat.api_keys) == number
    assert "apiKeyRotation" not in operator.stored_secret


@contextmanager
def interrupted(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Press Ctrl-C when the command calls this function of the module."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rotate_api_key, name, interrupt)
        yield


def test_the_wait_covers_the_longest_invocation() -> None:
    functions = Template.load().functions.values()
    assert max(function.timeout for function in functions) == MAX_INVOCATION_SECONDS


@pytest.mark.usefixtures("described_stack")
def test_a_new_key_replaces_the_stored_one(operator: Operator, waits: list[float]) -> None:
    """GIVEN a stored key THEN a named key is stored; the old one stays, and other content of the secret too."""
    operator.store_secret({**operator.stored_secret, "owner": {"team": None}})
    before = operator.stored_secret
    old = before["apiKey"]
    status, output = operator.run("rotate-api-key", STACK="a-stack-with-a-name-of-more-than-30-characters")
    assert_rotated(operator, old)
    assert (status, len(waits)) == (0, 4)
    assert sum(waits) == pytest.approx(WAIT, abs=5)
    assert {**operator.stored_secret, "apiKey": old} == before
    name = key_at_codat(operator, operator.stored_secret["apiKey"])[1] or ""
    assert re.fullmatch(r"a-stack-with-a-name-of-more-th \d{4}-\d\d-\d\d [0-9a-f]{8}", name)
    assert name in output
    assert f"old key {key_at_codat(operator, old)[0]} now" in output
    assert operator.app.customer()["companyId"]


def test_the_old_key_is_deleted_on_request_after_the_wait(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN functions that cache the old key THEN calls succeed during the wait and after the deletion."""
    old = operator.stored_secret["apiKey"]
    key_id, _ = key_at_codat(operator, old)

    def wait(_: float) -> None:
        assert old in operator.app.codat.api_keys
        operator.app.customer()

    monkeypatch.setattr(rotate_api_key, "sleep", wait)
    status, output = operator.run("rotate-api-key", DELETE_OLD="1")
    assert (status, output.splitlines()[-1]) == (0, f"Deleted the old key {key_id}.")
    assert_rotated(operator, old, number=1)
    operator.app.customer()


@pytest.mark.parametrize("step", ["_begin", "_create", "_store_new_key", "_wait", "_retire_old_key", "_delete"])
def test_an_interrupted_rotation_continues(operator: Operator, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """GIVEN Ctrl-C before a step THEN the repeated command makes one new key and deletes the old one."""
    old = operator.stored_secret["apiKey"]
    with interrupted(monkeypatch, step):
        status, output = operator.run("rotate-api-key", DELETE_OLD="1")
    assert (status, output.splitlines()[-1][:8]) == (1, "Stopped.")
    assert operator.run("rotate-api-key", DELETE_OLD="1")[0] == 0
    assert_rotated(operator, old, number=1)
    assert operator.app.codat.calls.count("POST", "/apiKeys") == 1
    assert operator.app.codat.calls.count("DELETE", "/apiKeys/*") <= 1


@pytest.mark.parametrize("number", range(1, 12))
@pytest.mark.parametrize("behaviour", [dropped, lost], ids=["dropped", "lost"])
def test_a_failed_request_to_codat_is_repeated(
    operator: Operator, codat_wire: Proxy, number: int, behaviour: Callable[[Exchange], None]
) -> None:
    """GIVEN one request that fails before or after Codat's work THEN the repeated command leaves one new key."""
    old = operator.stored_secret["apiKey"]
    codat_wire.next(*[passed_on] * (number - 1), behaviour)
    operator.environment.update(DELETE_OLD="1", CODAT_BASE_URL=codat_wire.url)
    if operator.run("rotate-api-key")[0]:
        assert operator.run("rotate-api-key")[0] == 0
    assert_rotated(operator, old, number=1)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("behaviour", [dropped, lost], ids=["dropped", "lost"])
def test_a_failed_write_of_the_secret_is_repeated(
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    behaviour: Callable[[Exchange], None],
) -> None:
    """GIVEN a write of the secret that fails, also in the SDK's retry THEN the repeated command continues."""
    old = operator.stored_secret["apiKey"]
    writes = 0

    def fail(exchange: Exchange) -> None:
        nonlocal writes
        is_write = exchange.operation == "PutSecretValue"
        writes += is_write
        (behaviour if is_write and writes in {number, number + 1} else passed_on)(exchange)

    with Proxy(operator.secrets_manager.meta.endpoint_url) as proxy:
        proxy.always(fail)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", proxy.url)
        status, output = operator.run("rotate-api-key", DELETE_OLD="1")
        assert (status, output.splitlines()[-1][:5]) == (1, "AWS: ")
        assert operator.run("rotate-api-key", DELETE_OLD="1")[0] == 0
    assert_rotated(operator, old, number=1)
    # The last write ends the rotation: if only its answer was lost, the repeated command rotates again.
    rotations = 2 if (number, behaviour) == (3, lost) else 1
    assert operator.app.codat.calls.count("POST", "/apiKeys") == rotations


def test_a_continued_rotation_waits_for_the_rest_only(
    operator: Operator, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN an interruption of the wait THEN the wait ends at the same time, or at once if that is past."""
    old = operator.stored_secret["apiKey"]
    with interrupted(monkeypatch, "sleep"):
        operator.run("rotate-api-key")
    stored = operator.stored_secret
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=WAIT - 100))
    with interrupted(monkeypatch, "_retire_old_key"):
        operator.run("rotate-api-key")
    assert waits == [pytest.approx(100, abs=5)]
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=30))
    status, output = operator.run("rotate-api-key")
    assert (status, len(waits)) == (0, 1)
    assert output.startswith("Continuing an interrupted rotation")
    assert operator.stored_secret["apiKey"] == stored["apiKey"]
    assert_rotated(operator, old)


def test_a_wait_is_never_longer_because_of_a_clock(
    operator: Operator, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN an interrupted rotation that was stored by a machine whose clock is ahead."""
    with interrupted(monkeypatch, "_wait"):
        operator.run("rotate-api-key")
    rotation = operator.stored_secret["apiKeyRotation"]
    operator.store_secret(
        {**operator.stored_secret, "apiKeyRotation": {**rotation, "storedAt": "2126-01-01T00:00:00Z"}}
    )
    assert operator.run("rotate-api-key")[0] == 0
    assert sum(waits) == WAIT


def test_a_full_list_is_refused(operator: Operator) -> None:
    """GIVEN ten keys THEN the error says what to do, and the repeated command succeeds after that."""
    codat = operator.app.codat
    old = operator.stored_secret["apiKey"]
    codat.api_keys = (old, *(f"key-of-app-{number}" for number in range(9)))
    status, output = operator.run("rotate-api-key")
    assert (status, operator.stored_secret["apiKey"], len(codat.api_keys)) == (1, old, 10)
    assert "Codat has 10 API keys, its limit. Delete one that no app uses" in output
    codat.api_keys = codat.api_keys[:9]
    assert operator.run("rotate-api-key")[0] == 0
    assert_rotated(operator, old, number=10)


def test_a_list_that_becomes_full_is_refused(operator: Operator) -> None:
    operator.app.codat.faults.add(Fault(kind="status", status=409, method="POST", path="/apiKeys", times=1))
    status, output = operator.run("rotate-api-key")
    assert (status, "its limit. Delete one" in output) == (1, True)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_key_that_may_create_none_needs_a_person(operator: Operator, method: str) -> None:
    """GIVEN 403 for the list or the creation THEN the command says to paste a key, which then completes."""
    codat = operator.app.codat
    old = operator.stored_secret["apiKey"]
    codat.faults.add(Fault(kind="status", status=403, method=method, path="/apiKeys"))
    status, output = operator.run("rotate-api-key")
    assert (status, operator.stored_secret["apiKey"], codat.api_keys) == (1, old, (old,))
    assert "make rotate-api-key MANUAL=1" in output
    codat.faults.clear()
    codat.api_keys = (old, "key-from-the-portal")
    status, output = operator.run("rotate-api-key", "key-from-the-portal", MANUAL="1")
    assert (status, operator.stored_secret["apiKey"]) == (0, "key-from-the-portal")
    assert "An interrupted rotation may have left the key codat-customers 2" in output
    assert_rotated(operator, old)


def test_a_key_that_may_delete_none_is_named(operator: Operator) -> None:
    old = operator.stored_secret["apiKey"]
    key_id, _ = key_at_codat(operator, old)
    operator.app.codat.faults.add(Fault(kind="status", status=403, method="DELETE", path="/apiKeys/*"))
    status, output = operator.run("rotate-api-key", DELETE_OLD="1")
    assert (status, f"Delete {key_id}: https://" in output) == (1, True)
    assert operator.run("rotate-api-key")[0] == 0
    assert_rotated(operator, old)


@pytest.mark.parametrize("key", ["", "revoked-key"])
def test_without_a_valid_key_a_person_enters_one(operator: Operator, key: str) -> None:
    operator.store_secret({**operator.stored_secret, "apiKey": key})
    status, output = operator.run("rotate-api-key")
    assert (status, operator.stored_secret["apiKey"], len(operator.app.codat.api_keys)) == (1, key, 1)
    assert output.rstrip().endswith("make rotate-api-key MANUAL=1")


def test_no_key_is_created_at_another_codat_client(operator: Operator) -> None:
    with CodatServer(Settings(api_keys=(operator.stored_secret["apiKey"],))) as other:
        operator.store_secret({**operator.stored_secret, "apiKey": "another-clients-key"})
        other.api_keys = ("another-clients-key",)
        status, output = operator.run("rotate-api-key", CODAT_BASE_URL=other.base_url)
        assert (status, other.api_keys) == (1, ("another-clients-key",))
    assert "make trust-api-key" in output


def test_a_secret_that_changed_meanwhile_is_not_overwritten(operator: Operator, codat_wire: Proxy) -> None:
    """GIVEN a key that another operator stores during the rotation THEN it stays, and the unused key is named."""

    def store_another(exchange: Exchange) -> None:
        passed_on(exchange)
        if exchange.operation == "POST /apiKeys":
            operator.store_secret({**operator.stored_secret, "apiKey": "key-of-another-operator"})

    codat_wire.always(store_another)
    status, output = operator.run("rotate-api-key", CODAT_BASE_URL=codat_wire.url)
    assert (status, operator.stored_secret["apiKey"]) == (1, "key-of-another-operator")
    assert "Delete the key codat-customers 2" in output


def test_the_old_key_is_not_deleted_if_it_is_stored_again(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    old = operator.stored_secret["apiKey"]
    with interrupted(monkeypatch, "_wait"):
        operator.run("rotate-api-key")
    operator.store_secret({**operator.stored_secret, "apiKey": old})
    status, output = operator.run("rotate-api-key", DELETE_OLD="1")
    assert (status, old in operator.app.codat.api_keys, "not deleted" in output) == (1, True, True)


def test_an_entered_key_ends_an_interrupted_rotation(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a rotation that was interrupted in the wait THEN an entered key is stored, and the oldest key is named."""
    old = operator.stored_secret["apiKey"]
    key_id, _ = key_at_codat(operator, old)
    with interrupted(monkeypatch, "_wait"):
        operator.run("rotate-api-key")
    operator.app.codat.api_keys = (*operator.app.codat.api_keys, "key-from-the-portal")
    status, output = operator.run("rotate-api-key", "key-from-the-portal", MANUAL="1")
    assert (status, f"may have left the key {key_id}." in output) == (0, True)
    assert_rotated(operator, old, number=3)
