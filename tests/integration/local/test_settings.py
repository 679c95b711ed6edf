"""What the stack takes from the environment."""

import base64

import pytest

from local.settings import LocalSettings, SettingsError


def test_nothing_set_is_a_stack_of_its_own() -> None:
    """The simulated Codat, moto, port 3000, and secrets that nobody knows beforehand."""
    one, other = LocalSettings.from_environment({}), LocalSettings.from_environment({"PORT": " "})
    assert (one.codat_base_url, one.dynamodb_endpoint, one.adopt_strays, one.port) == (None, None, None, 3000)
    assert one.webhook_secrets != other.webhook_secrets
    assert one.codat_api_key != other.codat_api_key
    assert len(base64.b64decode(one.webhook_secrets[0].removeprefix("whsec_"), validate=True)) == 24


def test_everything_set() -> None:
    """Each variable of the design replaces its part."""
    settings = LocalSettings.from_environment(
        {
            "CODAT_BASE_URL": "http://127.0.0.1:4000/",
            "CODAT_API_KEY": "key",
            "CODAT_WEBHOOK_SECRETS": "whsec_b25l, whsec_dHdv",
            "AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:8000",
            "ADOPT_STRAYS": "Yes",
            "PORT": "0",
        }
    )
    assert settings == LocalSettings(
        codat_base_url="http://127.0.0.1:4000",
        codat_api_key="key",
        webhook_secrets=("whsec_b25l", "whsec_dHdv"),
        own_webhook_secrets=True,
        dynamodb_endpoint="http://localhost:8000",
        adopt_strays="true",
        port=0,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("PORT", "-1"),
        ("CODAT_BASE_URL", "api.codat.io"),
        ("CODAT_BASE_URL", "ftp://api.codat.io"),
        ("CODAT_WEBHOOK_SECRETS", "b25l"),
        ("CODAT_WEBHOOK_SECRETS", "whsec_b25l,whsec_???"),
        ("CODAT_WEBHOOK_SECRETS", "whsec_"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "localhost:8000"),
        ("ADOPT_STRAYS", "maybe"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, value: str) -> None:
    """The message names the variable, and doesn't repeat a secret."""
    with pytest.raises(SettingsError, match=name) as refused:
        LocalSettings.from_environment({"CODAT_API_KEY": "key", name: value})
    assert "b25l" not in str(refused.value)


def test_another_codat_needs_its_key() -> None:
    """A made-up key would only be refused there, call by call."""
    with pytest.raises(SettingsError, match="CODAT_API_KEY"):
        LocalSettings.from_environment({"CODAT_BASE_URL": "https://api.codat.io"})
