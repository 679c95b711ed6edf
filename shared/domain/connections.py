"""What a connection is, and the rule by which what Codat says of it becomes its state.

Codat speaks through three mouths: webhooks (at least once, in any order), answers to our own changes, and answers
to our reads. Every such `Report` carries a stamp, `time#rank#id`, on Codat's clock, and a connection is a
last-writer-wins register over it. Status, reason and the rest are registers of their own, because not every report
speaks of each: `connection.failed` brings a reason and leaves the status as it was. So the state depends on the set
of reports alone, never on the order in which they came or how often.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import NewType

from shared.domain import reasons
from shared.domain.instants import Instant, just_after
from shared.domain.platforms import QUICKBOOKS_DESKTOP_KEY

Stamp = NewType("Stamp", str)
"""Compares as text: the time has a fixed width, and the rank one digit."""

NEVER = Stamp("")


class Rank(IntEnum):
    """Who is believed when two reports carry the same time, so that a tie doesn't depend on arrival."""

    READ = 0
    OUR_CHANGE = 1
    EVENT = 2


class Status(StrEnum):
    """Codat's four, and the end."""

    PENDING_AUTH = "PendingAuth"
    LINKED = "Linked"
    UNLINKED = "Unlinked"
    DEAUTHORIZED = "Deauthorized"
    DELETED = "Deleted"


class NextAction(StrEnum):
    AUTHORIZE = "authorize"
    RECONNECT = "reconnect"
    INSTALL_CONNECTOR = "install-connector"
    NONE = "none"


def stamp(when: Instant, rank: Rank, identity: str) -> Stamp:
    return Stamp(f"{when}#{int(rank)}#{identity}")


def time_of(stamped: Stamp) -> Instant:
    return Instant(stamped.partition("#")[0])


@dataclass(frozen=True, slots=True)
class Source:
    """What a connection connects to; it never changes."""

    platform_key: str
    """Empty where Codat left it out, as its contract allows."""
    platform_name: str
    source_type: str


@dataclass(frozen=True, slots=True)
class Report:
    """What Codat said of one connection at one moment."""

    stamp: Stamp
    company_id: str
    connection_id: str
    source: Source
    created_at: Instant
    status: Status | None
    """None: this report does not speak of the status (`connection.failed`)."""
    reason: str | None = field(default=None, repr=False)
    last_sync: Instant | None = None

    @property
    def identity(self) -> str:
        return self.stamp.split("#", 2)[2]

    @property
    def is_read(self) -> bool:
        return self.stamp.split("#", 2)[1] == str(int(Rank.READ))


@dataclass(frozen=True, slots=True)
class Observed:
    """A connection as one of Codat's answers shows it."""

    at: Instant
    """When it was so, on Codat's clock."""
    connection_id: str
    source: Source
    created_at: Instant
    status: Status
    reason: str | None = field(repr=False)
    last_sync: Instant | None
    link_url: str | None = field(default=None, repr=False)
    """A one-time credential: given to the caller that asked, never stored or logged."""

    def report(self, company_id: str, stamped: Stamp) -> Report:
        return Report(
            stamp=stamped,
            company_id=company_id,
            connection_id=self.connection_id,
            source=self.source,
            created_at=self.created_at,
            status=self.status,
            reason=self.reason,
            last_sync=self.last_sync,
        )


@dataclass(frozen=True, slots=True)
class Connection:
    company_id: str
    connection_id: str
    customer_id: str
    source: Source
    created_at: Instant
    updated_at: Instant
    """Our clock, at the last write."""

    status: Status
    status_stamp: Stamp
    reason: str | None = field(repr=False)
    reason_stamp: Stamp
    heard_stamp: Stamp
    """The newest report of any kind."""
    last_sync: Instant | None = None
    initial_read_at: Instant | None = None
    """When the first read of its data was complete, on Codat's clock: from then on bills can be worked with."""
    abandoned_at: Instant | None = None
    """When its link was reported as left unused; None again once the status changes."""
    buried: bool = False
    """A tombstone: its company is gone, and nothing changes it any more."""
    version: int = 0
    """Grows by one with every write; 0 is not stored yet."""

    @property
    def is_heard(self) -> bool:
        """False for one of which only the initial read is known yet: it is kept, and shown to nobody."""
        return self.heard_stamp != NEVER

    @property
    def as_of(self) -> Instant:
        """The time, on Codat's clock, of what the state rests on."""
        if self.status is Status.DELETED:
            return time_of(self.status_stamp)
        return time_of(max(self.status_stamp, self.reason_stamp))

    @property
    def error(self) -> str | None:
        """What keeps it from working, in words; gone once linked."""
        name = self.source.platform_name
        match self.status:
            case Status.LINKED | Status.DELETED:
                return None
            case Status.DEAUTHORIZED:
                return self.reason or reasons.revoked(name)
            case Status.UNLINKED:
                return self.reason
        told = self.reason or (reasons.unused(name) if self.abandoned_at else None)
        return reasons.with_connector(told, name) if told and self._needs_connector else told

    @property
    def _needs_connector(self) -> bool:
        return self.source.platform_key == QUICKBOOKS_DESKTOP_KEY

    @property
    def next_action(self) -> NextAction:
        match self.status:
            case Status.PENDING_AUTH if self._needs_connector:
                return NextAction.INSTALL_CONNECTOR
            case Status.PENDING_AUTH:
                return NextAction.AUTHORIZE
            case Status.UNLINKED | Status.DEAUTHORIZED:
                return NextAction.RECONNECT
            case _:
                return NextAction.NONE

    @property
    def is_deleted(self) -> bool:
        return self.status is Status.DELETED


