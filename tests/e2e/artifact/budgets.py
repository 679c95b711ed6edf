"""The modules that each function may import: a cold start pays for every one.

`python -m tests.e2e.artifact.budgets` builds the artifact and rewrites budgets.toml with what its functions import.
With `--artifact FOLDER` it uses an existing build.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.artifact.cold_start import FUNCTIONS, imports
from tests.e2e.artifact.make import ARCHITECTURE, ROOT, make

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.artifact.cold_start import Imports

FILE = Path(__file__).with_name("budgets.toml")
COMMAND = ".venv/bin/python -m tests.e2e.artifact.budgets"
_BUILD = ROOT / ".aws-sam/budgets"

EVERY_FUNCTION = "EveryFunction"
OWN_PACKAGES = {"functions", "shared"}
LARGE_STANDARD_MODULES = {
    "asyncio",
    "concurrent",
    "email",
    "http.client",
    "importlib.metadata",
    "multiprocessing",
    "pdb",
    "pydoc",
    "sqlite3",
    "ssl",
    "unittest",
    "xml",
}

_HEADER = f"""\
# What the import of each function's handler loads in Lambda's init phase: modules of this repository, packages of the
# layer, and large modules of the standard library. A function loads its own section and {EVERY_FUNCTION}.
# Rewrite this file with `{COMMAND}`.
"""


@dataclass(frozen=True, slots=True)
class Budget:
    modules: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    standard_library: frozenset[str] = frozenset()

    @classmethod
    def of(cls, imported: Imports, layer: Path) -> Budget:
        """Return the budget that the imports of a function fit exactly."""
        in_layer = {path.name.partition(".")[0] for path in layer.iterdir()} - OWN_PACKAGES
        packages = {module.partition(".")[0] for module in imported.modules}
        return cls(
            modules=frozenset(name for name in imported.modules if name.partition(".")[0] in OWN_PACKAGES),
            packages=frozenset(packages & in_layer),
            standard_library=frozenset(LARGE_STANDARD_MODULES & set(imported.modules)),
        )

    def __and__(self, other: Budget) -> Budget:
        return Budget(*(getattr(self, kind) & getattr(other, kind) for kind in _KINDS))

    def __or__(self, other: Budget) -> Budget:
        return Budget(*(getattr(self, kind) | getattr(other, kind) for kind in _KINDS))

    def __sub__(self, other: Budget) -> Budget:
        return Budget(*(getattr(self, kind) - getattr(other, kind) for kind in _KINDS))

    def all(self) -> set[str]:
        return set[str]().union(*(getattr(self, kind) for kind in _KINDS))


_KINDS = tuple(field.name for field in fields(Budget))


def differences(budget: Budget, actual: Budget, imported: Imports) -> list[str]:
    """Return a line for each import outside of the budget, with its chain, and for each that isn't used any more."""
    new = sorted((actual - budget).all())
    unused = sorted((budget - actual).all())
    return [
        *(f"not in the budget: {imported.chain(name)}" for name in new),
        *(f"in the budget but not imported: {name}" for name in unused),
    ]


def read(text: str) -> dict[str, Budget]:
    """Return the budget of each function, with what every function imports."""
    sections = {
        section: Budget(**{kind: frozenset(names) for kind, names in kinds.items()})
        for section, kinds in tomllib.loads(text).items()
    }
    common = sections.pop(EVERY_FUNCTION, Budget())
    return {name: own | common for name, own in sections.items()}


def write(budgets: Mapping[str, Budget]) -> str:
    """Return the file's text: what all functions import, then what each imports besides."""
    first, *others = budgets.values()
    common = first
    for budget in others:
        common &= budget
    sections = {EVERY_FUNCTION: common, **{name: budgets[name] - common for name in sorted(budgets)}}
    lines = [_HEADER]
    for section, budget in sections.items():
        lines.append(f"[{section}]")
        for kind, names in asdict(budget).items():
            if names:
                lines += [f"{kind} = [", *(f"    {json.dumps(name)}," for name in sorted(names)), "]"]
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.artifact.budgets", description=__doc__)
    parser.add_argument("--artifact", type=Path, help="folder of an existing build, instead of building")
    build = parser.parse_args().artifact
    if not build:
        build = _BUILD
        make("package", f"ARCH={ARCHITECTURE}", f"BUILD={build.relative_to(ROOT)}")
    build = build.resolve()
    layer = build / "SharedLayer/python"
    FILE.write_text(write({name: Budget.of(imports(name, build), layer) for name in FUNCTIONS}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
