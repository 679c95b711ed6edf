"""Replace the API key while calls continue.

The secret records each step before the next begins, so that a repeated command continues an interrupted rotation:

    interrupted after                the secret contains           the repeated command
    the name of the key was stored   key_name                      creates the key under that name
    the key was created              key_name                      finds the key at Codat by its name
    the key was stored               key_name, old_key_id,         waits for the rest of the time
                                     stored_at
    the old key was deleted          the same                      finds no old key, and removes the record
"""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from secrets import token_hex
from time import sleep
from typing import TYPE_CHECKING, NoReturn

from cli.caches import MAX_INVOCATION_SECONDS, expiry
from cli.codat import MAX_API_KEYS, ApiKey
from cli.errors import OperatorError
from cli.prompts import API_KEYS_PAGE, ask_api_key
from cli.secret import ApiKeyRotation
from shared.domain.errors import CodatBusy, CodatNotFound, CodatRejectedCredentials
from shared.runtime import clock

if TYPE_CHECKING:
    from cli.codat import Codat
    from cli.deployment import Deployment
    from cli.prompts import Prompt

MANUAL = "make rotate-api-key MANUAL=1"
PROGRESS_SECONDS = 300.0
_MAX_STACK_CHARACTERS = 30
"""Codat allows 50 characters in a key's name; the date and the random part take the rest."""


def rotate_api_key(deployment: Deployment, stack: str, *, delete_old: bool) -> None:
    """Create, check and store a new API key, and wait until no function uses the old one."""
    content = deployment.secret.read()
    if not content.api_key:
        raise OperatorError(f"No API key is stored that could create another. Store one: {MANUAL}")
    rotation = content.api_key_rotation
    if rotation is None or rotation.stored_at is None:
        rotation = _store_new_key(deployment, content.api_key, rotation or _begin(deployment, stack))
    else:
        print(f"Continuing an interrupted rotation: {rotation.key_name} is stored.")
    _wait(rotation)
    _retire_old_key(deployment, rotation, delete=delete_old)
    with deployment.secret.update() as changed:
        if changed.api_key_rotation == rotation:
            changed.api_key_rotation = None


def enter_api_key(deployment: Deployment, prompt: Prompt) -> None:
    """Store an API key that the operator created, after Codat accepted it and it proved to be this deployment's."""
    old = deployment.secret.read()
    print(f"Create a new API key and copy it: {API_KEYS_PAGE}")
    new = ask_api_key(prompt)
    if new == old.api_key:
        raise OperatorError("That API key is stored already. Nothing was changed.")
    with deployment.codat(new) as codat:
        try:
            codat.require_trusted_key(deployment.table())
        except CodatRejectedCredentials as error:
            if error.status is not None:
                raise
            raise OperatorError(
                "That API key shows none of this deployment's companies, so it seems to be another Codat client's. "
                "Nothing was changed. If you are sure that it is right, store it with "
                "`aws secretsmanager put-secret-value`, from a file, and confirm it with `make trust-api-key`."
            ) from error
    with deployment.secret.update() as content:
        content.api_key = new
        unfinished, content.api_key_rotation = content.api_key_rotation, None
    print("Stored the API key.")
    if old.api_key:
        until = expiry(clock.now(), MAX_INVOCATION_SECONDS)
        print(f"Functions can use the old key until {until:%H:%M} UTC. Then delete it: {API_KEYS_PAGE}")
    if unfinished:
        unused = unfinished.old_key_id or unfinished.key_name
        print(f"An interrupted rotation may have left the key {unused}. Delete it, if no app uses it.")


def _begin(deployment: Deployment, stack: str) -> ApiKeyRotation:
    """Store a unique name for the new key. A key with this name is recognised after an interruption."""
    label = (stack or "codat-customers")[:_MAX_STACK_CHARACTERS]
    rotation = ApiKeyRotation(key_name=f"{label} {clock.now():%Y-%m-%d} {token_hex(4)}")
    with deployment.secret.update() as content:
        content.api_key_rotation = rotation
    return rotation


