"""Output of `make run` and `make demo`: lines on the terminal, and the functions' log in a file."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager, redirect_stdout
from functools import partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CACHE = Path(__file__).resolve().parent.parent / ".cache"


class Terminal:
    def __init__(self, stream: TextIO, *, colour: bool = False) -> None:
        self._stream = stream
        self._colour = colour

    @classmethod
    def on(cls, stream: TextIO, environment: Mapping[str, str]) -> Self:
        """Use colour if the stream is a terminal that has it and NO_COLOR (https://no-color.org) is empty."""
        colour = stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        return cls(stream, colour=colour)

    def line(self, text: str = "") -> None:
        """Print and flush; replace characters that the stream's encoding lacks."""
        encoding = self._stream.encoding or "utf-8"
        try:
            print(text.encode(encoding, "replace").decode(encoding), file=self._stream, flush=True)
        except BrokenPipeError:
            # The reader has closed the pipe (`| head`). Continue, and discard the rest.
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, self._stream.fileno())
            os.close(devnull)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    bold = partialmethod(_paint, "1")
    dim = partialmethod(_paint, "2")
    red = partialmethod(_paint, "31")
    green = partialmethod(_paint, "32")

    def status(self, status: int) -> str:
        return self.green(str(status)) if status < 400 else self.red(str(status))  # noqa: PLR2004 - HTTP's errors


@contextmanager
def function_logs(name: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Redirect logs and stdout to `.cache/NAME.log`, or to stderr if LOGS=1. Yield the place, in words for the user.

    The functions print their JSON logs and metrics to stdout, as on Lambda.
    """
    if environment.get("LOGS") in {"1", "true", "yes"}:
        with _logging_to(sys.stderr):
            yield "here (LOGS=1)"
        return
    CACHE.mkdir(exist_ok=True)
    path = CACHE / f"{name}.log"
    # Readable by the owner only, because it contains customer ids.
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
