"""Lines on the terminal."""

import io
import os
from typing import Any

import pytest

from local.terminal import Terminal


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "environment", "has_colour"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_colour_needs_a_terminal(terminal: bool, environment: dict[str, str], has_colour: bool) -> None:  # noqa: FBT001 - parameters of the case
    """NO_COLOR and TERM=dumb disable it. An empty NO_COLOR has no effect."""
    stream = Stream(terminal=terminal)
    output = Terminal.on(stream, environment)
    output.line(output.bold("word"))
    assert ("\x1b[" in stream.getvalue()) == has_colour


def test_characters_that_the_encoding_lacks_are_replaced() -> None:
    """GIVEN an ASCII terminal THEN an arrow becomes a question mark."""
    raw: Any = io.BytesIO()
    output = Terminal.on(io.TextIOWrapper(raw, "ascii", write_through=True), {})
    output.line("PendingAuth → Linked")
    assert raw.getvalue() == b"PendingAuth ? Linked\n"


def test_a_closed_pipe_is_ignored() -> None:
    """GIVEN a pipe that its reader has closed (`| head`) THEN printing raises no error."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream:
        output = Terminal(stream)
        output.line("first")
        output.line("second")
