"""Codat's official clients work with the simulator and can parse all its responses and events."""

import base64
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.faults import Fault
from codat_simulator.server import CodatServer
from receiver import Receiver

# Imported by name, as Any: the clients load their classes lazily, which their types don't declare.
codat_platform: Any = import_module("codat_platform")
errors: Any = import_module("codat_platform.models.errors")
shared: Any = import_module("codat_platform.models.shared")
retries: Any = import_module("codat_platform.utils.retries")
payables: Any = import_module("codat_sync_for_payables")
payables_errors: Any = import_module("codat_sync_for_payables.models.errors")
payables_shared: Any = import_module("codat_sync_for_payables.models.shared")
payables_retries: Any = import_module("codat_sync_for_payables.utils.retries")

# By default the clients retry for up to an hour.
NO_RETRIES = "none"


@pytest.fixture
def sdk(codat: CodatServer) -> Any:
    return codat_platform.CodatPlatform(
        security=shared.Security(auth_header=codat.authorization),
        server_url=codat.base_url,
        retry_config=retries.RetryConfig(strategy=NO_RETRIES),
    )


@pytest.fixture
def company(sdk: Any) -> Any:
    return sdk.companies.create(
        request={
            "name": "Bank of Dave (Codat[1])",
            "description": "A customer",
            "tags": {"uid": "customer-1", "region": "uk"},
        }
    )


@pytest.fixture
def connection(sdk: Any, company: Any) -> Any:
    return sdk.connections.create(request={"company_id": company.id, "request_body": {"platform_key": "gbol"}})


def test_company_is_created_listed_changed_and_deleted(sdk: Any, company: Any) -> None:
    assert (company.name, company.tags) == ("Bank of Dave Codat1", {"uid": "customer-1", "region": "uk"})

    listed = sdk.companies.list(request={"tags": "uid=customer-1&&region!=us", "page": 1, "page_size": 10})
    assert [row.id for row in listed.results or []] == [company.id]
    assert sdk.companies.get(request={"company_id": company.id}).description == "A customer"
    updated = sdk.companies.update(
        request={"company_id": company.id, "company_update_request": shared.CompanyUpdateRequest(name="Renamed")}
    )
    assert (updated.name, updated.tags) == ("Renamed", company.tags)
    replaced = sdk.companies.replace(
        request={"company_id": company.id, "company_request_body": shared.CompanyRequestBody(name="Replaced")}
    )
    assert (replaced.name, replaced.tags) == ("Replaced", None)

    sdk.companies.delete(request={"company_id": company.id})
    with pytest.raises(errors.ErrorMessage) as error:
        sdk.companies.get(request={"company_id": company.id})
    assert error.value.data.status_code == 404
    assert error.value.data.correlation_id


def test_connection_is_created_linked_unlinked_and_deleted(
    sdk: Any, codat: CodatServer, company: Any, connection: Any
) -> None:
    assert connection.status.value == "PendingAuth"
    ids = {"company_id": company.id, "connection_id": connection.id}
    codat.state.link(company.id, connection.id)

    listed = sdk.connections.list(request={"company_id": company.id})
    assert [row.status.value for row in listed.results or []] == ["Linked"]
    unlinked = sdk.connections.unlink(request={**ids, "update_connection_status": {"status": "Unlinked"}})
    assert unlinked.status.value == "Unlinked"
    assert sdk.connections.get(request=ids).status.value == "Unlinked"

    sdk.connections.delete(request=ids)
    with pytest.raises(errors.ErrorMessage) as error:
        sdk.connections.get(request=ids)
    assert error.value.data.status_code == 404


def test_failed_connection_has_an_error(sdk: Any, codat: CodatServer, company: Any, connection: Any) -> None:
    codat.state.cancel(company.id, connection.id)

    read = sdk.connections.get(request={"company_id": company.id, "connection_id": connection.id})

    (error,) = read.data_connection_errors or []
    assert (error.status_code, error.status_text) == ("403", "User cancelled linking")


