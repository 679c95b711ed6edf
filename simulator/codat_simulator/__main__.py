"""`python -m codat_simulator`: the simulated Codat alone, until Ctrl-C."""

import argparse
import errno
import signal
import sys
import threading
from contextlib import suppress

from pydantic import ValidationError

from codat_simulator import faults
from codat_simulator.faults import Fault
from codat_simulator.server import CodatServer
from codat_simulator.settings import API_KEY, WEBHOOK_SECRET, Settings


def _fault(text: str) -> Fault:
    try:
        return Fault.from_words(text)
    except ValidationError as error:
        wrong = "; ".join(f"{line['loc'][0]}: {line['msg']}" for line in error.errors())
        raise argparse.ArgumentTypeError(wrong) from error
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m codat_simulator",
        description=__doc__,
        epilog=faults.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=4000)
    parser.add_argument("--api-key", action="append", help=f"default: {API_KEY}")
    parser.add_argument("--webhook-url", action="append", default=[], help="gets every event; repeatable")
    parser.add_argument("--webhook-secret", action="append", help=f"repeatable; default: {WEBHOOK_SECRET}")
    parser.add_argument("--return-redirect", help="where a person goes after linking")
    parser.add_argument("--company-limit", type=int, help="companies beyond it are refused with 402")
    parser.add_argument("--quota", type=int, default=Settings.quota, help="requests a day")
    parser.add_argument("--list-lag", type=float, default=Settings.list_lag, help="seconds that lists lag behind")
    parser.add_argument("--omit-integration-key", action="store_true", help="leave integrationKey out of connections")
    parser.add_argument("--retry-scale", type=float, default=Settings.retry_scale)
    parser.add_argument(
        "--fault",
        action="append",
        type=_fault,
        default=[],
        help="repeatable, as below: kind=status,status=503,when=after,method=POST,path=/companies,times=1",
    )
    arguments = parser.parse_args()
    settings = Settings(
        api_keys=tuple(arguments.api_key or (API_KEY,)),
        webhook_urls=tuple(arguments.webhook_url),
        webhook_secrets=tuple(arguments.webhook_secret or (WEBHOOK_SECRET,)),
        faults=tuple(arguments.fault),
        company_limit=arguments.company_limit,
        quota=arguments.quota,
        return_redirect=arguments.return_redirect,
        retry_scale=arguments.retry_scale,
        list_lag=arguments.list_lag,
        omit_integration_key=arguments.omit_integration_key,
    )
    # A shell starts what runs in its background with the signal ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _serve(settings, arguments.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sys.exit(f"Port {arguments.port} is taken. Choose another one: --port {arguments.port + 1}")


def _serve(settings: Settings, port: int) -> None:
    with CodatServer(settings, port=port) as codat, suppress(KeyboardInterrupt):
        print(f"Simulated Codat on {codat.base_url}  (Authorization: {codat.authorization})")
        print(f"Accounting platforms' side: {codat.base_url}/platform")
        print("Ctrl-C ends it.", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
