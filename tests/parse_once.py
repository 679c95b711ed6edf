"""Parse CA certificates and descriptions of AWS's services once in a process. Each client would parse them again."""

from functools import cache
from typing import Any

import botocore.loaders
import httpx._transports.default


def apply() -> None:
    httpx_default: Any = httpx._transports.default
    httpx_default.create_ssl_context = cache(httpx_default.create_ssl_context)

    file_loader: Any = botocore.loaders.JSONFileLoader
    load = cache(file_loader().load_file)
    file_loader.load_file = lambda _, file_path: load(file_path)
