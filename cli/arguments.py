"""Parse the command line.

This module imports no AWS or HTTP client, so that help is fast and needs no credentials.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PROGRAM = "python -m cli"
CODAT_BASE_URL = "https://api.codat.io"
TIMELINE_DAYS = 400
"""The default of the template's parameter TimelineDays."""


class Options(Namespace):
    """The parsed command line. A value that was not given is empty."""

    command: str
    stack: str = ""
    secret_arn: str = ""
    webhook_url: str = ""
    table: str = ""
    source: str = ""
    to: str = ""
    time: datetime | None = None
    change_set: str = ""
    codat_base_url: str = ""
    timeline_days: int = 0
    origins: Sequence[str] = ()
    customer: str = ""
    manual: bool = False
    delete_old: bool = False
    replace: bool = False


class _Parser(ArgumentParser):
    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Formatter, allow_abbrev=False, **settings)


class _Formatter(RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=110)


@dataclass(frozen=True, slots=True)
class _Command:
    name: str
    summary: str
    text: str
    needs: tuple[str, ...]
    outputs: tuple[str, ...]
    """The options that can be left out if the stack is given, because its outputs contain them."""
    others: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    variables: str = "STACK=codat-customers-dev"

    @property
    def epilog(self) -> str:
        needs = "\n".join(f"  - {need}" for need in self.needs)
        arguments = re.sub(r"(\w+)=", lambda variable: f"--{variable[1].lower().replace('_', '-')} ", self.variables)
        return f"You need:\n{needs}\n\nExample:\n  {self.example}\n  {PROGRAM} {self.name} {arguments}"

    @property
    def example(self) -> str:
        return f"make {self.name} {self.variables}"


_DESCRIPTION = """\
Operate a deployment of codat-customers with your own AWS credentials.

Every command has a make target of the same name, which sets up Python first. Options default to
environment variables, which make also accepts: make rotate-api-key STACK=codat-customers-dev
"""

_EPILOG = f"""\
Read about a command:  {PROGRAM} webhook-consumer --help
Run a command:         {PROGRAM} webhook-consumer --stack codat-customers

Commands prompt for API keys and signing secrets; these are never arguments and never shown. You can
repeat every command, also after an interruption. Exit status: 0 success, 1 failure, 2 wrong usage.
"""

_READ_OUTPUTS = "cloudformation:DescribeStacks, if you give --stack"
_UPDATE_ACCESS = "GetSecretValue and PutSecretValue on the secret"

