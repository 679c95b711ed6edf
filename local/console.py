"""Where the stack writes: a person's console, and the functions' log beside it."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CACHE = Path(__file__).resolve().parent.parent / ".cache"


class Console:
    """Lines for a person; colour only where there is a terminal to show it."""

    def __init__(self, stream: TextIO, *, colour: bool = False) -> None:
        self._stream = stream
        self._colour = colour

    @classmethod
    def on(cls, stream: TextIO, environment: Mapping[str, str]) -> Console:
        """Colour on a terminal that has it, unless NO_COLOR (https://no-color.org) says otherwise."""
        colour = stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        return cls(stream, colour=colour)

    def line(self, text: str = "") -> None:
        # Flushed, so that whoever reads through a pipe sees it when it happens.
        encoding = self._stream.encoding or "utf-8"
        try:
            print(text.encode(encoding, "replace").decode(encoding), file=self._stream, flush=True)
        except BrokenPipeError:
            # Whoever read has gone (`| head`). The work goes on; what is left to say goes nowhere.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def bold(self, text: str) -> str:
        return self._painted("1", text)

    def dim(self, text: str) -> str:
        return self._painted("2", text)

    def good(self, text: str) -> str:
        return self._painted("32", text)

    def bad(self, text: str) -> str:
        return self._painted("31", text)

    def status(self, status: int) -> str:
        text = str(status)
        return self.good(text) if status < 400 else self.bad(text)  # noqa: PLR2004 - where HTTP's errors begin

    def _painted(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


@contextmanager
def function_logs(name: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Sends what the functions print, their JSON logs and metrics, to `.cache/NAME.log`, or with LOGS=1 to
    stderr; gives the place in words.

    On Lambda all of stdout is the log, so all of stdout goes there: keep the console's own stream first.
    """
    if environment.get("LOGS") in {"1", "true", "yes"}:
        with _logging_to(sys.stderr):
            yield "here (LOGS=1)"
        return
    CACHE.mkdir(exist_ok=True)
    path = CACHE / f"{name}.log"
    # Only the owner's: customers' ids are in there.
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", 1, "utf-8") as log, _logging_to(log):  # noqa: PTH123 - Path.open sets no mode
        yield str(path.relative_to(CACHE.parent))


@contextmanager
def _logging_to(stream: TextIO) -> Iterator[None]:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with redirect_stdout(stream):
            yield
    finally:
        root.removeHandler(handler)
