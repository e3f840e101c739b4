"""Registrations for events, as the older service has them."""

from datetime import datetime
from typing import Self

import strawberry

from capacity_gateway.domains.events import (
    CHECKED_IN_AT,
    KIND,
    RegisterInput,
    guest_holder,
    registered,
    registration_of,
)
from capacity_gateway.dropin.legacy import Refused, done, found
from capacity_gateway.kernel.context import Caller, Info
from capacity_gateway.kernel.outcomes import InsufficientCapacityError, NotEligibleError, PoolClosedError
from capacity_gateway.kernel.pools import Claim, moment_or_none
from capacity_gateway.kernel.submission import holder_of

FULL = "This event has reached its maximum capacity."
REGISTERED = "A registration already exists for this user or email."


@strawberry.type
class RegistrationType:
    """A registration."""

    id: str
    """Its id."""
    status: str
    """confirmed or checked_in."""
    ticket_code: str
    """The code to show at the door."""

    @classmethod
    def of(cls, claim: Claim) -> Self:
        """A registration in the older service's words."""
        return cls(id=claim.id, status=str(claim.stage).lower(), ticket_code=claim.facts["ticket_code"])


@strawberry.type
class MyRegistrationType(RegistrationType):
    """The caller's own registration."""

    checked_in_at: datetime | None = None
    """When the guest came."""


@strawberry.input
class RegistrationCreateInput:
    """Who registers: a user, or a guest by all of the other three."""

    user_id: str | None = None
    """The user."""
    email: str | None = None
    """The guest's address; capitals and small letters are the same."""
    first_name: str | None = None
    """The guest's first name."""
    last_name: str | None = None
    """The guest's last name."""


@strawberry.type
class Queries:
    """What clients of the older service read of registrations."""

    @strawberry.field
    async def my_registration_for_event(self, info: Info, event_id: strawberry.ID) -> MyRegistrationType | None:
        """The caller's registration for an event, unless it is called off."""
        holder = info.context.caller.holder
        claim = None if holder is None else await registration_of(info, event_id, holder)
        if claim is None:
            return None
        mine = MyRegistrationType.of(claim)
        mine.checked_in_at = moment_or_none(claim.facts.get(CHECKED_IN_AT))
        return mine


@strawberry.type
class Mutations:
    """What clients of the older service send about registrations."""

    @strawberry.mutation
    async def create_registration(
        self, info: Info, registration_in: RegistrationCreateInput, event_id: str
    ) -> RegistrationType:
        """Register the caller, or a guest; nobody twice. A double click is told that there is a registration."""
        await found(info, KIND, event_id, "Event")
        given = RegisterInput(event_id=strawberry.ID(event_id))
        if _is_guest(registration_in, info.context.caller):
            email = given.guest_email = registration_in.email or ""
            given.guest_name = f"{registration_in.first_name} {registration_in.last_name}"
            holder = guest_holder(info, email)
        elif info.context.caller.holder is None:
            raise Refused(403, "You can only register yourself")
        else:
            holder = await holder_of(info, registration_in.user_id or None, KIND.pool_id(event_id))
        outcome = await registered(info, given, holder, once=True)
        match outcome:
            case InsufficientCapacityError():
                raise Refused(409, FULL, outcome.retry_after_ms)
            case NotEligibleError(code="ALREADY_REGISTERED"):
                raise Refused(409, REGISTERED)
            case PoolClosedError():
                raise Refused(400, "Registration for this event is closed.")
        return RegistrationType.of(done(outcome).claimed)


def _is_guest(given: RegistrationCreateInput, caller: Caller) -> bool:
    """Whether it is a guest that registers. Who gives no more than his own address registers himself.

    Raises:
        Refused: where that is not clear, or a guest is not named.
    """
    if given.user_id and (given.email or given.first_name or given.last_name):
        raise Refused(400, "Provide either user_id or guest details, not both.")
    own = caller.holder is not None and (given.email or "").strip().casefold() in ("", (caller.email or "").casefold())
    if given.user_id or own:
        return False
    if not (given.email and given.first_name and given.last_name):
        raise Refused(400, "Guests need an email, a first name and a last name.")
    return True
