"""The end of Lambda's init phase."""

import gc
from collections.abc import Callable
from contextlib import suppress

from shared.domain.errors import SecretsUnavailable
from shared.runtime import log_ids
from shared.runtime.secrets import Secrets, secrets


def initialize(*builders: Callable[[], object], needs_secret: bool = False) -> None:
    """Build what the function keeps, and read its secret. Raises MisconfiguredError with the name of a missing setting.

    If the secret can't be read now, the first invocation reads it, and reports the error to its caller.
    """
    for build in builders:
        build()
    if needs_secret or log_ids.are_hashed():
        with suppress(SecretsUnavailable):
            secrets().log_key()
        _keep_out_of_snapshots(secrets())
    # What is loaded now stays, so no collection has to search it for garbage. `functions` switched collections off.
    gc.freeze()
    gc.enable()


def _keep_out_of_snapshots(secret: Secrets) -> None:
    """With SnapStart, other processes start from a snapshot of this one, which must not contain the secret.

    The module is part of Lambda's runtime, and missing on one machine.
    https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
    """
    try:
        from snapshot_restore_py import register_before_snapshot  # noqa: PLC0415
    except ImportError:
        return
    register_before_snapshot(secret.clear)
