"""What a killable process finds done when it is forked: the imports, and the clients built, as in a warm Lambda.

No client has connected yet, so nothing is shared between the processes.
"""

import importlib
import os
from pathlib import Path

from shared import bootstrap

for app in sorted(Path("functions").glob("*/app.py")):
    importlib.import_module(f"functions.{app.parent.name}.app")

for build in (bootstrap._dynamodb, bootstrap._http, bootstrap.platform_catalog, bootstrap.secrets):
    build()

BUILT_FOR = dict(os.environ)