COMMANDS = (
    _Command(
        "webhook-consumer",
        "register the webhook consumer at Codat and store its signing secret",
        """\
Register this deployment as a webhook consumer at Codat, for exactly the event types that it handles.
Store the Codat API key and the consumer's signing secret in Secrets Manager.

Use it after the first deployment, and after an upgrade that changes the event types. A correct consumer
stays. An incorrect consumer is replaced without losing an event. Consumers with other URLs stay.
""",
        (_READ_OUTPUTS, _UPDATE_ACCESS, "the API key, unless it is stored, and the consumer's signing secret"),
        ("secret_arn", "webhook_url"),
        ("codat_base_url",),
    ),
    _Command(
        "rotate-webhook-secret",
        "store a new signing secret beside the old one",
        """\
Store a new signing secret beside the old one, so that no webhook is refused while Codat changes to it.

Use it when you rotate the signing secret in Codat's portal. Run retire-webhook-secret afterwards.
""",
        (_READ_OUTPUTS, _UPDATE_ACCESS, "the new signing secret"),
        ("secret_arn",),
    ),
    _Command(
        "retire-webhook-secret",
        "keep the signing secret that Codat uses now and remove the others",
        """\
Keep the signing secret that you enter and remove the others.

Use it after rotate-webhook-secret, at the time that it printed.
""",
        (_READ_OUTPUTS, _UPDATE_ACCESS, "the signing secret that Codat uses now"),
        ("secret_arn",),
    ),
    _Command(
        "rotate-api-key",
        "replace the Codat API key by a new one, and wait until no function uses the old one",
        """\
Create a new API key at Codat with the stored key, store it, and wait until no function uses the old key.
The old key stays at Codat, because another app may use it, unless you give --delete-old.

The new key must prove that it belongs to this deployment: Codat lists it beside a trusted key, or it shows
a company of this deployment. If you interrupt the command, repeat it: it continues where it stopped.

Use it to replace the API key. If the stored key was revoked, or Codat lets it create no keys, give --manual.
""",
        (
            _READ_OUTPUTS,
            _UPDATE_ACCESS,
            "GetItem, BatchGetItem, PutItem and Query on the table",
            "the new API key, if you give --manual",
        ),
        ("secret_arn", "table"),
        ("codat_base_url",),
        flags=("manual", "delete_old"),
    ),
    _Command(
        "trust-api-key",
        "confirm the stored Codat API key if it can't prove itself",
        """\
Show the Codat client that the stored API key belongs to, and trust the key after you confirm it.

Use it if calls fail because the API key is not trusted, and you are sure that the key is right.
""",
        (_READ_OUTPUTS, "GetSecretValue on the secret", "PutItem on the table"),
        ("secret_arn", "table"),
        ("codat_base_url",),
    ),
    _Command(
        "link-origins",
        "allow your web app's origins to embed Codat's Link SDK",
        """\
Allow the origins of your web app to embed Codat's Link SDK. Origins that Codat allows already stay, unless
you give --replace. The command prints what it adds and removes.

Use it before you embed the Link SDK, and when your app moves to another domain.
""",
        (_READ_OUTPUTS, "GetSecretValue on the secret"),
        ("secret_arn",),
        ("codat_base_url",),
        required=("origins",),
        flags=("replace",),
        variables="STACK=codat-customers-dev ORIGINS=https://app.example.com",
    ),
    _Command(
        "log-id",
        "print how log lines name a customer, if ids are hashed",
        """\
Print the hash that log lines contain instead of a customer's id, if HashIdsInLogs is true.

Use it to search the logs for a customer.
""",
        (_READ_OUTPUTS, "GetSecretValue on the secret"),
        ("secret_arn",),
        required=("customer",),
        variables="STACK=codat-customers-dev CUSTOMER=acme",
    ),
    _Command(
        "replay",
        "process the quarantined webhooks again",
        """\
Process the quarantined webhooks again: store those that this version can parse, and list the others
with the cause.

Use it after you corrected the code that could not parse them, from a checkout of that code.
""",
        (
            _READ_OUTPUTS,
            "BatchGetItem, GetItem, Query, PutItem, DeleteItem and ConditionCheckItem on the table",
        ),
        ("table",),
        ("timeline_days",),
    ),
    _Command(
        "restore",
        "put back lost items from a backup that was restored to another table",
        """\
Put back the items that the table has lost, from a backup that you restored to another table. Existing
items stay as they are. Then start a reconcile, if you give --stack.

Use it after items were lost. The API, webhooks and reconciles can run meanwhile.
""",
        (
            "Scan on the restored table",
            "BatchGetItem, PutItem and ConditionCheckItem on the stack's table",
            "cloudformation:DescribeStacks and lambda:InvokeFunction, if you give --stack",
        ),
        ("table",),
        required=("source",),
        variables="STACK=codat-customers-dev FROM=restored",
    ),
    _Command(
        "restore-table",
        "restore the stack's table, also a deleted one, under a new name",
        """\
Restore the stack's table to a new table, with stream, TTL, point-in-time recovery and deletion protection.
Raise the versions of its items, so that the app accepts events about them, and revoke its invitations. Print
the parameters that point the stack to it. Without --time it restores the newest state.

Use it after the table was deleted, or if its content is wrong since a time that you know. If it is
interrupted, repeat it with the --to that it printed.
""",
        (
            _READ_OUTPUTS,
            "ListBackups, RestoreTableToPointInTime and RestoreTableFromBackup",
            "DescribeTable, UpdateTable, DescribeTimeToLive, UpdateTimeToLive and UpdateContinuousBackups",
            "Scan, Query, GetItem, PutItem, UpdateItem, DeleteItem and BatchWriteItem on the new table",
        ),
        ("table",),
        ("to", "time"),
    ),
    _Command(
        "protect",
        "protect the stack and its data against replacement and deletion",
        """\
Set the stack policy of stack-policy.json, enable termination protection, and set the parameter
DeletionProtection to true. The template and the other parameters stay.

Use it after the first deployment.
""",
        (
            "cloudformation:DescribeStacks, GetStackPolicy, SetStackPolicy, UpdateTerminationProtection, UpdateStack",
            "UpdateTable on the table, unless the stack has a service role",
        ),
        (),
        required=("stack",),
    ),
    _Command(
        "check-change-set",
        "fail if a change set would replace or delete a table, secret, bucket or key",
        """\
Read a change set. Print each change that would or could replace or delete a table, secret, bucket or
key, and fail if there is one.

Use it before you execute a change set.
""",
        ("cloudformation:DescribeChangeSet",),
        (),
        required=("change_set",),
        variables="STACK=codat-customers-dev CHANGE_SET=samcli-deploy1795716000",
    ),
)


def _codat_base_url(text: str) -> str:
    if text and not _is_secure(text):
        raise ArgumentTypeError("CODAT_BASE_URL must be an https URL, because the API key is sent to it")
    return text


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a time. Give it in UTC, such as 2026-11-22T09:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _webhook_url(text: str) -> str:
    if text and not (_is_secure(text) and text.endswith("/webhooks/codat")):
        raise ArgumentTypeError("WEBHOOK_URL must be the stack's output WebhookUrl, https://…/webhooks/codat")
    return text


