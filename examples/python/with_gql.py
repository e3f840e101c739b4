"""Approve a reservation with gql: with_gql.py RESERVATION SPACES.

CAPACITY_URL is the gateway's address, CAPACITY_TOKEN a director's login.
"""

import asyncio
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from gql import Client, GraphQLRequest, gql
from gql.transport.httpx import HTTPXAsyncTransport

URL = os.environ.get("CAPACITY_URL", "http://127.0.0.1:8000")
APPROVE = gql((Path(__file__).parent / "operations" / "approve.graphql").read_text())


async def approve(reservation_id: str, spaces: int) -> dict[str, Any]:
    """The answer to an approval: a success, or a refusal to act on.

    One click is one key, however often it is sent: a busy gateway may have done it, and the same key settles that.
    """
    transport = HTTPXAsyncTransport(
        f"{URL}/graphql", headers={"authorization": f"Bearer {os.environ['CAPACITY_TOKEN']}"}, timeout=10
    )
    click = {"reservationId": reservation_id, "spacesConfirmed": spaces, "idempotencyKey": str(uuid.uuid4())}
    async with Client(transport=transport) as session:
        while True:
            data = await session.execute(GraphQLRequest(APPROVE, variable_values={"input": click}))
            answer: dict[str, Any] = data["approve"]
            if answer.get("retry") != "SAME_KEY":
                return answer
            await asyncio.sleep((answer["retryAfterMs"] or 250) / 1000)


def told(answer: dict[str, Any]) -> str:
    """What to tell the director."""
    match answer:
        case {"__typename": "ReservationSuccess", "reservation": reservation, "pool": pool}:
            return f"{reservation['spacesConfirmed']} spaces approved; {pool['available']} left of {pool['title']}"
        case {"__typename": "InsufficientCapacityError"}:
            return f"only {answer['available']} spaces left"
    return str(answer["message"])


if __name__ == "__main__":
    print(told(asyncio.run(approve(sys.argv[1], int(sys.argv[2])))))
