"""Wrong usage exits with 2 and prints the usage; help needs no credentials."""

import re
import subprocess
import sys

import pytest

from cli.__main__ import main
from cli.arguments import TIMELINE_DAYS, parse
from local.template import Template
from tests.e2e.docs.markdown import ROOT

COMPLETE = {
    "webhook-consumer": ["--secret-arn", "arn", "--webhook-url", "https://api.example/webhooks/codat"],
    "rotate-webhook-secret": ["--secret-arn", "arn"],
    "retire-webhook-secret": ["--secret-arn", "arn"],
    "rotate-api-key": ["--secret-arn", "arn", "--table", "t"],
    "trust-api-key": ["--secret-arn", "arn", "--table", "t"],
    "link-origins": ["--secret-arn", "arn", "--origins", "https://app.example.com"],
    "log-id": ["--secret-arn", "arn", "--customer", "acme"],
    "replay": ["--table", "t"],
    "restore": ["--table", "t", "--from", "restored"],
    "restore-table": ["--table", "t"],
    "protect": ["--stack", "s"],
    "check-change-set": ["--change-set", "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/c/1"],
}
"""The options that each command needs if there is no stack."""


def assert_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str], *expected: str, environment: dict[str, str] | None = None
) -> None:
    with pytest.raises(SystemExit) as exit_error:
        main(arguments, environment or {})
    output = capsys.readouterr()
    assert (exit_error.value.code, output.out) == (2, "")
    assert output.err.startswith("usage: python -m cli")
    assert all(text in output.err for text in expected), output.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "COMMAND"),
        (["no-such-command"], "invalid choice: 'no-such-command'"),
        (["restore", "--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["restore", "--stack"], "expected one argument"),
        (["replay", "--table", "t", "--timeline-days", "many"], "invalid int value: 'many'"),
        (["restore-table", "--table", "t", "--time", "yesterday"], "'yesterday' is not a time. Give it in UTC"),
    ],
)
def test_wrong_arguments_print_the_usage(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_usage_error(arguments, capsys, expected)


@pytest.mark.parametrize(
    ("command", "missing"),
    [(command, name) for command, options in COMPLETE.items() for name in options if name.startswith("--")],
)
def test_a_missing_option_is_named(command: str, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN all options of a command but one THEN the error names that option and shows an example."""
    options = COMPLETE[command].copy()
    position = options.index(missing)
    del options[position : position + 2]
    assert_usage_error([command, *options], capsys, missing, f"Example: make {command} STACK=codat-customers")


@pytest.mark.parametrize("command", COMPLETE)
def test_empty_variables_are_missing(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN variables without a value, as of `make replay TABLE_NAME=` THEN the error names the options."""
    empty = dict.fromkeys(
        (
            "STACK",
            "SECRET_ARN",
            "WEBHOOK_URL",
            "TABLE_NAME",
            "FROM",
            "CHANGE_SET",
            "CODAT_BASE_URL",
            "ORIGINS",
            "CUSTOMER",
        ),
        "",
    )
    assert_usage_error([command], capsys, "Give --", environment=empty)


def test_a_table_is_not_restored_from_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert_usage_error(["restore", "--table", "t"], capsys, "the same table", environment={"FROM": "t"})


def test_the_name_of_a_change_set_needs_its_stack(capsys: pytest.CaptureFixture[str]) -> None:
    assert_usage_error(["check-change-set"], capsys, "Give --stack, or the ARN", environment={"CHANGE_SET": "c"})


@pytest.mark.parametrize("url", ["https://api.example", "http://api.example/webhooks/codat", "/webhooks/codat"])
def test_a_webhook_url_must_be_the_output_of_the_stack(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"SECRET_ARN": "arn", "WEBHOOK_URL": url}
    assert_usage_error(["webhook-consumer"], capsys, "WEBHOOK_URL must be", environment=environment)


@pytest.mark.parametrize("url", ["http://api.codat.io", "api.codat.io", "ftp://127.0.0.1"])
def test_an_api_key_is_only_sent_encrypted(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"STACK": "s", "CODAT_BASE_URL": url}
    assert_usage_error(["rotate-api-key"], capsys, "CODAT_BASE_URL must be", environment=environment)


@pytest.mark.parametrize(
    "origins",
    [
        "http://app.example.com",
        "app.example.com",
        "https://",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://app.example.com?query",
        "https://app.example.com#fragment",
        "https://user@app.example.com",
        "https://*.example.com",
        "*",
        "https://bücher.example",
        "https://app.example.com:99999",
        "https://app.example.com:0",
        "https://app.example.com:",
        "https://[::1",
        "https://app .example.com",
        "http://localhost.example.com",
        "https://app.example.com,ftp://localhost",
        "null",
    ],
)
def test_only_origins_can_embed_the_link_sdk(origins: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_usage_error(
        ["link-origins", "--stack", "s"], capsys, "is not an origin. Give https://", environment={"ORIGINS": origins}
    )


def test_origins_are_normalized_as_browsers_send_them() -> None:
    text = " https://App.example.com:443,https://app.example.com,, http://localhost:3000, https://b.example:8443"
    options = parse(["link-origins", "--stack", "s", "--origins", text], {"ORIGINS": "*"})
    assert options.origins == ("https://app.example.com", "http://localhost:3000", "https://b.example:8443")


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("1", True)])
def test_flags_default_to_variables(value: str, *, expected: bool) -> None:
    assert parse(["rotate-api-key", "--stack", "s"], {"DELETE_OLD": value}).delete_old is expected
    assert parse(["rotate-api-key", "--stack", "s"], {"MANUAL": value}).manual is expected
    assert (
        parse(["link-origins", "--stack", "s", "--origins", "https://a.example"], {"REPLACE": value}).replace
        is expected
    )
    assert parse(["rotate-api-key", "--stack", "s", "--delete-old"], {"DELETE_OLD": value}).delete_old


def test_a_key_that_is_entered_replaces_none_at_codat(capsys: pytest.CaptureFixture[str]) -> None:
    assert_usage_error(
        ["rotate-api-key", "--stack", "s", "--manual"], capsys, "exclude each other", environment={"DELETE_OLD": "1"}
    )


def test_options_default_to_variables() -> None:
    """GIVEN an option and its variable THEN the option wins; GIVEN neither THEN the default is used."""
    environment = {"STACK": "s", "TABLE_NAME": "t", "CODAT_BASE_URL": "https://other.example"}
    options = parse(["rotate-api-key", "--table", "given"], environment)
    assert (options.stack, options.table, options.codat_base_url) == ("s", "given", "https://other.example")
    options = parse(["rotate-api-key", "--stack", "s"], {})
    assert (options.table, options.codat_base_url) == ("", "")


def test_the_default_of_timeline_days_is_the_templates() -> None:
    assert Template.load().environment()["TIMELINE_DAYS"] == str(TIMELINE_DAYS)


@pytest.mark.parametrize("command", ["", *COMPLETE])
def test_help_needs_no_credentials_and_loads_no_client(command: str) -> None:
    """GIVEN an empty environment THEN help is printed, and boto3 and httpx are not imported."""
    code = """
import sys
from cli.__main__ import main
try:
    main(sys.argv[1:])
finally:
    assert not {"boto3", "botocore", "httpx", "shared", "local"} & sys.modules.keys()
"""
    arguments = [command, "--help"] if command else ["--help"]
    finished = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env={}, capture_output=True, text=True, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    expected = ["You need:", f"make {command} STACK=codat-customers"] if command else COMPLETE
    assert all(text in finished.stdout for text in expected)


def test_every_command_has_a_make_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    [targets] = re.findall(r"^(.+): \.venv/\.synced\n\t@exec \$\(PYTHON\) -m cli \$@$", makefile, re.MULTILINE)
    assert targets.split() == list(COMPLETE)