def _origins(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_origin(origin.strip()) for origin in text.split(",") if origin.strip()))


def _origin(text: str) -> str:
    """Return the origin as browsers send it: in lower case, without the scheme's own port."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    is_allowed = parts.scheme == "https" or (parts.scheme, host) == ("http", "localhost")
    origin = f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")
    if not (is_allowed and re.fullmatch(_HOST, host) and origin == text.lower() and port != 0):
        raise ArgumentTypeError(
            f"{text!r} is not an origin. Give https://, a host, and a port if it is not 443, without a path or "
            "wildcard. Only localhost may be http://. Separate origins by commas"
        )
    return origin.removesuffix(_DEFAULT_PORTS[parts.scheme])


_HOST = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


def _is_secure(url: str) -> bool:
    """Return whether requests are encrypted or stay on this machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme, parts.hostname) == ("http", "127.0.0.1"))


_OPTIONS: Mapping[str, tuple[str, str, str, Callable[[str], Any]]] = {
    "stack": (
        "--stack",
        "STACK",
        "name of the CloudFormation stack",
        str,
    ),
    "secret_arn": ("--secret-arn", "SECRET_ARN", "ARN of the deployment's secret, instead of --stack", str),
    "webhook_url": (
        "--webhook-url",
        "WEBHOOK_URL",
        "URL that Codat sends webhooks to, instead of --stack",
        _webhook_url,
    ),
    "table": ("--table", "TABLE_NAME", "name of the deployment's table, instead of --stack", str),
    "source": ("--from", "FROM", "name of the table that the backup was restored to", str),
    "to": ("--to", "TO", "name of the new table, STACK-restored-… with the time by default", str),
    "time": ("--time", "TIME", "time of the state to restore, such as 2026-11-22T09:00:00Z", _time),
    "change_set": (
        "--change-set",
        "CHANGE_SET",
        "name of the change set, or its ARN, which needs no --stack",
        str,
    ),
    "codat_base_url": (
        "--codat-base-url",
        "CODAT_BASE_URL",
        f"another Codat than the stack's, or than {CODAT_BASE_URL} without --stack",
        _codat_base_url,
    ),
    "origins": ("--origins", "ORIGINS", "the origins of your web app, separated by commas", _origins),
    "customer": ("--customer", "CUSTOMER", "the customer's id", str),
    "timeline_days": (
        "--timeline-days",
        "TIMELINE_DAYS",
        f"days until a timeline entry expires, instead of the stack's, or of {TIMELINE_DAYS} without --stack",
        int,
    ),
}
"""The flag, environment variable, help and type of each option."""

_FLAGS: Mapping[str, tuple[str, str, str]] = {
    "manual": ("--manual", "MANUAL", "ask for a key that you created in Codat's portal"),
    "delete_old": ("--delete-old", "DELETE_OLD", "delete the old key at Codat after the wait"),
    "replace": ("--replace", "REPLACE", "remove the other origins"),
}
"""The flag, environment variable and help of each option without a value."""


def parse(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> Options:
    """Return the options. Wrong usage is printed on stderr, and raises SystemExit with status 2."""
    parser = _Parser(prog=PROGRAM, description=_DESCRIPTION, epilog=_EPILOG)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.name, help=command.summary, description=command.text, epilog=command.epilog
        )
        for name in dict.fromkeys(("stack", *command.outputs, *command.others, *command.required)):
            flag, variable, text, convert = _OPTIONS[name]
            default = environment.get(variable) or getattr(Options, name)
            text = f"{text} (or set {variable})"
            subparser.add_argument(flag, dest=name, type=convert, default=default, metavar=variable, help=text)
        for name in command.flags:
            flag, variable, text = _FLAGS[name]
            default = environment.get(variable, "") not in {"", "0"}
            text = f"{text} (or set {variable}=1)"
            subparser.add_argument(flag, dest=name, action="store_true", default=default, help=text)
        subparser.set_defaults(check=partial(_check, command, subparser))
    options = parser.parse_args(arguments, Options())
    options.check(options)
    return options


def _check(command: _Command, parser: ArgumentParser, options: Options) -> None:
    """Print the usage and exit if an option is missing or contradicts another."""
    example = f"Example: {command.example}"
    missing = [_OPTIONS[name][0] for name in command.outputs if not getattr(options, name)]
    if missing and not options.stack:
        parser.error(f"Give --stack, or {' and '.join(missing)}. {example}")
    for name in command.required:
        if not getattr(options, name):
            parser.error(f"Give {_OPTIONS[name][0]}. {example}")
    if options.change_set and not options.stack and not options.change_set.startswith("arn:"):
        parser.error(f"Give --stack, or the ARN of the change set. {example}")
    if options.manual and options.delete_old:
        parser.error(f"--manual and --delete-old exclude each other. {example}")
    if options.source and options.source == options.table:
        parser.error(f"--from and --table are the same table. {example}")
