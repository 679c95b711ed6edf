"""The state of a forked process at its start: modules imported and clients built, as in a warm Lambda.

No client has connected yet, so the processes share no connection.
"""

import gc
import importlib
import pkgutil

import functions
import shared
from shared import bootstrap

for package in (functions, shared):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)

for build in (
    bootstrap._dynamodb,
    bootstrap._http,
    bootstrap.event_bus,
    bootstrap.platform_catalog,
    bootstrap.queue,
    bootstrap.secrets,
):
    build()

# A garbage collection in a forked process would copy every page.
gc.collect()
gc.freeze()
