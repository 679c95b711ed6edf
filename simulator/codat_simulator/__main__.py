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

The accounting platforms' side, where their users revoke access, is http://127.0.0.1:4000/platform

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
    )
    add = parser.add_argument
    add("--port", type=_port, default=4000, help="default: 4000; 0 takes a free port")
    add("--api-key", action="append", metavar="KEY", help=f"a valid API key; repeatable; default: {API_KEY}")
    add("--webhook-url", action="append", type=_url, metavar="URL", help="send every event here; repeatable")
    add("--webhook-secret", action="append", type=_secret, metavar="SECRET",
        help=f"sign webhooks with this secret; repeatable; default: {WEBHOOK_SECRET}")  # fmt: skip
    add("--return-redirect", type=_url, metavar="URL", help="return the customer to this page after linking")
    add("--company-limit", type=_count, metavar="N", help="reject further companies with 402")
    add("--quota", type=_count, metavar="N", default=Settings.quota, help="requests a day; default: %(default)s")
    add("--list-lag", type=_seconds, metavar="SECONDS", default=Settings.list_lag, help="lists are this much behind")
    add("--omit-integration-key", action="store_true", help="leave integrationKey out of connections")
    add("--retry-scale", type=_seconds, metavar="FACTOR", default=Settings.retry_scale,
        help="factor for Svix's retry delays (5 s, 5 min, 30 min, ...); default: %(default)s")  # fmt: skip
    add("--fault", action="append", type=_fault, metavar="FAULT", help="add a fault, as below; repeatable")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    settings = Settings(
        api_keys=tuple(options.api_key or (API_KEY,)),
        webhook_urls=tuple(options.webhook_url or ()),
        webhook_secrets=tuple(options.webhook_secret or (WEBHOOK_SECRET,)),
        faults=tuple(options.fault or ()),
        company_limit=options.company_limit,
        quota=options.quota,
        return_redirect=options.return_redirect,
        retry_scale=options.retry_scale,
        list_lag=options.list_lag,
        omit_integration_key=options.omit_integration_key,
    )
    # Shells ignore the signal in background processes.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _serve(settings, options.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            sys.exit(f"Port {options.port} can't be used: {error.strerror}")
        sys.exit(f"Port {options.port} is taken. Choose another port, for example --port {options.port % 65_535 + 1}")


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