def _store_new_key(deployment: Deployment, old: str, rotation: ApiKeyRotation) -> ApiKeyRotation:
    """Store a checked new key together with the record of the old one, and return that record."""
    with deployment.codat(old) as codat:
        _require_own_key(deployment, codat)
        try:
            keys = codat.list_api_keys()
            new = next((key for key in keys if key.name == rotation.key_name), None) or _create(codat, keys, rotation)
        except CodatRejectedCredentials as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            raise OperatorError(
                f"Codat lets the stored API key create no keys (403). Paste a new one: {MANUAL}"
            ) from error
    with deployment.codat(new.api_key) as codat:
        try:
            codat.require_trusted_key(deployment.table())
        except CodatRejectedCredentials as error:
            raise OperatorError(
                f"The new key was not stored, because it can't read this deployment's companies yet. {error} "
                f"Repeat the command, or delete the key {rotation.key_name} ({new.id}): {API_KEYS_PAGE}"
            ) from error
    print("The new key belongs to this deployment.")
    old_id = next((key.id for key in keys if key.api_key == old), "(not listed)")
    stored = rotation.model_copy(update={"old_key_id": old_id, "stored_at": clock.now()})
    with deployment.secret.update() as content:
        # Another rotation at the same time would otherwise lose the record of its key.
        if content.api_key != old or content.api_key_rotation != rotation:
            raise OperatorError(
                "The secret was changed meanwhile, so the new key was not stored. "
                f"Delete the key {rotation.key_name} ({new.id}): {API_KEYS_PAGE}"
            )
        content.api_key, content.api_key_rotation = new.api_key, stored
    print("Stored the new key.")
    return stored


def _require_own_key(deployment: Deployment, codat: Codat) -> None:
    """Create no key at another Codat client."""
    try:
        codat.require_trusted_key(deployment.table())
    except CodatRejectedCredentials as error:
        if error.status is not None:
            raise
        raise OperatorError(
            "The stored API key shows none of this deployment's companies, so it seems to be another Codat client's. "
            f"No key was created. To store the right one: {MANUAL}. To confirm it: make trust-api-key"
        ) from error


def _create(codat: Codat, keys: list[ApiKey], rotation: ApiKeyRotation) -> ApiKey:
    if len(keys) >= MAX_API_KEYS:
        _refuse_full_list()
    try:
        new = codat.create_api_key(rotation.key_name)
    except CodatBusy:
        _refuse_full_list()
    print(f"Created the API key at Codat: {rotation.key_name}")
    return new


def _refuse_full_list() -> NoReturn:
    raise OperatorError(
        f"Codat has {MAX_API_KEYS} API keys, its limit. Delete one that no app uses, and repeat the command: "
        f"{API_KEYS_PAGE}"
    )


def _wait(rotation: ApiKeyRotation) -> None:
    """Wait until no function uses the old key, and print the remaining time."""
    now = clock.now()
    stored_at = min(rotation.stored_at or now, now)  # another machine's clock may be ahead
    until = expiry(stored_at, MAX_INVOCATION_SECONDS)
    left = (until - now) / timedelta(seconds=1)
    if left > 0:
        print(f"Functions can use the old key until {until:%H:%M} UTC.")
    while left > 0:
        print(f"  Waiting, {left / 60:.0f} min left …", flush=True)
        sleep(min(left, PROGRESS_SECONDS))
        left -= PROGRESS_SECONDS


def _retire_old_key(deployment: Deployment, rotation: ApiKeyRotation, *, delete: bool) -> None:
    key_id, current = rotation.old_key_id, deployment.secret.read().api_key
    if not delete:
        print(f"No function uses the old key {key_id} now. If no other app uses it, delete it: {API_KEYS_PAGE}")
        return
    with deployment.codat(current) as codat:
        old = next((key for key in codat.list_api_keys() if key.id == key_id), None)
        if old is not None and old.api_key == current:
            raise OperatorError("The old key is the stored key again, so it was not deleted.")
        if old is not None:
            _delete(codat, key_id)
    print(f"Deleted the old key {key_id}." if old else "Codat has no old key to delete.")


def _delete(codat: Codat, key_id: str) -> None:
    try:
        codat.delete_api_key(key_id)
    except CodatNotFound:
        return  # another run deleted it
    except CodatRejectedCredentials as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        raise OperatorError(f"Codat lets the API key delete no keys (403). Delete {key_id}: {API_KEYS_PAGE}") from error
