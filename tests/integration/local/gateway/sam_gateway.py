"""Answer every request with the event that SAM CLI constructs.

Run it in SAM CLI's environment:
`.sam/bin/python -m tests.integration.local.gateway.sam_gateway PORT SHOWN_PORT ROUTE…`.
"""

import sys
from typing import Any

from flask import Flask, request
from samcli.local.apigw.event_constructor import construct_v2_event_http
from samcli.local.apigw.path_converter import PathConverter
from werkzeug.serving import WSGIRequestHandler

# A REST API's template lists them; an HTTP API's can't.
BINARY_TYPES = ["application/octet-stream"]


def main(port: int, shown_port: int, routes: list[str]) -> None:
    app = Flask(__name__)

    def event(**_: str) -> Any:
        route = f"{request.method} {PathConverter.convert_path_to_api_gateway(request.endpoint)}"
        return construct_v2_event_http(request, shown_port, BINARY_TYPES, route_key=route)

    for route in routes:
        method, path = route.split(" ")
        rule = PathConverter.convert_path_to_flask(path)
        app.add_url_rule(rule, endpoint=rule, view_func=event, methods=[method], provide_automatic_options=False)
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    app.run("127.0.0.1", port)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
