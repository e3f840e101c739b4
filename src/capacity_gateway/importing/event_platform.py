"""The event platform: events, sessions with seats and waitlists, ticket types. It has counters, and no ledger.

Everybody who has something gets an entry for it, as of when he got it. An offer that is outstanding holds its seat from
now on.
"""

import json
from collections import defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator

from capacity_gateway.domains.events import CANCELLED, CHECKED_IN, CHECKED_IN_AT, CONFIRMED, guest_of
from capacity_gateway.domains.sessions import DECLINED, SEAT, WaitlistTier
from capacity_gateway.importing.finding import Discrepancy, Finding
from capacity_gateway.importing.source import Int, Moment, Source
from capacity_gateway.kernel.commands import Define
from capacity_gateway.kernel.history import IMPORT, Change, History
from capacity_gateway.kernel.pools import Json
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

HOLD_SECONDS = 1800
"""How long the platform's orders were held unpaid."""
OFFER_SECONDS = 300
"""How long its offers held."""
REGISTERED = {CONFIRMED: "confirmed", CHECKED_IN: "confirmed", CANCELLED: "released"}
RSVPED = {CONFIRMED: "confirmed", CANCELLED: "released"}
WAITED = {
    "WAITING": "waiting",
    "OFFERED": "held",
    "ACCEPTED": "confirmed",
    "DECLINED": "released",
    "EXPIRED": "expired",
    "LEFT": "released",
}
"""What a claim is in each of the platform's statuses."""

JsonObject = Annotated[
    dict[str, Any], BeforeValidator(lambda value: json.loads(value) if isinstance(value, str) else value)
]


@dataclass(frozen=True, slots=True)
class Event:
    """A row of `events`."""

    id: str
    name: str
    organization_id: str | None = None
    owner_id: str | None = None
    max_attendees: Int | None = None
    virtual_settings: JsonObject | None = None
    start_date: Moment | None = None
    end_date: Moment | None = None
    created_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A row of `sessions`."""

    id: str
    event_id: str
    title: str
    max_participants: Int | None = None
    start_time: Moment | None = None
    end_time: Moment | None = None
    session_type: str | None = None


@dataclass(frozen=True, slots=True)
class SessionCapacity:
    """A row of `session_capacity`."""

    session_id: str
    maximum_capacity: Int
    current_attendance: Int = 0


@dataclass(frozen=True, slots=True)
class Rsvp:
    """A row of `session_rsvps`."""

    id: str
    session_id: str
    user_id: str
    status: str
    rsvp_at: Moment
    cancelled_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class TicketType:
    """A row of `ticket_types`."""

    id: str
    event_id: str
    name: str
    price: Int = 0
    currency: str = "USD"
    description: str | None = None
    quantity_total: Int | None = None
    quantity_sold: Int = 0
    quantity_reserved: Int = 0
    min_per_order: Int = 1
    max_per_order: Int = 10
    sales_start_at: Moment | None = None
    sales_end_at: Moment | None = None
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Registration:
    """A row of `registrations`."""

    id: str
    event_id: str
    ticket_code: str
    status: str
    user_id: str | None = None
    guest_email: str | None = None
    guest_name: str | None = None
    is_archived: bool = False
    registered_at: Moment | None = None
    checked_in_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class Waiter:
    """A row of `session_waitlist`."""

    id: str
    session_id: str
    user_id: str
    status: str
    joined_at: Moment
    priority_tier: str = "STANDARD"
    position: Int = 0
    offer_sent_at: Moment | None = None
    offer_expires_at: Moment | None = None
    offer_responded_at: Moment | None = None
    left_at: Moment | None = None


ROWS: dict[str, Any] = {
    "events": Event,
    "sessions": Session,
    "session_capacity": SessionCapacity,
    "session_rsvps": Rsvp,
    "ticket_types": TicketType,
    "registrations": Registration,
    "session_waitlist": Waiter,
}


async def histories(source: Source, tenant: str) -> tuple[list[History], list[Finding]]:
    """The platform's events, sessions and ticket types as pools, events first, and all that is wrong with them."""
    tables = {table: await source.read(table, rows, required=table == "events") for table, rows in ROWS.items()}
    platform = Platform(tables, source, tenant)
    return list(platform.histories()), platform.findings


