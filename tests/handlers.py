"""The functions' handlers. A function builds its clients when it is imported, so a stack has to run by then."""

from importlib import import_module
from typing import Any


def handler(name: str) -> Any:
    """Return the handler of `functions/NAME`."""
    return import_module(f"functions.{name}.app").handler
