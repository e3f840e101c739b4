"""Every operation of the older service, with every sort of login that its clients show."""

from typing import Any

import pytest

from conftest import Gateway, running
from domains.conftest import Do
from dropin.conftest import clients, full, login, session, weak_logins
from dropin.documents import DOCUMENTS

pytestmark = pytest.mark.usefixtures("event")

PUBLIC = ("sessionCapacity", "virtualAttendanceStats", "eventVirtualAttendanceStats")
"""What everybody may read."""

GUESTS = ("createRegistration", "myRegistrationForEvent", "eventTicketTypes", "createCheckoutSession", "cancelOrder")
"""What guests do too; test_registration and test_checkout say with which logins."""

OPERATIONS = [operation for operation in DOCUMENTS if operation not in GUESTS]

LOGIN_FIRST = "401: Authentication required"


def given(operation: str, user: str) -> dict[str, Any]:
    """Variables for an operation."""
    ids: dict[str, Any] = {"eventId": "e"} if "$eventId" in DOCUMENTS[operation] else {"sessionId": "s"}
    more: dict[str, dict[str, Any]] = {
        "acceptWaitlistOffer": {"joinToken": "x"},
        "removeFromWaitlist": {"userId": user},
        "sendWaitlistOffer": {"userId": user},
        "bulkSendWaitlistOffers": {"count": 1},
        "updateSessionCapacity": {"capacity": 5},
    }
    asked = ids | more.get(operation, {})
    return {"input": asked} if "$input" in DOCUMENTS[operation] else asked


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_login_whatever_is_shown_is_nobody(gateway: Gateway, do: Do, operation: str) -> None:
    """No token, an empty one, an expired one, an onboarding one, nonsense: the same answer over HTTP 200."""
    await session(do, 1)
    answers = [
        await gateway.post(DOCUMENTS[operation], given(operation, "u"), headers)
        for headers in weak_logins(gateway).values()
    ]

    assert all(answer == answers[0] for answer in answers)
    if operation in PUBLIC:
        assert "errors" not in answers[0]
    else:
        assert [error["message"] for error in answers[0]["errors"]] == [LOGIN_FIRST]
        assert answers[0]["data"] is None or answers[0]["data"] == {operation: None}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_the_platforms_logins_are_logins(gateway: Gateway, do: Do, operation: str) -> None:
    """As they are: cuid, address, organisation, role, permissions, tier and no tenant."""
    await full(do, clients(gateway), "ann")

    answer = await gateway.post(DOCUMENTS[operation], given(operation, "nobody"), login(gateway, "olga"))

    messages = [error["message"] for error in answer.get("errors", [])]
    assert messages in (
        [],
        ["404: Not on waitlist"],
        ["404: No active offer found"],
        ["404: No active RSVP found for this session"],
        ["404: User is not on the waitlist"],
    )


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_busy_gateway_says_so_in_the_old_form(owner_url: str, owner: Any, operation: str) -> None:
    """With the status 503 and when to try again; nothing has changed."""
    async with running(owner_url, deadline_seconds=0.3) as busy, owner.transaction():
        await owner.execute("LOCK TABLE capacity.pool, capacity.claim")

        answer = await busy.post(DOCUMENTS[operation], given(operation, "nobody"), login(busy, "olga"))

    (error,) = answer["errors"]
    assert error["message"].startswith("503: The gateway is busy")
    assert (error["extensions"]["code"], error["extensions"]["retryAfterMs"]) == ("BUSY", 250)
