"""Print the document that `make python-client` generates the client from.

The generator reads only the first media type of a response. So an answer that is either a problem or API Gateway's own
becomes one media type with both schemas; otherwise the client would raise KeyError for API Gateway's 429 and 503.
"""

import json

from contract import openapi


def document() -> openapi.Object:
    described = openapi.document()
    for path in described["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                _merge(response.get("content", {}))
    return described


def _merge(content: openapi.Object) -> None:
    if len(content) > 1:
        problems = content["application/problem+json"]["schema"]
        message = content.pop("application/json")["schema"]
        content["application/problem+json"]["schema"] = {"oneOf": [*problems.get("oneOf", [problems]), message]}


if __name__ == "__main__":
    print(json.dumps(document()))
