"""Settings from environment variables."""

import base64

import pytest

from local.settings import LocalSettings, SettingsError


def test_defaults() -> None:
    """The Codat simulator, moto, port 3000, random secrets. A blank variable counts as unset."""
    first, second = LocalSettings.from_environment({}), LocalSettings.from_environment({"PORT": " "})
    assert (first.codat_base_url, first.dynamodb_endpoint, first.adopt_orphans, first.port) == (None, None, None, 3000)
    assert (first.codat_port, first.one_time_links) == (3001, False)
    assert first.webhook_secrets != second.webhook_secrets
    assert first.codat_api_key != second.codat_api_key
    assert len(base64.b64decode(first.webhook_secrets[0].removeprefix("whsec_"), validate=True)) == 24


def test_each_variable_replaces_a_default() -> None:
    """A trailing slash of a base URL is removed."""
    settings = LocalSettings.from_environment(
        {
            "CODAT_BASE_URL": "http://127.0.0.1:4000/",
            "CODAT_API_KEY": "key",
            "CODAT_WEBHOOK_SECRETS": "whsec_b25l, whsec_dHdv",
            "AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:8000",
            "ADOPT_ORPHANS": "Yes",
            "APP_WEBHOOK_URL": "http://127.0.0.1:8080/events/",
            "APP_WEBHOOK_KEY": "app-key",
            "ONE_TIME_LINKS": "true",
            "APP_NAME": "Bloom & Daughters",
            "APP_ACCENT_COLOR": "#0b6e4F",
            "APP_LOGO_URL": "https://cdn.example.com/logo.svg",
            "SHOW_PLATFORM_LOGOS": "true",
            "PLATFORM_KEYS": "qhyg, gbol",
            "SOURCE_TYPES": "Accounting,Banking",
            "PORT": "0",
        }
    )
    assert settings == LocalSettings(
        codat_base_url="http://127.0.0.1:4000",
        codat_api_key="key",
        webhook_secrets=("whsec_b25l", "whsec_dHdv"),
        own_webhook_secrets=True,
        dynamodb_endpoint="http://localhost:8000",
        adopt_orphans=True,
        app_webhook_url="http://127.0.0.1:8080/events/",
        app_webhook_key="app-key",
        one_time_links=True,
        app_name="Bloom & Daughters",
        app_accent_color="#0b6e4F",
        app_logo_url="https://cdn.example.com/logo.svg",
        show_platform_logos=True,
        platform_keys=("qhyg", "gbol"),
        source_types=("Accounting", "Banking"),
        port=0,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("PORT", "-1"),
        ("PORT", "65535"),
        ("ONE_TIME_LINKS", "once"),
        ("CODAT_BASE_URL", "api.codat.io"),
        ("CODAT_BASE_URL", "ftp://api.codat.io"),
        ("CODAT_WEBHOOK_SECRETS", "b25l"),
        ("CODAT_WEBHOOK_SECRETS", "whsec_b25l,whsec_???"),
        ("CODAT_WEBHOOK_SECRETS", "whsec_"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "localhost:8000"),
        ("CODAT_WEBHOOK_SECRETS", ","),
        ("ADOPT_ORPHANS", "maybe"),
        ("ADOPT_STRAYS", "maybe"),
        ("APP_WEBHOOK_URL", "localhost:8080"),
        ("APP_WEBHOOK_KEY", "two words"),
        ("PLATFORM_KEYS", "QuickBooks"),
        ("PLATFORM_KEYS", "qhyg;gbol"),
        ("SOURCE_TYPES", ","),
        ("SOURCE_TYPES", "Accounting|Banking"),
        ("APP_WEBHOOK_KEY", "schlüssel"),
        ("APP_NAME", "<b>"),
        ("APP_NAME", "x" * 61),
        ("APP_ACCENT_COLOR", "red"),
        ("APP_LOGO_URL", "http://cdn.example.com/logo.svg"),
        ("APP_LOGO_URL", "https://cdn.example.com/a b"),
        ("SHOW_PLATFORM_LOGOS", "maybe"),
    ],
)
def test_an_invalid_value_is_an_error_with_the_variables_name(name: str, value: str) -> None:
    """The message is a single line without the value, which may be a secret."""
    with pytest.raises(SettingsError, match=name) as raised:
        LocalSettings.from_environment({"CODAT_API_KEY": "key", name: value})
    assert "b25l" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("variables", "adopts"),
    [
        ({"ADOPT_STRAYS": "true"}, True),
        ({"ADOPT_STRAYS": "0"}, False),
        ({"ADOPT_ORPHANS": "off", "ADOPT_STRAYS": "on"}, False),
        ({"ADOPT_ORPHANS": "", "ADOPT_STRAYS": "on"}, True),
    ],
)
def test_adopt_orphans_wins_over_its_former_name(variables: dict[str, str], adopts: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """ADOPT_STRAYS is still accepted."""
    assert LocalSettings.from_environment(variables).adopt_orphans is adopts


def test_a_codat_base_url_needs_an_api_key() -> None:
    """Codat would reject every call with a random key."""
    with pytest.raises(SettingsError, match="CODAT_API_KEY"):
        LocalSettings.from_environment({"CODAT_BASE_URL": "https://api.codat.io"})
