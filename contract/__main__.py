"""Write the contract's files; with --check, fail if one is not up to date."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from contract import models, openapi, pages, problems, schemas
from contract.fields import UndocumentedField

DOCS = openapi.ROOT / "docs"
GENERATED = ("events", "problems", "event-types")
"""Folders of docs/ that contain generated files only."""


def files() -> Iterator[tuple[Path, str]]:
    """Yield each file with its text. Raises UndocumentedRoute, UndocumentedField."""
    yield DOCS / "openapi.json", _json(openapi.document())
    for event_type in models.CHANGE_EVENTS:
        yield DOCS / "events" / f"{event_type}.json", _json(schemas.event_schema(event_type))
        yield DOCS / "event-types" / f"{event_type}.md", pages.event_page(event_type)
    for name, problem in problems.DOCUMENTED.items():
        yield DOCS / "problems" / f"{name}.md", pages.problem_page(problem)
    yield DOCS / "api.md", pages.with_tables((DOCS / "api.md").read_text("utf-8"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    try:
        expected = dict(files())
    except (openapi.UndocumentedRoute, UndocumentedField) as error:
        print(error, file=sys.stderr)
        return 1
    present = {path for folder in GENERATED for path in (DOCS / folder).glob("*")}
    changed = [path for path, text in expected.items() if not path.exists() or path.read_text("utf-8") != text]
    stale = sorted({*changed, *(present - expected.keys())})
    if check:
        for path in stale:
            print(f"{path.relative_to(openapi.ROOT)} is not up to date: run `make openapi`.", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        if path in expected:
            path.parent.mkdir(exist_ok=True)
            path.write_text(expected[path], "utf-8")
        else:
            path.unlink()
        print(path.relative_to(openapi.ROOT))
    return 0


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
