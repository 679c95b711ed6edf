"""What a person reads."""

import io
import os
from typing import Any

import pytest

from local.terminal import Console


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_colour_only_where_it_is_wanted(terminal: bool, environment: dict[str, str], coloured: bool) -> None:  # noqa: FBT001 - parameters of the test
    """On a terminal, unless NO_COLOR holds anything or the terminal is a dumb one."""
    stream = Stream(terminal=terminal)
    console = Console.on(stream, environment)
    console.line(console.bold("word"))
    assert ("\x1b[" in stream.getvalue()) == coloured


def test_a_terminal_without_unicode_still_gets_its_lines() -> None:
    """What its encoding lacks is replaced; nothing is raised."""
    raw: Any = io.BytesIO()
    console = Console.on(io.TextIOWrapper(raw, "ascii", write_through=True), {})
    console.line("PendingAuth → Linked")
    assert raw.getvalue() == b"PendingAuth ? Linked\n"


def test_a_reader_that_has_gone_stops_nothing() -> None:
    """GIVEN a pipe whose other end was closed (`| head`) THEN lines go nowhere, without an error."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream:
        console = Console(stream)
        console.line("one")
        console.line("two")