async def counters(source: Source, tenant: str) -> dict[str, tuple[int | None, int | None]]:
    """What the platform's rows add up to: by pool the total and what is available."""
    found, _ = await histories(source, tenant)
    return {
        history.define.pool_id: (
            quota,
            None if quota is None else quota - history.used("held") - history.used("confirmed"),
        )
        for history in found
        for quota in [history.define.quota]
    }


class Platform:
    """The rows of its tables, put together."""

    def __init__(self, tables: dict[str, list[Any]], source: Source, tenant: str) -> None:
        self.findings: list[Finding] = []
        self._tables = tables
        self._statuses = source.naming.statuses
        self._tenant = tenant
        self._now = datetime.now(UTC)
        self._events = {event.id: event for event in tables["events"]}
        self._of_event = {
            table: self._by(table, "event_id", self._events) for table in ("sessions", "ticket_types", "registrations")
        }
        sessions = {session.id: session for session in tables["sessions"]}
        self._of_session = {
            table: self._by(table, "session_id", sessions)
            for table in ("session_rsvps", "session_waitlist", "session_capacity")
        }

    def _find(self, table: str, ref: str, kind: Discrepancy, message: str) -> None:
        self.findings.append(Finding(kind, table, ref, message))

    def _by(self, table: str, column: str, known: dict[str, Any]) -> dict[str, list[Any]]:
        """A table's rows by what they belong to; those that belong to nothing stay behind."""
        grouped = defaultdict(list)
        for row in self._tables[table]:
            owner = getattr(row, column)
            grouped[owner].append(row)
            if owner not in known:
                message = f"its {column} {owner} does not exist; it stays behind"
                self._find(table, getattr(row, "id", owner), Discrepancy.ORPHAN, message)
        return grouped

    def _status(self, table: str, row: Any, known: Container[str]) -> str | None:
        """A row's status in our words; None, and a word about it, where it is not known."""
        status: str = self._statuses.get(row.status, row.status).upper()
        if status in known:
            return status
        message = f"the status {row.status!r} is not known; name it in [statuses] of the mapping"
        self._find(table, row.id, Discrepancy.STATUS, message)
        return None

    def histories(self) -> Iterator[History]:
        """Every pool, parents first."""
        for event in self._events.values():
            facts = {"owner_id": event.owner_id, "organization_id": event.organization_id}
            times = {"starts_at": event.start_date, "ends_at": event.end_date}
            yield self._event(event, facts | times)
            viewers = (event.virtual_settings or {}).get("max_concurrent_viewers")
            if viewers is not None:
                parent = PoolKind.EVENT.pool_id(event.id)
                yield _pool(PoolKind.STREAM, event.id, event.name, viewers, facts | times, parent_id=parent)
            for session in self._of_event["sessions"][event.id]:
                yield self._session(session, facts)
            for ticket_type in self._of_event["ticket_types"][event.id]:
                yield self._ticket_type(ticket_type, facts)

    def _event(self, event: Event, facts: Json) -> History:
        """Its registrations, but for those that are archived."""
        pool_id = PoolKind.EVENT.pool_id(event.id)
        claims, changes, holders = [], [], set()
        for row in self._of_event["registrations"][event.id]:
            status = self._status("registrations", row, REGISTERED)
            if status is None or row.is_archived:
                continue
            holder = row.user_id or guest_of(self._tenant, row.guest_email or row.id)
            email = row.guest_email and row.guest_email.strip().casefold()
            claim = _claim(
                row.id,
                holder,
                REGISTERED[status],
                row.registered_at or event.created_at or self._now,
                stage=status,
                subject=row.id,
                title=row.guest_name,
                facts={"ticket_code": row.ticket_code, "email": email, CHECKED_IN_AT: row.checked_in_at},
            )
            claims.append(claim)
            if status == CANCELLED:
                continue
            if holder in holders:
                self._find("registrations", row.id, Discrepancy.TWICE, f"{holder} is registered twice; both come in")
            else:
                claim["exclusive"] = f"{pool_id}\n{holder}"
            holders.add(holder)
            changes.append(_change(claim, LedgerReason.JOIN))
        history = _pool(PoolKind.EVENT, event.id, event.name, event.max_attendees, facts, claims, changes)
        return self._within(history, "events")

    def _session(self, session: Session, facts: Json) -> History:
        """Whoever has a seat has one, by an RSVP or an accepted offer, and never two."""
        claims = [*self._rsvps(session), *self._waiters(session)]
        changes = [
            _change(claim, LedgerReason.JOIN if claim["state"] == "confirmed" else LedgerReason.OFFER)
            for claim in claims
            if claim["state"] in ("confirmed", "held")
        ]
        changes.sort(key=lambda change: (change.effective_at, change.key))
        of_session = {
            "requires_registration": True,
            "starts_at": session.start_time,
            "ends_at": session.end_time,
            "session_type": session.session_type,
            "speakers": None,
        }
        history = _pool(
            PoolKind.SESSION,
            session.id,
            session.title,
            self._seats(session),
            facts | of_session,
            claims,
            changes,
            parent_id=PoolKind.EVENT.pool_id(session.event_id),
            waitlist=True,
            offer_seconds=OFFER_SECONDS,
        )
        for row in self._of_session["session_capacity"][session.id]:
            seats = history.used("confirmed")
            if row.current_attendance != seats:
                message = f"{session.title}: {row.current_attendance} are in by the counter, {seats} have a seat"
                self._find("session_capacity", session.id, Discrepancy.COUNTER, message)
        return self._within(history, "sessions")

    def _seats(self, session: Session) -> int | None:
        """One notion of full: the session's own limit, or else that of the capacity row."""
        own = session.max_participants
        for row in self._of_session["session_capacity"][session.id]:
            if own is None:
                return int(row.maximum_capacity)
            if own != row.maximum_capacity:
                message = f"{session.title}: max_participants {own} holds, not maximum_capacity {row.maximum_capacity}"
                self._find("sessions", session.id, Discrepancy.LIMITS, message)
        return own

    def _rsvps(self, session: Session) -> Iterator[Json]:
        for row in self._of_session["session_rsvps"][session.id]:
            status = self._status("session_rsvps", row, RSVPED)
            if status is not None:
                ended = {"since": row.cancelled_at} if status == CANCELLED else {}
                word = f"{PoolKind.SESSION.pool_id(session.id)}\n{row.user_id}"
                more = {"stage": SEAT, "confirmed_at": row.rsvp_at, "exclusive": word} | ended
                yield _claim(row.id, row.user_id, RSVPED[status], row.rsvp_at, **more)

    def _waiters(self, session: Session) -> Iterator[Json]:
        """Places in the queue, offers, and what became of them; nobody has a seat twice."""
        rsvps = self._of_session["session_rsvps"][session.id]
        seated = {row.user_id for row in rsvps if self._statuses.get(row.status, row.status).upper() == CONFIRMED}
        waiters = sorted(self._of_session["session_waitlist"][session.id], key=_turn)
        for place, row in enumerate(waiters, start=1):
            status = self._status("session_waitlist", row, WAITED)
            rank = WaitlistTier.__members__.get(row.priority_tier.upper())
            if rank is None:
                message = f"there is no tier {row.priority_tier!r}"
                self._find("session_waitlist", row.id, Discrepancy.VALUE, message)
            if status is None or rank is None:
                continue
            if status in ("WAITING", "OFFERED") and row.user_id in seated:
                message = f"{row.user_id} has a seat already and stays {status} no longer"
                self._find("session_waitlist", row.id, Discrepancy.TWICE, message)
            elif status != "ACCEPTED" or row.user_id not in seated:
                yield self._waiter(session, row, status, rank=rank.value, place=place)

    def _waiter(self, session: Session, row: Waiter, status: str, **turn: int) -> Json:
        state, answered_at = WAITED[status], row.offer_responded_at or row.offer_sent_at or row.joined_at
        since = {"WAITING": row.joined_at, "OFFERED": row.offer_sent_at, "EXPIRED": row.offer_expires_at}
        return _claim(
            row.id,
            row.user_id,
            state,
            row.joined_at,
            stage=DECLINED if status == "DECLINED" else SEAT,
            since=since.get(status) or row.left_at or answered_at,
            confirmed_at=answered_at if status == "ACCEPTED" else None,
            expires_at=(row.offer_expires_at or self._now) if state in ("held", "expired") else None,
            offered=state == "held",
            exclusive=f"{PoolKind.SESSION.pool_id(session.id)}\n{row.user_id}",
            **turn,
        )

    def _ticket_type(self, row: TicketType, facts: Json) -> History:
        """What is sold comes in as one claim, and what pending orders reserve as a hold that runs out as theirs do."""
        at = self._now
        sold = _claim(f"{row.id}/sold", IMPORT, "confirmed", at, quantity=row.quantity_sold)
        runs_out = {"expires_at": at + timedelta(seconds=HOLD_SECONDS)}
        reserved = _claim(f"{row.id}/reserved", IMPORT, "held", at, quantity=row.quantity_reserved, **runs_out)
        claims = [claim for claim in (sold, reserved) if claim["quantity"] > 0]
        reasons = {"confirmed": LedgerReason.CONFIRM, "held": LedgerReason.HOLD}
        of_type = {
            "description": row.description,
            "price": row.price,
            "currency": row.currency,
            "min_per_order": row.min_per_order,
            "max_per_order": row.max_per_order,
            "hold_seconds": HOLD_SECONDS,
        }
        history = _pool(
            PoolKind.TICKET_TYPE,
            row.id,
            row.name,
            row.quantity_total,
            facts | of_type,
            claims,
            [_change(claim, reasons[claim["state"]]) for claim in claims],
            parent_id=PoolKind.EVENT.pool_id(row.event_id),
            opens_at=row.sales_start_at,
            closes_at=row.sales_end_at if row.is_active else min(row.sales_end_at or at, at),
        )
        return self._within(history, "ticket_types")

    def _within(self, history: History, table: str) -> History:
        """The pool, with a word where more is taken than there is."""
        quota, used = history.define.quota, history.used("held") + history.used("confirmed")
        find = partial(self._find, table, history.define.pool_id.partition(":")[2])
        if quota is not None and quota < 0:
            find(Discrepancy.VALUE, f"its limit is {quota}")
        elif quota is not None and used > quota:
            find(Discrepancy.NEGATIVE, f"{history.define.title}: {used} are taken of {quota}; it comes in overbooked")
        return history


