"""Run the Codat simulator on this machine until Ctrl-C."""

import argparse
import errno
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, TypeAdapter, ValidationError

from codat_simulator import control, faults
from codat_simulator.faults import Fault
from codat_simulator.server import CodatServer
from codat_simulator.settings import API_KEY, WEBHOOK_SECRET, Seconds, Settings, Url, WebhookSecret

_HELP = f"""\
example:
    codat-simulator --port 4000 --webhook-url http://127.0.0.1:3000/webhooks/codat

    curl -H "Authorization: Basic $(printf %s {API_KEY} | base64)" \\
        -d '{{"name": "Bank of Dave"}}' http://127.0.0.1:4000/companies

Revoke access as the accounting platform at http://127.0.0.1:4000/platform

{control.__doc__}
{faults.__doc__}
For example: --fault kind=status,status=503,when=after,method=POST,path=/companies,times=1
"""


def _checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a type for argparse that shows pydantic's messages."""

    def parse_argument(text: str) -> Any:
        try:
            return parse(text)
        except ValidationError as error:
            messages = [": ".join([*map(str, line["loc"]), line["msg"]]) for line in error.errors()]
            raise argparse.ArgumentTypeError("; ".join(messages)) from error
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse_argument


_port = _checked(TypeAdapter(Annotated[int, Field(ge=0, le=65_535)]).validate_python)
_count = _checked(TypeAdapter(NonNegativeInt).validate_python)
_seconds = _checked(TypeAdapter(Seconds).validate_python)
_url = _checked(TypeAdapter(Url).validate_python)
_secret = _checked(TypeAdapter(WebhookSecret).validate_python)
_fault = _checked(Fault.from_words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="codat-simulator",
        usage="%(prog)s [options]",
        description=__doc__,
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )

    def add(flag: str, setting: str, parse: Callable[[str], Any], metavar: str, text: str) -> None:
        is_list = isinstance(getattr(Settings, setting, None), tuple)
        action, suffix = ("append", "; repeatable") if is_list else ("store", "")
        parser.add_argument(flag, dest=setting, action=action, type=parse, metavar=metavar, help=text + suffix)

    add("--port", "port", _port, "PORT", "default: 4000; 0 takes a free port")
    add("--api-key", "api_keys", str, "KEY", f"a valid API key; default: {API_KEY}")
    add("--webhook-url", "webhook_urls", _url, "URL", "send every event here")
    add("--webhook-secret", "webhook_secrets", _secret, "SECRET", f"sign webhooks; default: {WEBHOOK_SECRET}")
    add("--return-redirect", "return_redirect", _url, "URL", "return the customer to this page after linking")
    add("--company-limit", "company_limit", _count, "N", "reject further companies with 402")
    add("--quota", "quota", _count, "N", f"requests a day; default: {Settings.quota}")
    add("--list-lag", "list_lag", _seconds, "SECONDS", "lists return the state from this long ago")
    add("--retry-scale", "retry_scale", _seconds, "FACTOR", f"multiplies retry delays; default: {Settings.retry_scale}")
    add("--fault", "faults", _fault, "FAULT", "add a fault, as below")
    stable = "links work more than once and don't expire"
    parser.add_argument("--stable-links", dest="one_time_links", action="store_false", help=stable)
    omit = "leave integrationKey out of connections"
    parser.add_argument("--omit-integration-key", action="store_true", help=omit)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options: dict[str, Any] = {"port": 4000, **vars(_parser().parse_args(arguments))}
    port: int = options.pop("port")
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    settings = Settings(**values)
    # Shells ignore the signal in background processes.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _serve(settings, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            sys.exit(f"Port {port} can't be used: {error.strerror}")
        sys.exit(f"Port {port} is taken. Choose another port, for example --port {port % 65_535 + 1}")


def _serve(settings: Settings, port: int) -> None:
    with CodatServer(settings, port=port) as codat, suppress(KeyboardInterrupt):
        print(f"Codat simulator: {codat.base_url}")
        print(f"Authorization:   {codat.authorization}")
        print(f"Platforms' side: {codat.base_url}/platform")
        print(f"Controls:        {codat.base_url}/_control/ (codat-simulator --help lists them)")
        print("Press Ctrl-C to stop.", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
