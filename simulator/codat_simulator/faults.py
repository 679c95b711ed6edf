"""What goes wrong on purpose.

Answers of the API (they match by method and path):
    latency              the work takes `seconds` longer; `when`: the waiting comes before or after it
    status               the answer is `status`; `when`: before the work, which is skipped, or after it;
                         `page`: as an HTML page; `omitCorrelationId`: without `correlationId`
    drop                 the connection is closed without an answer; `when` as above
Webhooks (they match by event type):
    webhook-drop         the message is lost for good
    webhook-delay        the first attempt comes `seconds` later
    webhook-duplicate    the message is sent twice; with `newMessage` under an id of its own, as
                         Codat's "recover" does
    webhook-reorder      the first attempt waits until another message overtook it, `seconds` at most
    webhook-wrong-secret an attempt is signed with a secret that nobody has

A fault fires on each match, or `times` times, after letting `skip` pass, each with `probability`
drawn from `seed`: so a test sees the same at every run.
"""

import random
from threading import Lock
from typing import Any, Literal, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from codat_simulator.patterns import matches

Kind = Literal[
    "latency",
    "status",
    "drop",
    "webhook-drop",
    "webhook-delay",
    "webhook-duplicate",
    "webhook-reorder",
    "webhook-wrong-secret",
]
When = Literal["before", "after"]


class Fault(BaseModel):
    """
    path: `*` stands for one segment, `**` for anything.
    cached: whether Codat itself answers `status`, and remembers it under the idempotency key. If false, a
        gateway in front of Codat answers: the key is unused (before) or has the real answer (after).
    page: whether the answer to a `status` fault is an HTML page, as from a gateway, instead of Codat's
        error document. Combine it with `cached=False`.
    omit_correlation_id: whether the error document of a `status` fault lacks `correlationId`.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    id: str = Field(default_factory=lambda: str(uuid4()))
    kind: Kind
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
        """As on the command line: `kind=status,status=503,when=after,path=/companies,times=1`."""
        pairs: dict[str, Any] = {}
        for word in text.split(","):
            name, separator, value = word.partition("=")
            if not separator:
                raise ValueError(f"a fault is written NAME=VALUE,..., not {word!r}")
            pairs[name.strip()] = value.strip()
        return cls.model_validate(pairs)


class _Armed:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.fired = 0
        self._seen = 0
        self._random = random.Random(fault.seed)  # noqa: S311 - chance to repeat, not to protect

    def matches_call(self, method: str, path: str) -> bool:
        return self.fault.method in {"*", method} and matches(self.fault.path, path)

    def matches_event(self, event_type: str) -> bool:
        return matches(self.fault.event_type, event_type)

    def fires(self) -> bool:
        if self.fault.times is not None and self.fired >= self.fault.times:
            return False
        self._seen += 1
        if self._seen <= self.fault.skip or self._random.random() >= self.fault.probability:
            return False
        self.fired += 1
        return True


class Faults:
    """Those switched on, in the order in which they were; the first that fires counts."""

    def __init__(self) -> None:
        self._armed: dict[str, _Armed] = {}
        self._lock = Lock()

    def add(self, fault: Fault) -> str:
        with self._lock:
            self._armed[fault.id] = _Armed(fault)
        return fault.id

    def remove(self, fault_id: str) -> bool:
        with self._lock:
            return self._armed.pop(fault_id, None) is not None

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()

    def list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{**armed.fault.model_dump(by_alias=True), "fired": armed.fired} for armed in self._armed.values()]

    def fired(self, fault_id: str) -> int:
        """How often it has; KeyError for one that was removed."""
        with self._lock:
            return self._armed[fault_id].fired

    def of_call(self, kind: Kind, when: When, method: str, path: str, *, cached: bool | None = None) -> Fault | None:
        with self._lock:
            for armed in self._armed.values():
                fault = armed.fault
                if (
                    (fault.kind, fault.when) == (kind, when)
                    and (cached is None or fault.cached == cached)
                    and armed.matches_call(method, path)
                    and armed.fires()
                ):
                    return fault
        return None

    def of_event(self, kind: Kind, event_type: str) -> Fault | None:
        with self._lock:
            for armed in self._armed.values():
                if armed.fault.kind == kind and armed.matches_event(event_type) and armed.fires():
                    return armed.fault
        return None
