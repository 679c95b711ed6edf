"""Faults on demand.

Faults of API calls (they match by method and path):
    latency              the response takes `seconds` longer; `when`: wait before or after the work
    status               respond with `status`; `when`: before the work, which is skipped, or after it;
                         `page`: as an HTML page; `omitCorrelationId`: without `correlationId`
    drop                 close the connection without a response; `when`: before or after the work
Faults of webhooks (they match by event type):
    webhook-drop         never send the message
    webhook-delay        send the first attempt `seconds` later
    webhook-duplicate    send the message twice; `newMessage`: under a new id, as Codat's "recover" does
    webhook-reorder      delay the first attempt until another message overtakes it, at most `seconds`
    webhook-wrong-secret sign an attempt with another secret

A fault fires on each match, or only `times` times, after the first `skip` matches, each time with
`probability`. Random numbers come from `seed`, so every run is the same.
"""

import random
from collections.abc import Callable
from threading import Lock
from typing import Any, Literal, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from codat_simulator.patterns import matches

CallFault = Literal["latency", "status", "drop"]
WebhookFault = Literal["webhook-drop", "webhook-delay", "webhook-duplicate", "webhook-reorder", "webhook-wrong-secret"]
When = Literal["before", "after"]


class Fault(BaseModel):
    """
    path: `*` matches a segment, `**` anything.
    cached: if true, Codat itself responds with `status` and caches it under the idempotency key. If false, a
        gateway in front of Codat responds: the key is unused (before) or has the real response (after).
    page: respond to a `status` fault with an HTML page, as a gateway does, instead of Codat's error document.
        Combine it with `cached=False`.
    omit_correlation_id: leave `correlationId` out of the error document of a `status` fault.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    id: str = Field(default_factory=lambda: str(uuid4()))
    kind: Literal[CallFault, WebhookFault]
    method: str = "*"
    path: str = "**"
    event_type: str = "*"
    when: When = "before"
    status: int = Field(default=503, ge=400, le=599)
    retry_after: int | None = Field(default=None, ge=0)
    cached: bool = True
    page: bool = False
    omit_correlation_id: bool = False
    seconds: float = Field(default=1.0, ge=0, le=86_400)
    new_message: bool = False
    times: int | None = Field(default=None, ge=1)
    skip: int = Field(default=0, ge=0)
    probability: float = Field(default=1.0, ge=0, le=1)
    seed: int = 0

    @field_validator("method")
    @classmethod
    def _upper(cls, method: str) -> str:
        return method.upper()

    @classmethod
    def from_words(cls, text: str) -> Self:
        """Parse the format of the command line: `kind=status,status=503,when=after,path=/companies,times=1`."""
        pairs = [word.partition("=") for word in text.split(",")]
        for name, separator, _ in pairs:
            if not separator:
                raise ValueError(f"write a fault as NAME=VALUE,NAME=VALUE,...: {name!r} has no value")
        return cls.model_validate({name.strip(): value.strip() for name, _, value in pairs})


class _ActiveFault:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.fired = 0
        self._matches = 0
        self._random = random.Random(fault.seed)  # noqa: S311 - reproducible, not cryptographic

    def fire(self) -> bool:
        """Count a match and return whether the fault fires."""
        if self.fault.times is not None and self.fired >= self.fault.times:
            return False
        self._matches += 1
        if self._matches <= self.fault.skip or self._random.random() >= self.fault.probability:
            return False
        self.fired += 1
        return True


class Faults:
    """The active faults in the order of their activation. Of several that match, the first to fire wins."""

    def __init__(self) -> None:
        self._active: dict[str, _ActiveFault] = {}
        self._lock = Lock()

    def add(self, fault: Fault) -> str:
        with self._lock:
            self._active[fault.id] = _ActiveFault(fault)
        return fault.id

    def remove(self, fault_id: str) -> bool:
        with self._lock:
            return self._active.pop(fault_id, None) is not None

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [
                {**active.fault.model_dump(by_alias=True), "fired": active.fired} for active in self._active.values()
            ]

    def fired(self, fault_id: str) -> int:
        """Return how often the fault fired. Raise KeyError if it was removed."""
        with self._lock:
            return self._active[fault_id].fired

    def for_call(
        self, kind: CallFault, when: When, method: str, path: str, *, cached: bool | None = None
    ) -> Fault | None:
        return self._fire(
            lambda fault: (
                (fault.kind, fault.when) == (kind, when)
                and cached in {None, fault.cached}
                and fault.method in {"*", method}
                and matches(fault.path, path)
            )
        )

    def for_event(self, kind: WebhookFault, event_type: str) -> Fault | None:
        return self._fire(lambda fault: fault.kind == kind and matches(fault.event_type, event_type))

    def _fire(self, is_match: Callable[[Fault], bool]) -> Fault | None:
        with self._lock:
            return next((a.fault for a in self._active.values() if is_match(a.fault) and a.fire()), None)