def _turn(row: Waiter) -> tuple[bool, int, datetime, str]:
    """In which order they wait: by position where they have one, then as they came."""
    return (row.position <= 0, row.position, row.joined_at, row.id)


def _pool(
    kind: PoolKind,
    ref: str,
    title: str,
    quota: int | None,
    facts: Json,
    claims: list[Json] | None = None,
    changes: list[Change] | None = None,
    **policy: Any,
) -> History:
    define = Define(
        kind=kind,
        pool_id=kind.pool_id(ref),
        title=title,
        quota=quota,
        pool_facts=facts,
        definition={"title": title, "quota": quota, **facts},
        **policy,
    )
    return History(define=define, claims=claims or [], changes=changes or [])


def _claim(claim_id: str, holder: str, state: str, at: datetime, **more: Any) -> Json:
    """A claim of one place, unless `more` says otherwise; what is over has nothing any more."""
    usual: Json = {
        "quantity": 1,
        "since": at,
        "confirmed_at": at if state == "confirmed" else None,
        "offered": False,
        "rank": 0,
        "facts": {},
    }
    given = usual | more
    given |= {"id": claim_id, "holder": holder, "state": state, "created_at": at, "since": given["since"] or at}
    given["facts"] = {name: value for name, value in given["facts"].items() if value is not None}
    return given | ({"quantity": 0} if state in ("released", "expired") else {})


def _change(claim: Json, reason: LedgerReason) -> Change:
    """The entry of somebody who has something."""
    held = claim["state"] == "held"
    return Change(
        claim_id=claim["id"],
        subject=claim.get("subject"),
        held=claim["quantity"] if held else 0,
        confirmed=0 if held else claim["quantity"],
        reason=reason,
        effective_at=claim["confirmed_at"] or claim["since"],
        actor=IMPORT,
        note=None,
        key=claim["id"],
    )
