"""The state of a forked process at its start: modules imported and clients built, as in a warm Lambda.

No client has connected yet, so the processes share no connection.
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
