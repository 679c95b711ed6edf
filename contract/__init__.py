"""The API's contract: what a caller may rely on, as OpenAPI 3.1 and as pages in docs/.

`python -m contract` writes docs/openapi.json, docs/events/, docs/problems/, docs/event-types/ and the tables of
docs/api.md. Routes come from template.yaml, request bodies from the models that validate them, problems from the table
that maps errors. Answers have models of their own here: no function imports this package, because models of answers
would make every cold start longer. A pytest plugin validates every real request and response.
"""