def test_access_token_integrations_and_consumers(sdk: Any, company: Any) -> None:
    token = sdk.companies.get_access_token(request={"company_id": company.id})
    assert (token.expires_in, token.token_type, bool(token.access_token)) == (86_400, "Bearer", True)

    integrations = sdk.integrations.list(request={"query": "sourceType=Accounting&&enabled=true"})
    assert "knfz" in {integration.key for integration in integrations.results or []}
    assert sdk.integrations.get(request={"platform_key": "pqsw"}).is_offline_connector
    others = sdk.integrations.list(request={"query": "sourceType!=Accounting&&enabled=true", "page": 1, "page_size": 3})
    assert {each.source_type.value for each in others.results} == {"Banking", "BankFeed"}
    assert all(each.enabled for each in others.results)
    assert [each.is_beta for each in others.results if each.source_type.value == "BankFeed"] == [True]
    assert all(each.logo_url.startswith("https://") for each in others.results)

    consumer = sdk.webhooks.create_consumer(
        request={"url": "https://example.com/hook", "event_types": ["connection.connected"]}
    )
    assert [row.id for row in sdk.webhooks.list_consumers().results or []] == [consumer.id]
    sdk.webhooks.delete_consumer(request={"webhook_id": consumer.id})
    assert sdk.webhooks.list_consumers().results == []


def test_api_key_is_created_used_and_deleted(sdk: Any, codat: CodatServer) -> None:
    (first,) = sdk.settings.list_api_keys().results
    assert (first.api_key, bool(first.id), bool(first.created_date)) == (codat.api_keys[0], True, True)

    created = sdk.settings.create_api_key(request={"name": "azure-invoice-finance-processor"})
    assert (created.name, created.api_key) == ("azure-invoice-finance-processor", codat.api_keys[1])
    unnamed = sdk.settings.create_api_key()
    assert [key.id for key in sdk.settings.list_api_keys().results] == [first.id, created.id, unnamed.id]

    value = base64.b64encode(created.api_key.encode()).decode()
    other = codat_platform.CodatPlatform(
        security=shared.Security(auth_header=f"Basic {value}"),
        server_url=codat.base_url,
        retry_config=retries.RetryConfig(strategy=NO_RETRIES),
    )
    assert other.companies.list().results == []

    # Codat's OpenAPI file declares an error document for this 204, so the client rejects the empty body.
    with pytest.raises(errors.ResponseValidationError) as empty:
        sdk.settings.delete_api_key(request={"api_key_id": created.id})
    assert (empty.value.status_code, empty.value.body) == (204, "")
    assert [key.id for key in sdk.settings.list_api_keys().results] == [first.id, unnamed.id]
    with pytest.raises(errors.ErrorMessage) as error:
        other.companies.list()
    assert error.value.data.status_code == 401
    with pytest.raises(errors.ErrorMessage) as error:
        sdk.settings.delete_api_key(request={"api_key_id": created.id})
    assert error.value.data.status_code == 404


def test_api_keys_are_limited(sdk: Any, codat: CodatServer) -> None:
    codat.api_keys = (*codat.api_keys, *(f"key-{number}" for number in range(9)))

    with pytest.raises(errors.ErrorMessage) as error:
        sdk.settings.create_api_key(request={"name": "Beyond the limit"})
    assert error.value.data.status_code == 409
    assert "Maximum number of API keys reached" in error.value.data.error


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_cors_settings_are_replaced(sdk: Any, codat: CodatServer) -> None:
    # The client uses the earlier path, /connectionManagement/corsSettings, which has the same settings.
    assert sdk.cors.get().allowed_origins == []
    for origins in (["https://a.example", "http://localhost:3000"], ["https://b.example"], []):
        answer = sdk.cors.set(request={"allowed_origins": origins})
        assert answer.allowed_origins == origins
        assert sdk.cors.get().allowed_origins == origins
        assert codat.allowed_origins == tuple(origins)


def test_connection_without_integration_key(sdk: Any, codat: CodatServer, company: Any) -> None:
    codat.serializer.omit_integration_key = True

    created = sdk.connections.create(request={"company_id": company.id, "request_body": {"platform_key": "gbol"}})

    assert created.integration_key is None
    read = sdk.connections.get(request={"company_id": company.id, "connection_id": created.id})
    assert (read.integration_key, read.platform_name) == (None, "Xero")


def test_page_of_a_gateway(sdk: Any, codat: CodatServer) -> None:
    codat.faults.add(Fault(kind="status", status=503, page=True, cached=False, retry_after=0))

    with pytest.raises(errors.SDKError) as error:
        sdk.companies.list()
    assert (error.value.status_code, "<html>" in error.value.body) == (503, True)


