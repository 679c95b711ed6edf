"""What make prints: its help, and one line on what to do if the set-up can't work."""

import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _outer() -> dict[str, str]:
    """Return the environment without what `make test` passes on to a make that it starts."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def make(*arguments: str, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**_outer(), **variables}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_help_has_groups_and_is_plain_when_piped() -> None:
    """Each target is in one group."""
    lines = make("help").stdout.splitlines()
    assert "\x1b" not in "".join(lines)
    groups = [line for line in lines if line and not line.startswith(" ")]
    assert groups == ["Try it", "Check", "Package", "Operate a stack"]
    targets = [line.split()[1] for line in lines if line.startswith("  make ")]
    assert lines.index("Try it") < lines.index("Check")
    assert sorted(targets) == sorted(set(targets))
    documented = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets == documented


def on_a_terminal(**variables: str) -> str:
    """Return what `make help` prints to a terminal."""
    terminal, end = pty.openpty()
    with subprocess.Popen(["make", "help"], cwd=ROOT, env={**_outer(), **variables}, stdout=end) as process:
        os.close(end)
        output = b""
        try:
            while chunk := os.read(terminal, 4096):
                output += chunk
        except OSError:  # Linux: the other end is closed
            pass
        process.wait(20)
    os.close(terminal)
    return output.decode()


def test_help_is_coloured_on_a_terminal_unless_no_color_is_set() -> None:
    assert "\x1b[1mTry it\x1b[0m" in on_a_terminal(NO_COLOR="")
    assert "\x1b" not in on_a_terminal(NO_COLOR="1")


def test_an_old_make_is_refused_with_what_to_install() -> None:
    process = make("MAKE_VERSION=3.80", "help")
    assert process.returncode == 2
    assert "GNU make 3.81 or newer" in process.stderr


def copied(folder: Path) -> Path:
    for name in ("Makefile", "uv-requirements.txt", "uv.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_a_missing_python_is_one_line(tmp_path: Path) -> None:
    """GIVEN no Python on the PATH."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "sed", "dirname", "test", "echo", "cat"):
        (tools / name).symlink_to(str(shutil.which(name)))
    process = make(
        ".venv/.synced", folder=copied(tmp_path), PATH=str(tools), PYENV_ROOT=str(tmp_path), HOME=str(tmp_path)
    )
    assert process.returncode == 2
    assert "Python 3.11 or newer is needed" in process.stderr.splitlines()[0]


# A python3 whose pip reaches no index. A real environment would take seconds.
OFFLINE_PYTHON = """#!/bin/sh
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip") echo "ERROR: No matching distribution found for uv" >&2; exit 1 ;;
esac
"""


def test_no_network_is_explained(tmp_path: Path) -> None:
    """GIVEN no package index THEN the line after pip's error says what to check, and nothing is installed."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python3").write_text(OFFLINE_PYTHON)
    (tools / "python3").chmod(0o755)
    process = make(".venv/.synced", folder=copied(tmp_path), PATH=f"{tools}:{os.environ['PATH']}")
    assert process.returncode == 2
    pip, explanation, *_ = process.stderr.splitlines()
    assert pip.startswith("ERROR")
    assert "Check the network" in explanation
    assert not (tmp_path / ".venv").exists()
    assert not (tmp_path / ".uv" / "bin").exists()
