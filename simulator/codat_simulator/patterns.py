"""Patterns of request paths and event types: `*` is one segment of a path, `**` anything."""

import re
from functools import lru_cache


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"(\*\*|\*)", pattern)
    return re.compile("".join({"**": ".*", "*": "[^/]*"}.get(piece, re.escape(piece)) for piece in pieces))


def matches(pattern: str, text: str) -> bool:
    return compiled(pattern).fullmatch(text) is not None
