"""Competitions: studios reserve, directors approve, what is not used comes back."""

from typing import Any

APPROVE = """
mutation ($input: ApproveInput!) {
  approve(input: $input) {
    __typename
    ... on ReservationSuccess {
      replayed overbookedBy pool { available version } entries { version change reason }
      reservation { status spacesConfirmed }
    }
    ... on CapacityError { code message retry replayed }
  }
}
"""


async def test_an_approval_takes_the_spaces_and_writes_one_entry(gateway: Any) -> None:
    """The thinnest path: from a mutation to a ledger row."""
    await gateway.send(
        'mutation { createCompetition(input: {id: "c", name: "C", quota: 100}) { __typename } }',
    )
    await gateway.send(
        "mutation { requestReservation(input: "
        '{id: "r", competitionId: "c", studioId: "s", spacesRequested: 40}) { __typename } }',
    )

    answer = await gateway.send(APPROVE, {"input": {"reservationId": "r", "spacesConfirmed": 40}})

    assert answer == {
        "__typename": "ReservationSuccess",
        "replayed": False,
        "overbookedBy": 0,
        "pool": {"available": 60, "version": 1},
        "entries": [{"version": 1, "change": -40, "reason": "RESERVATION_APPROVAL"}],
        "reservation": {"status": "APPROVED", "spacesConfirmed": 40},
    }