def unheard(company_id: str, connection_id: str, customer_id: str, now: Instant) -> Connection:
    """A connection of which nothing was heard yet."""
    return Connection(
        company_id=company_id,
        connection_id=connection_id,
        customer_id=customer_id,
        source=Source("", "", ""),
        created_at=now,
        updated_at=now,
        status=Status.PENDING_AUTH,
        status_stamp=NEVER,
        reason=None,
        reason_stamp=NEVER,
        heard_stamp=NEVER,
    )


def merge(known: Connection, report: Report, now: Instant) -> Connection:
    """`known` after `report`; `known` itself where the report adds nothing (stale, or heard before)."""
    if known.buried:
        return known
    merged = known
    if report.status is not None and _outranks(report.status, report.stamp, known):
        still = known.abandoned_at if report.status is known.status else None
        merged = replace(merged, status=report.status, status_stamp=report.stamp, abandoned_at=still)
    if _speaks_of_reason(report) and report.stamp > known.reason_stamp:
        reason = None if report.status is Status.LINKED else report.reason
        merged = replace(merged, reason=reason, reason_stamp=report.stamp)
    newer = report.stamp > known.heard_stamp
    if newer:
        merged = replace(merged, created_at=report.created_at, heard_stamp=report.stamp)
    # Not every report names the key. Which one did is all that counts, not which came last: it never changes.
    names_it, known_already = bool(report.source.platform_key), bool(known.source.platform_key)
    if (names_it and not known_already) or (newer and names_it == known_already):
        merged = replace(merged, source=report.source)
    if report.last_sync is not None and report.last_sync > (known.last_sync or ""):
        merged = replace(merged, last_sync=report.last_sync)
    return known if merged is known else replace(merged, updated_at=now)


def read_initially(known: Connection, at: Instant, now: Instant) -> Connection:
    """`known` after its initial read was reported; the first report stands."""
    if known.buried or (known.initial_read_at is not None and known.initial_read_at <= at):
        return known
    return replace(known, initial_read_at=at, updated_at=now)


def says_otherwise(observed: Observed, known: Connection) -> bool:
    """Whether an answer tells anything that an app can see differently; a walk writes down nothing else."""
    reason_differs = observed.status is not Status.LINKED and observed.reason not in {None, known.reason}
    synced_since = (observed.last_sync or "") > (known.last_sync or "")
    names_source = bool(observed.source.platform_key) and not known.source.platform_key
    return observed.status is not known.status or reason_differs or synced_since or names_source


def abandoned(known: Connection, now: Instant) -> Connection:
    """`known`, reported as abandoned; unchanged where it no longer waits, or was reported before."""
    if known.status is not Status.PENDING_AUTH or known.abandoned_at is not None:
        return known
    return replace(known, abandoned_at=now, updated_at=now)


def is_abandoned(connection: Connection, *, before: Instant) -> bool:
    """Whether its link has been waiting for the customer since `before`."""
    return connection.status is Status.PENDING_AUTH and connection.is_heard and connection.created_at < before


def stamp_of_answer(answered_at: Instant, rank: Rank, known: Connection | None, identity: str) -> Stamp:
    """The stamp of Codat's answer to a change or a read of ours, asked when `known` was the state.

    It came after that state, so it stands at least just above it. Without this floor the `Date` header, which has
    whole seconds, would make an unlink in the same second as the link older than the link.
    """
    if known is not None:
        answered_at = max(answered_at, just_after(time_of(known.heard_stamp)))
    return stamp(answered_at, rank, identity)


def _outranks(status: Status, stamped: Stamp, known: Connection) -> bool:
    """Newer wins, but a deletion is final: it wins over everything but a newer deletion."""
    return (status is Status.DELETED, stamped) > (known.is_deleted, known.status_stamp)


def _speaks_of_reason(report: Report) -> bool:
    return report.reason is not None or report.status is Status.LINKED