def test_wrong_api_key(codat: CodatServer) -> None:
    client = codat_platform.CodatPlatform(
        security=shared.Security(auth_header="Basic d3Jvbmc="),
        server_url=codat.base_url,
        retry_config=retries.RetryConfig(strategy=NO_RETRIES),
    )

    with pytest.raises(errors.ErrorMessage) as error:
        client.companies.list()
    assert error.value.data.status_code == 401


def test_account_limit(sdk: Any, codat: CodatServer) -> None:
    codat.state.company_limit = 0

    with pytest.raises(errors.ErrorMessage) as error:
        sdk.companies.create(request={"name": "Beyond the limit"})
    assert error.value.data.status_code == 402


def test_malformed_query(sdk: Any) -> None:
    with pytest.raises(errors.ErrorMessage) as error:
        sdk.companies.list(request={"tags": "uid"})
    assert (error.value.data.status_code, error.value.data.service) == (400, "ClientsApi")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_error_status(sdk: Any, codat: CodatServer, status: int) -> None:
    # Zero, because the client waits for this time three times, even without retries.
    codat.faults.add(Fault(kind="status", status=status, retry_after=0))

    with pytest.raises(errors.ErrorMessage) as error:
        sdk.companies.list()
    assert error.value.data.status_code == status
    assert error.value.headers["Retry-After"] == "0"


def test_client_of_payables_links_and_unlinks_a_company(codat: CodatServer) -> None:
    sdk = payables.CodatSyncPayables(
        security=payables_shared.Security(auth_header=codat.authorization),
        server_url=codat.base_url,
        retry_config=payables_retries.RetryConfig(strategy=NO_RETRIES),
    )
    company = sdk.companies.create(request={"name": "Payables", "tags": {"uid": "customer-2"}})
    connection = sdk.connections.create(request={"company_id": company.id, "request_body": {"platform_key": "qhyg"}})
    ids = {"company_id": company.id, "connection_id": connection.id}
    codat.state.link(company.id, connection.id)

    listed = sdk.companies.list(request={"tags": "uid=customer-2"}).results or []
    assert [row.id for row in listed] == [company.id]
    assert str(sdk.connections.get(request=ids).status.value) == "Linked"
    unlinked = sdk.connections.unlink(request={**ids, "request_body": {"status": "Unlinked"}})
    assert str(unlinked.status.value) == "Unlinked"

    sdk.connections.delete(request=ids)
    sdk.companies.delete(request={"company_id": company.id})
    with pytest.raises(payables_errors.ErrorMessage) as error:
        sdk.companies.get(request={"company_id": str(uuid4())})
    assert error.value.data.status_code == 404


def test_events_are_read_by_the_models_of_the_client(
    receiver: Receiver, sdk: Any, codat: CodatServer, company: Any, connection: Any
) -> None:
    codat.state.link(company.id, connection.id)
    codat.wait_idle()
    codat.state.revoke(company.id, connection.id)
    sdk.companies.delete(request={"company_id": company.id})
    codat.wait_idle()

    bodies = {message.type: message.body.decode() for message in receiver.received}

    deleted = shared.CompanyWebhook.from_json(bodies["company.deleted"])
    assert deleted.payload.tags["uid"] == "customer-1"
    disconnected = shared.ConnectionWebhook.from_json(bodies["connection.disconnected"])
    assert disconnected.payload.connection.status.value == "Deauthorized"
    assert disconnected.payload.connection.data_connection_errors[0].status_code == "401"
    read = shared.ReadCompletedWebhook.from_json(bodies["read.completed.initial"])
    assert read.payload.data_types[0].connection_id == connection.id


def test_failed_read_is_read_by_the_models_of_the_client(
    receiver: Receiver, codat: CodatServer, company: Any, connection: Any
) -> None:
    codat.state.link(company.id, connection.id)
    codat.wait_idle()
    codat.state.finish_initial_read(company.id, connection.id, failed=("invoices",))
    codat.wait_idle()

    read = shared.ReadCompletedWebhook.from_json(receiver.received[-1].body.decode())

    (failed,) = [row for row in read.payload.data_types if row.status.value != "Complete"]
    assert (failed.data_type.value, failed.status.value) == ("invoices", "FetchError")
    assert [bool(issue.type and issue.message) for issue in failed.issues] == [True]
