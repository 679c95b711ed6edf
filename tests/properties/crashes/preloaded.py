"""The state of a forked process at its start: modules imported and clients built, as in a warm Lambda.

No client is connected, so the processes share no connection.
"""

import gc
import importlib
import pkgutil

import functions
from shared.runtime.secrets import secrets
from shared.runtime.settings import read

for module in pkgutil.walk_packages(functions.__path__, "functions."):
    importlib.import_module(module.name)
secrets().clear()
# Each process has its own environment.
read.cache_clear()

# A garbage collection in a forked process would copy every page.
gc.collect()
gc.freeze()
