"""The operator's command. Read `python -m cli --help`."""

from __future__ import annotations

import os
import sys
from getpass import getpass
from typing import TYPE_CHECKING

from cli.arguments import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cli.prompts import Prompt


def main(
    arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ, prompt: Prompt = getpass
) -> int:
    """Return the exit status. Wrong usage raises SystemExit with status 2."""
    options = parse(arguments, environment)
    from cli.commands import run  # noqa: PLC0415  # boto3 and httpx load slowly, and help needs neither

    return run(options, prompt)


if __name__ == "__main__":
    sys.exit(main())
