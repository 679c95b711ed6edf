"""What a killable process finds done when it is forked: the imports, and the clients built, as in a warm Lambda.

No client has connected yet, so nothing is shared between the processes.
"""

import importlib
import os
from pathlib import Path

from shared import bootstrap

for app in sorted(Path("functions").glob("*/app.py")):
    importlib.import_module(f"functions.{app.parent.name}.app")

for build in (bootstrap.customers, bootstrap.connections, bootstrap.claims, bootstrap.unreadables, bootstrap.secrets):
    build()
bootstrap.door()
bootstrap.offer()
bootstrap._http()

BUILT_FOR = dict(os.environ)
